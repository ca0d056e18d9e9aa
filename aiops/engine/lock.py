"""One engine on one SQLite file: two would open every problem twice."""

import fcntl
import logging
import os
from pathlib import Path
from types import TracebackType
from typing import IO

from sqlalchemy.exc import DatabaseError

from aiops.store.database import Database, StoreError

log = logging.getLogger("aiops.engine")

KILLED = "it was killed (for memory? `dmesg` tells), or the machine went down"
DAMAGED = "stop Forewarn and put the newest backup in its place: `forewarn restore --replace FILE`"


class EngineLock:
    """Held from start to end of an engine; freed by the system when the process dies. Raises `StoreError`.

    After an end that was none in good order the file is looked through before anything is built on it.
    """

    def __init__(self, db: Database, look: bool = True) -> None:
        """`look`: False for whoever is about to replace the file, damaged or not."""
        self._db, self._look = db, look
        self._file: IO[str] | None = None

    def __enter__(self) -> "EngineLock":
        try:
            self._lock_file(Path(f"{self._db.url.database}.lock"))
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file and error is None:
            self._file.truncate(0)
        self._release()

    def _release(self) -> None:
        if self._file:
            self._file.close()

    def _lock_file(self, path: Path) -> None:
        try:
            self._file = path.open("a+")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as why:
            holder = self._holder(path)
            raise StoreError(
                f"another Forewarn{holder} runs on {self._db.url.database}; stop it, or give this one "
                "its own store with --data DIR"
            ) from why
        except OSError as why:
            raise StoreError(f"cannot lock {path}: {why.strerror}; is the folder writable?") from why
        former = path.read_text().strip()
        if former and self._look:
            log.warning("the former process (pid %s) ended without stopping: %s", former, KILLED)
            self._look_through()
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def _look_through(self) -> None:
        """Raises `StoreError` for a damaged file."""
        try:
            with self._db.read_only() as conn:
                found = str(conn.exec_driver_sql("PRAGMA quick_check(1)").scalar())
        except DatabaseError as why:
            found = str(why.orig)
        if found != "ok":
            first = found.splitlines()[-1]
            raise StoreError(f"the database {self._db.url.database} is damaged ({first}); {DAMAGED}")

    def _holder(self, path: Path) -> str:
        pid = path.read_text().strip()
        return f" (pid {pid})" if pid else ""

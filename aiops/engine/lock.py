"""One engine on one SQLite file: two would open every problem twice."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import IO

from aiops.store.database import Database, StoreError


class EngineLock:
    """Held from start to end of an engine; freed by the system when the process dies. Raises `StoreError`."""

    def __init__(self, db: Database) -> None:
        self._db = db
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
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def _holder(self, path: Path) -> str:
        pid = path.read_text().strip()
        return f" (pid {pid})" if pid else ""

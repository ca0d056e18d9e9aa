"""One database, two dialects: SQLite (WAL, one writer) and PostgreSQL, behind the same few calls."""

import asyncio
import os
import socket
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import orjson
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, make_url

from aiops.store.rows import as_json

P = ParamSpec("P")
T = TypeVar("T")

BUSY_MS = 10_000
FROZEN_MS = 15_000
_LIVELY: dict[str, int | str] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""A server that has gone without a word (a failover, a cut cable) is given up within 10 s."""


class StoreError(Exception):
    """The store cannot be used; the message says what to do."""


class Database:
    """Transactions on one database.

    `begin` and `read_only` are for any thread; `run` and `read` are their asyncio forms. Writes of this
    process go through one thread: SQLite has one writer anyway, and order is then the order of the calls.
    """

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        if self.url.get_backend_name() not in ("sqlite", "postgresql"):
            raise StoreError(
                f"store: {url.split('://')[0]!r} is not supported; use sqlite or postgresql+psycopg"
            )
        if self.is_sqlite and self.url.database:
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        self.name = f"forewarn-{socket.gethostname()[:24]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        """Of no other; PostgreSQL shows it for as long as we are connected."""
        self.engine = _engine(self.url, self.name)
        self._writer = ThreadPoolExecutor(1, "store-write")
        self._readers = ThreadPoolExecutor(2, "store-read")

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One write transaction; committed at the end, rolled back on any error."""
        with self.engine.begin() as conn:
            yield conn

    @contextmanager
    def read_only(self) -> Iterator[Connection]:
        """One consistent read."""
        with self.engine.connect().execution_options(forewarn_read=True) as conn:
            yield conn

    async def run(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """``work(conn, ...)`` in one write transaction on the writer's thread."""

        def inside() -> T:
            with self.begin() as conn:
                return work(conn, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._writer, inside)

    async def read(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """``work(conn, ...)`` on a reader's thread."""

        def inside() -> T:
            with self.read_only() as conn:
                return work(conn, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._readers, inside)

    def close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        self.engine.dispose()


def _write_no_nul(raw: Any, _record: Any) -> None:
    """PostgreSQL keeps no NUL in a text: one in a label or an answer would fail every try to write it."""
    from psycopg.types.string import StrDumper  # only where PostgreSQL is used

    class WithoutNul(StrDumper):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\x00", "?"))

    raw.adapters.register_dumper(str, WithoutNul)


def _end_when_frozen(raw: Any, _record: Any) -> None:
    """Whoever stands still within a transaction holds up those who take over from him."""
    autocommit, raw.autocommit = raw.autocommit, True
    raw.execute(f"SET idle_in_transaction_session_timeout = {FROZEN_MS}")
    raw.autocommit = autocommit


_JSON: dict[str, Any] = {"json_serializer": as_json, "json_deserializer": orjson.loads}


def _engine(url: sa.URL, name: str) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        given = {key: value for key, value in _LIVELY.items() if key not in url.query}
        given["application_name"] = name
        engine = sa.create_engine(url, pool_pre_ping=True, pool_size=5, connect_args=given, **_JSON)
        event.listen(engine, "connect", _write_no_nul)
        event.listen(engine, "connect", _end_when_frozen)
        return engine
    engine = sa.create_engine(
        url,
        connect_args={"timeout": BUSY_MS / 1000, "check_same_thread": False},
        **_JSON,
    )

    @event.listens_for(engine, "connect")
    def _pragmas(raw: sqlite3.Connection, _record: Any) -> None:
        # SQLAlchemy's events own BEGIN: sqlite3's own implicit one is DEFERRED and upgrades too late
        raw.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_MS}",
        ):
            raw.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        deferred = conn.get_execution_options().get("forewarn_read")
        conn.exec_driver_sql("BEGIN" if deferred else "BEGIN IMMEDIATE")

    return engine

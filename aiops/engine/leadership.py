"""Which of several engines on one PostgreSQL leads: the one whose session holds an advisory lock.

The lock is the server's to give: it is free as soon as the leader's session ends, by a crash, by a pause that
outlasts `IDLE`, or with the server itself. Whoever gets it counts the epoch up, and every transaction of a
pipeline checks that epoch; so a leader that lost its session without noticing writes nothing more, and one
that gets the lock back before anybody else has had it goes on as if nothing had been.
"""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from aiops.config import Config
from aiops.engine.clock import Clock
from aiops.store import leaders
from aiops.store.database import Database
from aiops.store.leaders import Deposed, Leader

log = logging.getLogger("aiops.engine")

T = TypeVar("T")

ADVISORY = 0x666F7265
"""Key of the advisory lock ("fore")."""

BEAT = 0.5
"""Seconds between two looks of the leader at its session."""
LOOK = 0.25
"""Seconds between two looks of the others at the lock: one short query, on a session that stays."""
IDLE = 6.0
"""Seconds of silence after which the server ends the leader's session: it is frozen, or its host is gone."""
AGAIN = 0.2
"""Seconds between the tries of a leader that lost its session."""
GRACE = 2.0
"""Seconds, once the server is back, for which the others let a leader try that lost its session with it."""

_SESSION = (
    "SET tcp_keepalives_idle = 2",
    "SET tcp_keepalives_interval = 1",
    "SET tcp_keepalives_count = 3",
)
_LEADING = (f"SET idle_session_timeout = '{int(IDLE * 1000)}ms'",)
"""Only of who leads: somebody who stands by may stand still for a while, and harms nobody."""


class Leadership:
    """`claim`, then `keep` while leading; `wait` while not. `url`: where the other engines reach this one."""

    def __init__(self, db: Database, clock: Clock, url: str) -> None:
        self.url = url
        self.owner = db.name
        self.epoch = 0
        """Of our own last leadership; 0: none yet."""
        self.leads = False
        self.leader: Leader | None = None
        """Who led when we last looked."""
        self._db = db
        self._clock = clock
        self._conn: Connection | None = None
        self._thread = ThreadPoolExecutor(1, "leadership")
        self._closing = threading.Event()
        self._beating: asyncio.Future[None] | None = None

    @property
    def leader_url(self) -> str:
        """Where the leader is reached, as far as we know; empty when we do not."""
        return self.leader.url if self.leader else ""

    async def claim(self) -> bool:
        """Lead, if nobody does; whether we do. Raises SQLAlchemyError when the server is away."""
        if not await self._apart(self._lock):
            return False
        self.epoch = await self._apart(self._begin)
        self.leads = True
        self._beating = self._begin_to_beat()
        self.leader = Leader(self.epoch, self.owner, self.url, self._clock.now())
        log.info("this engine leads, as number %d", self.epoch)
        return True

    async def wait(self) -> None:
        """Until we lead."""
        while True:
            try:
                if await self.claim():
                    return
                await asyncio.sleep(LOOK)
            except (SQLAlchemyError, OSError) as why:
                self.leader = None
                log.warning("standing by; the store is away: %s", _first_line(why))
                await self._back()

    async def keep(self) -> None:
        """While we lead. Raises `Deposed` when another has begun to."""
        while self._beating is not None and not self._closing.is_set():
            try:
                await asyncio.shield(self._beating)
            except (SQLAlchemyError, OSError) as why:
                log.warning("the session that holds the lead is lost: %s", _first_line(why))
                await self._apart(self._drop)
                await self._regain()
                self._beating = self._begin_to_beat()

    def fence(self, conn: Connection) -> None:
        """In a transaction that only the leader may make. Raises `Deposed`."""
        leaders.hold(conn, self.epoch)

    def close(self) -> None:
        """Let another lead."""
        self.leads = False
        self._closing.set()
        self._thread.submit(self._drop).result()
        self._thread.shutdown()

    async def _back(self) -> None:
        """Until the server answers, and whoever led has had time to go on."""
        while True:
            await asyncio.sleep(AGAIN)
            try:
                await self._apart(self._ask)
                break
            except (SQLAlchemyError, OSError):
                continue
        await asyncio.sleep(GRACE)

    async def _regain(self) -> None:
        while True:
            try:
                locked, last = await self._apart(self._lock), self.leader
                if last is not None and last.epoch != self.epoch:
                    self.leads = False
                    raise Deposed(
                        f"engine {last.owner} leads since number {last.epoch}; we were {self.epoch}"
                    )
                if locked:
                    log.info("leading again, still as number %d", self.epoch)
                    return
            except (SQLAlchemyError, OSError):
                pass
            await asyncio.sleep(AGAIN)

    async def _apart(self, work: Callable[[], T]) -> T:
        """On a thread of its own: a server that does not answer holds up nothing else."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _ask(self) -> None:
        with self._db.read_only() as conn:
            conn.exec_driver_sql("SELECT 1")

    def _lock(self) -> bool:
        """Whether the lock is ours now; who led last is looked up with it."""
        try:
            if self._conn is None:
                self._conn = self._db.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                self._set(_SESSION)
            locked = bool(self._conn.execute(sa.select(sa.func.pg_try_advisory_lock(ADVISORY))).scalar())
            if locked:
                self._set(_LEADING)
            self.leader = leaders.current(self._conn)
        except BaseException:
            self._drop()
            raise
        return locked

    def _set(self, settings: Sequence[str]) -> None:
        assert self._conn is not None
        for setting in settings:
            self._conn.exec_driver_sql(setting)

    def _begin(self) -> int:
        """Raises SQLAlchemyError, and then holds the lock no longer."""
        assert self._conn is not None
        try:
            return leaders.begin(self._conn, self.owner, self.url, self._clock.now())
        except BaseException:
            self._drop()
            raise

    def _begin_to_beat(self) -> "asyncio.Future[None]":
        return asyncio.get_running_loop().run_in_executor(self._thread, self._beat)

    def _beat(self) -> None:
        """On the thread, whatever keeps the event loop busy: taking up a large checkpoint is no silence."""
        assert self._conn is not None
        while not self._closing.wait(BEAT):
            self._conn.exec_driver_sql("SELECT 1")

    def _drop(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            # the lock is the session's: given back to the pool, the connection would keep it
            conn.invalidate()
            conn.close()


def reached_at(config: Config) -> str:
    """The address under which other engines reach this one's web server."""
    if config.web.advertise:
        return config.web.advertise
    host = config.web.host
    if host in ("0.0.0.0", "::"):
        host = socket.gethostbyname(socket.gethostname())
    return f"http://{f'[{host}]' if ':' in host else host}:{config.web.port}"


def _first_line(why: Exception) -> str:
    return str(why.__cause__ or why).splitlines()[0]

"""What engines that died have left leased is free again at once, where PostgreSQL knows who lives."""

import logging

from sqlalchemy.exc import SQLAlchemyError

from aiops.engine.clock import Clock
from aiops.engine.patience import RelaySettings
from aiops.store import leases, outbox
from aiops.store.database import Database

log = logging.getLogger("aiops.engine")

EVERY = 3.0
"""Seconds between two looks. Missing twice is dead: after a restart of the server all come back."""


class Heirs:
    """Run by the leader. An owner of a lease begins with the name under which its engine is connected."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._missing: set[str] = set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.look()
            except (SQLAlchemyError, OSError) as why:
                log.warning("cannot see which engines live: %s", why)
            await self._clock.sleep(EVERY)

    async def look(self) -> int:
        """Free what belongs to those that were missing before and still are; returns how many leases."""
        owners = await self._db.read(outbox.owners) | await self._db.read(leases.owners)
        alive = await self._db.read(leases.connected) if owners else set()
        missing = {owner for owner in owners if owner.partition("/")[0] not in alive}
        dead, self._missing = missing & self._missing, missing
        freed = 0
        for owner in sorted(dead):
            due = self._clock.now() + RelaySettings().settle
            freed += await self._db.run(outbox.release_all, due, owner)
            freed += await self._db.run(leases.let_go, owner)
            log.info("engine %s has gone: what it had begun is free for others", owner)
        self._missing -= dead
        return freed

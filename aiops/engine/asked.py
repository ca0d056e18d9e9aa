"""Silences that people asked for, as the pipeline holds to them."""

from math import inf

from aiops.core.silence import Silence
from aiops.store import silences
from aiops.store.database import Database


async def asked_silences(db: Database, now: float) -> list[Silence]:
    """Those that are in force at `now` (epoch s)."""
    rows = await db.read(silences.active, now)
    return [Silence(r.selector, r.starts, inf if r.ends is None else r.ends, r.reason, r.team) for r in rows]

"""The lead-time ledger in our own metrics."""

from aiops.core.ledger import Entry, summarise
from aiops.engine.metrics import Metrics
from aiops.store import ledger
from aiops.store.database import Database

WINDOW = 30 * 86400.0
"""Seconds over which it is summed up."""
MOST = 10_000


async def refresh(db: Database, metrics: Metrics, now: float) -> None:
    """Sum up the problems opened within `WINDOW` before `now` (epoch s)."""
    rows = await db.read(ledger.rows, now - WINDOW, MOST)
    found = summarise([Entry.of(row) for row in rows])
    for quantile, seconds in (("0.1", found.p10), ("0.5", found.p50), ("0.9", found.p90)):
        metrics.lead_quantiles.labels(quantile).set(seconds)
    for outcome, count in found.outcomes.items():
        metrics.outcomes.labels(outcome.value).set(count)
    metrics.precision.set(found.precision)

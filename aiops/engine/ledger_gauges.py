"""The lead-time ledger in our own metrics."""

from aiops.core.budget import WEEK
from aiops.core.ledger import Entry, summarise
from aiops.engine.metrics import Metrics
from aiops.engine.state import State
from aiops.store import ledger
from aiops.store.database import Database

WEEKS = 4.0
"""Over which unconfirmed problems are counted."""
WINDOW = 30 * 86400.0
"""Seconds over which it is summed up."""
MOST = 10_000


async def pages(db: Database, state: State, metrics: Metrics, now: float) -> None:
    """False pages a week of each team, as asked, as expected and as they were."""
    observed = await db.read(ledger.unconfirmed, now - WEEKS * WEEK)
    for team, one in state.pages.items():
        prior = max(
            (state.bar(s.name) for s in state.config.sources if state.pages_of(s.name) is one), default=0.0
        )
        metrics.team_bar.labels(team).set(one.bar(prior))
        for which, count in (
            ("asked", one.budget.asked),
            ("expected", one.expected(prior)),
            ("observed", observed.get(team, 0) / WEEKS),
        ):
            metrics.false_pages.labels(team, which).set(count)


async def refresh(db: Database, metrics: Metrics, now: float) -> None:
    """Sum up the problems opened within `WINDOW` before `now` (epoch s)."""
    rows = await db.read(ledger.rows, now - WINDOW, MOST, 0)
    found = summarise([Entry.of(row) for row in rows])
    for quantile, seconds in (("0.1", found.p10), ("0.5", found.p50), ("0.9", found.p90)):
        metrics.lead_quantiles.labels(quantile).set(seconds)
    for outcome, count in found.outcomes.items():
        metrics.outcomes.labels(outcome.value).set(count)
    metrics.precision.set(found.precision)

"""The lead-time ledger: how early problems were told."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from aiops.core.ledger import Entry, Outcome, summarise
from aiops.plugin.params import Duration
from aiops.store import ledger
from aiops.web.errors import responses
from aiops.web.schemas import Instant, MaybeInstant, Number, Schema
from aiops.web.security import EngineDep

router = APIRouter(prefix="/ledger", tags=["problems"])


class EntryOut(Schema):
    """One problem. `lead`: seconds from opening to the breach; 0: it was not told before; null: no breach."""

    key: str
    title: str
    outcome: Outcome
    lead: Number
    first_anomaly: MaybeInstant
    opened: Instant
    breached: MaybeInstant
    resolved: MaybeInstant
    expected: MaybeInstant


class LedgerOut(Schema):
    """Lead times in seconds over all breaches, a silent one being 0; null without a breach."""

    p10: Number
    p50: Number
    p90: Number
    outcomes: dict[Outcome, int]
    items: list[EntryOut] = Field(description="The newest first.")


class PagesOut(Schema):
    """False pages a week of one team."""

    team: str
    asked: float = Field(description="By `detection.false_pages_per_week` and `detection.false_pages_of`.")
    observed: float = Field(description="Problems that no breach, no repair and no person has borne out.")


@router.get("/pages", summary="False pages, asked for against observed", responses=responses(401, 422))
async def pages(
    engine: EngineDep,
    within: Annotated[Duration, Query(description="How far back, as in `4w`.", ge=3600)] = 28 * 86400.0,
) -> list[PagesOut]:
    """Thresholds follow from what is asked for; docs/detection.md tells how."""
    found: dict[str, int] = await engine.db.read(ledger.unconfirmed, engine.clock.now() - within)
    config, weeks = engine.config, within / (7 * 86400.0)
    teams = {
        config.team,
        *config.detection.false_pages_of,
        *(s.team for s in config.sources if s.team),
        *found,
    }
    return [
        PagesOut(team=team, asked=config.detection.pages_asked(team), observed=found.get(team, 0) / weeks)
        for team in sorted(teams)
    ]


@router.get("", summary="How early problems were told", responses=responses(401, 422))
async def told(
    engine: EngineDep,
    within: Annotated[Duration, Query(description="How far back, as in `30d`.")] = 30 * 86400.0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> LedgerOut:
    since = engine.clock.now() - within
    rows: list[dict[str, Any]] = await engine.db.read(ledger.rows, since, limit)
    entries = [Entry.of(row) for row in rows]
    found = summarise(entries)
    items = [EntryOut.model_validate(entry) for entry in entries]
    return LedgerOut(p10=found.p10, p50=found.p50, p90=found.p90, outcomes=found.outcomes, items=items)

"""SLIs: what they are now, and what is left of their error budgets."""

from fastapi import APIRouter
from pydantic import Field

from aiops.engine.slis import Standing, standings
from aiops.model.signal import Severity
from aiops.web.errors import responses
from aiops.web.ports import Engine
from aiops.web.schema_base import LabelMap, MaybeInstant, Number, Page, Schema
from aiops.web.security import EngineDep

router = APIRouter(prefix="/slis", tags=["series"])


class BurnOut(Schema):
    """How fast the budget was spent of late."""

    over: float = Field(description="Seconds.", examples=[3600])
    rate: Number = Field(description="1: just so fast that it lasts for the window.", examples=[14.4])


class BudgetOut(Schema):
    """What may be bad over a window, and what is left of it; of the series that has the least left."""

    target: float = Field(description="Share that is to be good.", examples=[0.999])
    window: float = Field(description="Seconds.", examples=[2_592_000])
    counts: str = Field(description="time or share: docs/problems.md", examples=["share"])
    left: Number = Field(description="1: all, 0: nothing, less: more was spent; null: no sample yet.")
    burns: list[BurnOut] = Field(description="Over ever longer times.")


class SliOut(Schema):
    """A user-facing signal and its objective."""

    name: str = Field(examples=["checkout errors"])
    labels: LabelMap
    severity: Severity
    above: Number = Field(description="Breached above this; null: it is breached below something.")
    below: Number
    hold: float = Field(description="Seconds that it has to last.")
    series: int = Field(description="How many there are.")
    value: Number = Field(description="Of the worst series, by its last sample.")
    breached: MaybeInstant = Field(description="Since when users notice; null: they do not.")
    budget: BudgetOut | None = Field(description="null: without an objective over a window.")


@router.get("", summary="How the SLIs stand", responses=responses(401, 403))
async def listed(engine: EngineDep) -> Page[SliOut]:
    """In the order of the file. An engine that stands by knows no values."""
    return Page(items=[_shown(one) for one in told(engine)])


def told(engine: Engine) -> list[Standing]:
    """As the pipeline has them between two of its steps."""
    return standings(engine.config.slis, engine.pipeline.state)


def _shown(one: Standing) -> SliOut:
    sli, breach = one.sli, one.sli.breach
    return SliOut(
        name=sli.name,
        labels=sli.labels,
        severity=sli.severity,
        above=breach.bound if breach.sign > 0 else None,
        below=breach.bound if breach.sign < 0 else None,
        hold=breach.for_,
        series=one.series,
        value=one.value,
        breached=one.breached,
        budget=_budget(one),
    )


def _budget(one: Standing) -> BudgetOut | None:
    objective = one.sli.objective
    if objective is None:
        return None
    burns = [BurnOut(over=over, rate=rate) for over, rate in one.rates]
    about = {name: getattr(objective, name) for name in ("target", "window", "counts")}
    return BudgetOut(**about, left=one.left, burns=burns)

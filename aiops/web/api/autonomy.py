"""What playbooks may do by themselves, what they have earned, and whether they help."""

import asyncio
import math
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from pydantic import Field

from aiops.core.autonomy import level, start
from aiops.core.playbook import Playbook
from aiops.core.uplift import Share, Uplift
from aiops.engine.uplift import WINDOW, Found, measure
from aiops.model.autonomy import Autonomy, Earned
from aiops.plugin.params import Duration
from aiops.store import autonomy
from aiops.web.errors import not_found, responses
from aiops.web.inputs import Words
from aiops.web.ports import Engine
from aiops.web.schema_base import Instant, Schema
from aiops.web.schemas import Number
from aiops.web.security import EngineDep, Writer

router = APIRouter(tags=["runs"])

KEPT = 60.0
"""Seconds for which what was weighed is told again."""


class PinIn(Schema):
    """Which playbook, for which service, and how far it may go whatever the evidence."""

    playbook: Words = Field(max_length=64)
    service: Words = Field(min_length=1, max_length=512)
    level: Autonomy
    note: Words = Field("", max_length=1000)


class UnpinIn(Schema):
    """Which playbook, for which service, evidence may move again."""

    playbook: Words = Field(max_length=64)
    service: Words = Field(min_length=1, max_length=512)


class AutonomyOut(Schema):
    """How far a playbook may go by itself for a service."""

    playbook: str
    service: str = Field(description="Empty: where it begins for one that it has not met.")
    level: Autonomy
    ceiling: Autonomy = Field(description="The most that its file allows.")
    streak: int = Field(description="Good evidence in a row at this level.")
    needed: int = Field(description="How much of it raises the playbook a level.")
    since: Instant | None
    reason: str
    pinned_by: str = Field(description="Who fixed the level; empty: evidence moves it.")


class ShareOut(Schema):
    """`healed` of `of` problems; `low` and `high`: Wilson's interval of 95 %."""

    healed: int
    of: int
    share: Number
    low: Number
    high: Number


class DifferenceOut(Schema):
    """The share that healed with the playbook less that without; Newcombe's interval of 95 %."""

    acted: ShareOut
    left: ShareOut
    difference: Number
    low: Number
    high: Number


class UpliftOut(Schema):
    """Whether a playbook helps. `randomised` is null while no run was held back."""

    playbook: str
    service: str = Field(description="Empty: all of them together.")
    history: DifferenceOut = Field(
        description="Against problems that were let be: no proof, they may differ."
    )
    randomised: DifferenceOut | None = Field(description="Against runs that were held back at random.")
    delay: Number = Field(description="Seconds for which they were.")


@router.get("/autonomy", summary="What playbooks may do by themselves", responses=responses(401))
async def earned(engine: EngineDep) -> list[AutonomyOut]:
    """Every playbook with where it begins, and each service that it has met with what it has earned."""
    return await standings(engine)


async def standings(engine: Engine) -> list[AutonomyOut]:
    """As the route gives them."""
    known = await engine.db.read(autonomy.listed)
    out = []
    for name, playbook in sorted(engine.playbooks().items()):
        out.append(_begins(engine, playbook))
        out += [_shown(engine, playbook, one) for one in known if one.playbook == name]
    return out


@router.post("/autonomy/pin", summary="Fix what a playbook may do", responses=responses(401, 404, 422))
async def pin(engine: EngineDep, who: Writer, body: PinIn) -> AutonomyOut:
    """Evidence no longer moves it, neither up nor down."""
    playbook = _known(engine, body.playbook)
    if body.level.height > playbook.autonomy.height:
        raise HTTPException(422, f"the file of {playbook.name} allows no more than {playbook.autonomy.value}")
    made = await engine.db.run(
        lambda conn: autonomy.pin(
            conn,
            body.playbook,
            body.service,
            body.level,
            by=who.name,
            note=body.note,
            at=engine.clock.now(),
        )
    )
    return _shown(engine, playbook, made)


@router.post("/autonomy/unpin", summary="Let evidence move it again", responses=responses(401, 404))
async def unpin(engine: EngineDep, who: Writer, body: UnpinIn) -> AutonomyOut:
    """It goes on from the level where it is."""
    playbook = _known(engine, body.playbook)
    made = await engine.db.run(
        lambda conn: autonomy.unpin(conn, body.playbook, body.service, by=who.name, at=engine.clock.now())
    )
    if made is None:
        raise not_found("fixed level of", f"{body.playbook} for {body.service}")
    return _shown(engine, playbook, made)


class Weighed:
    """What was weighed of playbooks, for everybody who asks within a minute: it takes seconds."""

    def __init__(self) -> None:
        self._known: dict[tuple[float, float], tuple[float, list[UpliftOut]]] = {}
        self._one = asyncio.Lock()

    async def look(self, engine: Engine, within: float, window: float = WINDOW) -> list[UpliftOut]:
        """As the route gives it. Seconds; who asks meanwhile waits for the same answer."""
        async with self._one:
            now = engine.clock.now()
            self._known = {asked: one for asked, one in self._known.items() if 0 <= now - one[0] < KEPT}
            if (within, window) not in self._known:
                found = await engine.db.read(measure, list(engine.playbooks().values()), now - within)
                self._known[within, window] = now, [_uplift(one, window, now) for one in found]
            return self._known[within, window][1]


@router.get("/uplift", summary="Whether playbooks help", responses=responses(401, 422))
async def uplift(
    request: Request,
    engine: EngineDep,
    within: Annotated[Duration, Query(description="How far back, as in `90d`.")] = 90 * 86400.0,
    window: Annotated[Duration, Query(gt=0, description="Within which a problem heals or not.")] = WINDOW,
) -> list[UpliftOut]:
    """How often the same problems heal with a playbook, against without; docs/playbooks.md tells how.

    Of the newest 2,000 problems of that time; looked at once a minute.
    """
    weighed: Weighed = request.app.state.weighed
    return await weighed.look(engine, within, window)


def _known(engine: Engine, name: str) -> Playbook:
    playbook = engine.playbooks().get(name)
    if playbook is None:
        raise not_found("playbook", name)
    return playbook


def _begins(engine: Engine, playbook: Playbook) -> AutonomyOut:
    default = engine.config.remediation.earn
    return AutonomyOut(
        playbook=playbook.name,
        service="",
        level=start(playbook, default),
        ceiling=playbook.autonomy,
        streak=0,
        needed=(playbook.earn or default).after,
        since=None,
        reason="where it begins",
        pinned_by="",
    )


def _shown(engine: Engine, playbook: Playbook, one: Earned) -> AutonomyOut:
    default, standing = engine.config.remediation.earn, one.standing
    return AutonomyOut.model_validate(
        {
            "playbook": one.playbook,
            "service": one.service,
            "level": level(playbook, standing.level, default),
            "ceiling": playbook.autonomy,
            "streak": standing.streak,
            "needed": (playbook.earn or default).after,
            "since": standing.since,
            "reason": standing.reason,
            "pinned_by": standing.pinned_by,
        }
    )


def _uplift(one: Found, window: float, now: float) -> UpliftOut:
    drawn = one.randomised(now)
    return UpliftOut(
        playbook=one.playbook,
        service=one.service,
        history=_difference(one.history(window, now)),
        randomised=_difference(drawn[0]) if drawn else None,
        delay=drawn[1] if drawn else math.nan,
    )


def _difference(one: Uplift) -> DifferenceOut:
    low, high = one.interval
    return DifferenceOut(
        acted=_share(one.acted), left=_share(one.left), difference=one.difference, low=low, high=high
    )


def _share(one: Share) -> ShareOut:
    low, high = one.interval
    return ShareOut(healed=one.healed, of=one.of, share=one.share, low=low, high=high)

"""What holds all playbooks back together: blast radius, breaker and storm. Pure."""

from collections.abc import Iterable

from pydantic import Field

from aiops.core.acts import Block
from aiops.core.playbook import Playbook
from aiops.model.lifecycle import LIVE_RUN, RunState
from aiops.model.problem import Run
from aiops.plugin import Duration
from aiops.plugin.params import format_duration

_BROKEN = (RunState.FAILED, RunState.ROLLED_BACK, RunState.INTERRUPTED)


class BlastRadius(Block):
    """So many different targets per stretch of time."""

    targets: int = Field(5, ge=1, description="Different targets that may be acted on within the stretch.")
    per: Duration = Field(600.0, gt=0, description="The stretch.")
    share: float = Field(
        0.34,
        gt=0,
        le=1,
        description="Share of one service's replicas that may be acted on within it; one always.",
    )
    domains: list[str] = Field(
        ["zone", "availability_zone", "topology_kubernetes_io_zone", "datacenter", "region"],
        description="Labels that name a failure domain: within the stretch only one of them is acted in.",
    )


class Storm(Block):
    """When so much starts at once, the cause is elsewhere: nothing acts by itself."""

    problems: int = Field(8, ge=2, description="Problems opened within the stretch.")
    within: Duration = Field(300.0, gt=0, description="The stretch.")


class Brakes(Block):
    """What holds all playbooks back together."""

    blast_radius: BlastRadius = Field(
        default_factory=BlastRadius, description="Budget of targets, shared by all playbooks."
    )
    storm: Storm = Field(
        default_factory=Storm, description="Nothing acts while so many problems start together."
    )

    @property
    def history(self) -> float:
        """Seconds of runs and openings that have to be known."""
        return max(self.blast_radius.per, self.storm.within)


def braked(
    brakes: Brakes,
    playbook: Playbook,
    run: Run,
    history: Iterable[Run],
    openings: Iterable[float],
    now: float,
) -> str:
    """Why `run` may not act now, or the empty string.

    `history` is every run of late; `openings`: when problems opened (epoch s).
    """
    acting = [one for one in history if not one.dry_run and one.id != run.id]
    checks = (
        _stormy(brakes.storm, openings, now),
        _wide(brakes, run, acting, now),
        _spread(brakes, run, acting, now),
        _elsewhere(brakes, run, acting, now),
        _broken(playbook, acting, now),
    )
    return next((said for said in checks if said), "")


def _stormy(storm: Storm, openings: Iterable[float], now: float) -> str:
    many = sum(1 for opened in openings if now - storm.within < opened <= now)
    if many < storm.problems:
        return ""
    within = format_duration(storm.within)
    return f"{many} problems opened within {within}: the cause is likely elsewhere, so nothing acts by itself"


def _wide(brakes: Brakes, run: Run, acting: list[Run], now: float) -> str:
    """A target that is counted already costs nothing again."""
    radius = brakes.blast_radius
    touched = {one.target for one in acting if _since(one, now - radius.per)}
    if run.target in touched or len(touched) < radius.targets:
        return ""
    return (
        f"playbooks have acted on {len(touched)} targets within {format_duration(radius.per)}, "
        f"all that the blast radius allows"
    )


def _spread(brakes: Brakes, run: Run, acting: list[Run], now: float) -> str:
    """Of a service whose replicas are counted, most stay as they are."""
    radius = brakes.blast_radius
    if run.replicas < 2:
        return ""
    most = max(1, int(run.replicas * radius.share))
    touched = {one.target for one in acting if one.service == run.service and _since(one, now - radius.per)}
    if run.target in touched or len(touched) < most:
        return ""
    within = format_duration(radius.per)
    return (
        f"playbooks have acted on {len(touched)} of the {run.replicas} replicas of {run.service} "
        f"within {within}, all that the blast radius allows"
    )


def _elsewhere(brakes: Brakes, run: Run, acting: list[Run], now: float) -> str:
    """One failure domain at a time: what a repair breaks, it breaks in one only."""
    radius = brakes.blast_radius
    kind = run.domain.partition("=")[0]
    others = {one.domain for one in acting if _since(one, now - radius.per)} - {run.domain}
    other = next((one for one in sorted(others) if kind and one.partition("=")[0] == kind), "")
    if not other:
        return ""
    return f"playbooks act in {other} within {format_duration(radius.per)}, and in one {kind} at a time only"


def _broken(playbook: Playbook, acting: list[Run], now: float) -> str:
    limit = playbook.guards.breaker
    bad = [
        one
        for one in acting
        if one.playbook == playbook.name and one.state in _BROKEN and one.ended > now - limit.per
    ]
    if len(bad) < limit.count:
        return ""
    return f"{playbook.name} failed {len(bad)} times within {format_duration(limit.per)}: its breaker is open"


def _since(run: Run, start: float) -> bool:
    """Whether it is acting, or acted after `start`."""
    if run.state in LIVE_RUN:
        return run.state in (RunState.RUNNING, RunState.VERIFYING)
    return run.started == run.started and run.ended > start

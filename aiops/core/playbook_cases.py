"""A playbook's own tests: given this problem, it fits or not, and would do exactly this. Nothing is done."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from aiops.core.acts import BadArguments, Block
from aiops.core.expressions import ExpressionError
from aiops.core.playbook import Playbook


class Case(Block):
    """One problem, and what the playbook makes of it. What is left out is not looked at."""

    name: str = Field(description="What the case shows.")
    problem: dict[str, Any] = Field(description="The problem as conditions and templates see it.")
    registered: dict[str, dict[str, Any]] = Field(
        {}, description="What earlier steps found, by the names under which they keep it."
    )
    fits: bool = Field(True, description="Whether the playbook's `match` holds.")
    target: str | None = Field(None, description="What it would act on.")
    steps: list[str] | None = Field(None, description="What each step would do, in the words of the dry run.")
    refused: str | None = Field(
        None, description="A part of the reason why it cannot be made for this problem."
    )


class Cases(Block):
    """The file beside a playbook: ``restart-web.test.yaml`` tests ``restart-web.yaml``."""

    cases: list[Case] = Field(min_length=1, description="The tests, in order.")


def rehearsed(
    playbook: Playbook, problem: dict[str, Any], registered: Mapping[str, Any] | None = None
) -> Iterator[tuple[str, str]]:
    """``(phase: name, plan)`` of all that would be done for `problem`. Raises `BadArguments`.

    `registered` is what steps are taken to have found; what asks for more is told as far as it is known.
    """
    context = {"problem": problem, **(registered or {})}
    for act in playbook.all_acts():
        yield f"{act.phase} {act.name}" if act.phase != act.name else act.phase, act.plan(context)


def failures(playbook: Playbook, case: Case) -> list[str]:
    """What of `case` is not so, in words; empty when all is."""
    context = {"problem": case.problem}
    try:
        fits = playbook.match.test(context)
    except ExpressionError as why:
        return [] if not case.fits else [f"its match cannot be asked: {why}"]
    if fits is not case.fits:
        return ["it fits" if fits else "it does not fit"]
    if not fits:
        return []
    if strange := sorted(set(case.registered) - playbook.registers):
        return [f"no step registers {strange[0]!r}"]
    try:
        target = playbook.target_of(context)
        plans = list(rehearsed(playbook, case.problem, case.registered))
        steps = [plan for phase, plan in plans if phase.startswith("step ")]
    except (BadArguments, ExpressionError) as why:
        if case.refused is not None and case.refused in str(why):
            return []
        return [f"it cannot be made: {why}"]
    found = [f"it could be made, and was to be refused: {case.refused}"] if case.refused is not None else []
    if case.target is not None and target != case.target:
        found.append(f"its target is {target!r}, not {case.target!r}")
    if case.steps is not None and steps != case.steps:
        found += [
            f"step {n + 1} would {given!r}, not {asked!r}" for n, (given, asked) in _pairs(steps, case.steps)
        ]
    return found


def _pairs(steps: list[str], asked: list[str]) -> Iterator[tuple[int, tuple[str, str]]]:
    """Those that differ; what one side lacks is told as nothing."""
    for n in range(max(len(steps), len(asked))):
        pair = (steps[n] if n < len(steps) else "do nothing", asked[n] if n < len(asked) else "do nothing")
        if pair[0] != pair[1]:
            yield n, pair

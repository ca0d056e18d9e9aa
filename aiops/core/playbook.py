"""What a playbook may say, and the actions that it makes for a problem.

The models are the YAML's own shape, so that a schema for editors follows from them; arguments of actions are
checked against the action's class as far as their templates allow, when the file is read.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import InitErrorDetails

from aiops.core.acts import SHELF, Act, BadArguments, Block, Retry, check_arguments, fault, raise_all, refusal
from aiops.core.expressions import Expression
from aiops.core.templates import BadTemplate, check_template, render
from aiops.plugin import Duration
from aiops.plugin.load import kinds

MAX_TARGET = 512

_NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"


def _condition(value: Any) -> Expression:
    if isinstance(value, Expression):
        return value
    if not isinstance(value, str):
        raise ValueError("expected a CEL condition as text")
    made = Expression(value)
    if unknown := sorted(made.names - {"problem"}):
        near = get_close_matches(unknown[0], ["problem"], 1)
        hint = "did you mean `problem`?" if near else "conditions speak of `problem`, such as problem.labels"
        raise refusal(f"{made.text!r} speaks of `{unknown[0]}`, which is not known here", hint)
    return made


def _template(value: str) -> str:
    check_template(value)
    return value


Condition = Annotated[
    Expression,
    BeforeValidator(_condition),
    PlainSerializer(lambda e: e.text, return_type=str),
    WithJsonSchema({"type": "string", "format": "cel"}),
]
"""CEL over `problem`, compiled when the file is read."""

TemplateText = Annotated[str, AfterValidator(_template)]
"""Text in which ``{{ problem... }}`` is filled in when the run begins."""


class Autonomy(StrEnum):
    """How far a playbook may go by itself."""

    OBSERVE = "observe"
    """Plans only, for the record."""
    SUGGEST = "suggest"
    """Plans, and tells the ticket."""
    APPROVE = "approve"
    """Acts once a person approved."""
    AUTO = "auto"

    @property
    def acts(self) -> bool:
        return self in (Autonomy.APPROVE, Autonomy.AUTO)


class Budget(Block):
    """So many runs per stretch of time."""

    count: int = Field(ge=1, description="Runs that may act within the stretch.")
    per: Duration = Field(gt=0, description="The stretch.")


class Guards(Block):
    """When a playbook does not act although it fits."""

    cooldown: Duration = Field(
        600.0, description="Rest on one target after a run; longer than its alert takes to decay."
    )
    max_runs: Budget = Field(
        Budget(count=5, per=3600.0), description="Budget of the playbook on all targets."
    )
    breaker: Budget = Field(
        Budget(count=3, per=3600.0), description="So many failures hold it back on every target for a while."
    )
    only_while_firing: bool = Field(True, description="Not when the problem has resolved before it began.")


class StepBlock(BaseModel):
    """One step; every further key is an argument of its action, text in it a template over `problem`."""

    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True, allow_inf_nan=False)

    action: str = Field(description="Kind of the action.")
    when: Condition | None = Field(None, description="CEL over `problem`: else the step is left out.")
    retry: Retry = Field(Retry(times=0), description="When it is tried again.")

    @property
    def arguments(self) -> dict[str, Any]:
        return self.model_extra or {}

    @model_validator(mode="after")
    def _check(self) -> "StepBlock":
        faults = check_arguments(self.action, self.arguments, ("action",), ())
        if self.retry.times and self.arguments.get("never_retry") is True:
            faults.append(fault(("retry",), "a step that is never_retry cannot have a retry", "remove one"))
        raise_all(faults)
        return self


class CheckBlock(BaseModel):
    """One look at the live state: ``{http: {url: ..., expect: ...}}``. It must change nothing."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    @property
    def action(self) -> str:
        return next(iter(self.model_extra or {}), "")

    @property
    def arguments(self) -> dict[str, Any]:
        return dict((self.model_extra or {}).get(self.action) or {})

    @model_validator(mode="after")
    def _check(self) -> "CheckBlock":
        given = list(self.model_extra or {})
        if len(given) != 1:
            known = ", ".join(sorted(kinds(SHELF)))
            got = f"got {' and '.join(f'`{g}`' for g in given)}" if given else "got none"
            raise refusal(f"a check names one action, {got}", f"there are: {known}")
        block = (self.model_extra or {})[self.action]
        if not isinstance(block, dict):
            raise refusal("expected the action's arguments as a block of keys", path=(self.action,))
        raise_all(check_arguments(self.action, block, (self.action,), (self.action,)))
        return self


class VerifyBlock(CheckBlock):
    """The proof that a repair helped: the check holds `times` in a row."""

    times: int = Field(3, ge=1, le=100, description="Passes in a row that count as repaired.")
    every: Duration = Field(2.0, gt=0, description="Between two checks.")
    within: Duration = Field(60.0, gt=0, description="Not repaired when this has passed.")

    @model_validator(mode="after")
    def _reachable(self) -> "VerifyBlock":
        if (self.times - 1) * self.every > self.within:
            raise ValueError(
                f"{self.times} checks {self.every:g} s apart do not fit within {self.within:g} s"
            )
        return self


class EscalateTo(Block):
    """Who is asked when the playbook did not help."""

    to: str = Field("", description="Name of a sink; the route's own when left out.")
    note: TemplateText = Field("", description="What the person should know; a template over `problem`.")


def _named(value: Any) -> Any:
    if isinstance(value, dict) and len(value) == 1 and "action" not in value:
        if re.fullmatch(_NAME, str(next(iter(value)))):
            return value
        raise refusal("a step's name is lower-case letters, digits, - and _")
    raise refusal("a step is one name with its block", "write `- restart: {action: service, ...}`")


NamedStep = Annotated[dict[str, StepBlock], BeforeValidator(_named)]


class Playbook(Block):
    """One file: which problems it fits, when it may act, what it does, and how it proves that it helped."""

    playbook: str = Field(pattern=_NAME, description="Its name: lower-case letters, digits, - and _.")
    description: str = Field("", description="What it is for, in a line.")
    match: Condition = Field(description="CEL over `problem`: the problems that it fits.")
    target: TemplateText = Field(
        "", description="What it acts on; one run at a time holds it. The first step's own when left out."
    )
    autonomy: Autonomy = Field(Autonomy.APPROVE, description="How far it may go by itself.")
    guards: Guards = Field(default_factory=Guards, description="When it does not act although it fits.")
    precheck: CheckBlock | None = Field(
        None, description="Holds while the fault is there; else nothing is done."
    )
    steps: list[NamedStep] = Field(min_length=1, description="What is done, in order.")
    verify: VerifyBlock | None = Field(None, description="The proof that it helped.")
    rollback: list[NamedStep] = Field(
        default_factory=list, description="Done when a step or the proof fails."
    )
    escalate: EscalateTo = Field(default_factory=EscalateTo, description="Who is asked when it did not help.")

    _text: str = PrivateAttr("")

    @classmethod
    def of(cls, data: Any, text: str) -> "Playbook":
        """From the parsed YAML and the text it was parsed from. Raises pydantic's ValidationError."""
        made = cls.model_validate(data)
        made._text = text
        return made

    @property
    def name(self) -> str:
        return self.playbook

    @property
    def text(self) -> str:
        return self._text

    @property
    def revision(self) -> str:
        """SHA-256 of the text, in hex: what a run is pinned to."""
        return hashlib.sha256(self._text.encode()).hexdigest()

    @model_validator(mode="after")
    def _whole(self) -> "Playbook":
        faults: list[InitErrorDetails] = []
        if self.autonomy is Autonomy.AUTO and self.verify is None:
            message = "what acts by itself has to prove that it helped: there is no `verify`"
            faults.append(fault(("autonomy",), message, "add a verify block, or write `autonomy: approve`"))
        seen: set[str] = set()
        for part in ("steps", "rollback"):
            for place, step in enumerate(getattr(self, part)):
                name = next(iter(step))
                if name in seen:
                    faults.append(fault((part, place), f"two steps are named {name!r}", "rename one"))
                seen.add(name)
        raise_all(faults)
        return self

    def acts(self, phase: str) -> list[Act]:
        """What `phase` (precheck, step, verify, rollback) does, in order."""
        if phase in ("precheck", "verify"):
            check = self.precheck if phase == "precheck" else self.verify
            return [Act(phase, phase, check.action, check.arguments)] if check else []
        listed = self.steps if phase == "step" else self.rollback
        return [
            Act(phase, name, step.action, step.arguments, step.when, step.retry)
            for named in listed
            for name, step in named.items()
        ]

    def all_acts(self) -> Iterator[Act]:
        for phase in ("precheck", "step", "verify", "rollback"):
            yield from self.acts(phase)

    def target_of(self, context: Mapping[str, Any]) -> str:
        """What it would act on for this problem. Raises `BadArguments`."""
        if not self.target:
            found = self.acts("step")[0].build(context).target
        else:
            try:
                found = render(self.target, context).strip()
            except BadTemplate as why:
                raise BadArguments(f"target: {why}") from why
        if not found or len(found) > MAX_TARGET:
            raise BadArguments(f"target: {len(found)} characters; expected 1 to {MAX_TARGET}")
        return found

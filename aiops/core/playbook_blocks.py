"""The parts of a playbook as they are written: autonomy, guards, approval, steps and checks."""

import re
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from aiops.core.acts import SHELF, Block, Retry, check_arguments, fault, raise_all, refusal
from aiops.core.expressions import Expression
from aiops.core.templates import check_template
from aiops.model.autonomy import Autonomy
from aiops.plugin import Duration
from aiops.plugin.load import kinds

NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"


_REGISTER = r"^[a-z][a-z0-9_]{0,31}$"
_RESERVED = {"problem", "level", "true", "false", "null", "in", "as", "if", "else", "for", "not", "and", "or"}


def _compiled(value: Any) -> Expression:
    if isinstance(value, Expression):
        return value
    if not isinstance(value, str):
        raise ValueError("expected a CEL condition as text")
    return Expression(value)


def _condition(value: Any) -> Expression:
    made = _compiled(value)
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

StepCondition = Annotated[
    Expression,
    BeforeValidator(_compiled),
    PlainSerializer(lambda e: e.text, return_type=str),
    WithJsonSchema({"type": "string", "format": "cel"}),
]
"""CEL over `problem` and what earlier steps registered."""

TemplateText = Annotated[str, AfterValidator(_template)]
"""Text in which ``{{ problem... }}`` is filled in when the run begins."""


class Budget(Block):
    """So many runs per stretch of time."""

    count: int = Field(ge=1, description="Runs that may act within the stretch.")
    per: Duration = Field(gt=0, description="The stretch.")


class Approval(Block):
    """Who lets a run begin that waits for approval, and how long it waits. A refusal by one ends it."""

    needs: int = Field(1, ge=1, le=20, description="Different people who have to approve.")
    by: list[str] = Field(
        [],
        description="Who may: names of people or tokens, roles, and sinks for the links that their tickets "
        "carry. Anybody who may act when left out. Never who asked for the run.",
    )
    within: Duration | None = Field(
        None, gt=0, description="How long the run waits; `remediation.approval_timeout` when left out."
    )


class Earning(Block):
    """How a playbook earns its autonomy, for each service by itself."""

    from_: Autonomy | None = Field(
        None,
        alias="from",
        description="Where it begins; at its `autonomy`, the most it may have, if left out.",
    )
    after: int = Field(
        5, ge=1, le=1000, description="Pieces of good evidence in a row that raise it a level."
    )


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
    approval: Approval | None = Field(
        None, description="Who approves its runs; `remediation.approval` when left out."
    )


class StepBlock(BaseModel):
    """One step; every further key is an argument of its action, text in it a template over `problem`."""

    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True, allow_inf_nan=False)

    action: str = Field(description="Kind of the action.")
    when: StepCondition | None = Field(
        None, description="CEL over `problem` and what earlier steps registered: else the step is left out."
    )
    register_as: str = Field(
        "",
        alias="register",
        json_schema_extra={"pattern": rf"^$|{_REGISTER}"},
        description="Keeps what came of it under this name, for `when` and templates of later steps: the "
        "action's data, with `done`, `ok` and `output`.",
    )
    retry: Retry = Field(Retry(times=0), description="When it is tried again.")

    @property
    def arguments(self) -> dict[str, Any]:
        return self.model_extra or {}

    @model_validator(mode="after")
    def _check(self) -> "StepBlock":
        faults = check_arguments(self.action, self.arguments, ("action",), ())
        if self.register_as and not re.fullmatch(_REGISTER, self.register_as):
            message = "a name to ask for is lower-case letters, digits and _, and begins with a letter"
            faults.append(fault(("register",), message, "such as `disk`"))
        if self.register_as in _RESERVED:
            faults.append(fault(("register",), f"`{self.register_as}` has a meaning of its own", "rename it"))
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
        if re.fullmatch(NAME, str(next(iter(value)))):
            return value
        raise refusal("a step's name is lower-case letters, digits, - and _")
    raise refusal("a step is one name with its block", "write `- restart: {action: service, ...}`")


NamedStep = Annotated[dict[str, StepBlock], BeforeValidator(_named)]

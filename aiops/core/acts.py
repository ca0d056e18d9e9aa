"""Steps and checks of a playbook: what is wrong with one as written, and its action for a problem."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from aiops.core.expressions import Expression, ExpressionError
from aiops.core.templates import BadTemplate, check_template, names_in, render_all, texts
from aiops.plugin import Action, Duration
from aiops.plugin.load import UnknownKind, kinds, load

SHELF = "playbooks.actions"

Path: TypeAlias = tuple[str | int, ...]


class BadArguments(ValueError):
    """An action cannot be made for this problem: the message names the argument, never a secret's value."""


class Block(BaseModel):
    """Base of all blocks of a playbook: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)


class Retry(Block):
    """Trying a step again when it says that nothing was done, or that it failed."""

    times: int = Field(ge=0, le=20, description="Attempts after the first.")
    wait: Duration = Field(1.0, description="Between two attempts.")


@dataclass(frozen=True, slots=True)
class Act:
    """A step or check as written; `build` makes the action of it for one problem."""

    phase: str
    """precheck, step, verify or rollback"""
    name: str
    kind: str
    arguments: Mapping[str, Any]
    when: Expression | None = None
    retry: Retry = field(default_factory=lambda: Retry(times=0))
    register: str = ""
    """The name under which what came of it is kept for later steps; empty: it is not kept."""

    @property
    def asks(self) -> frozenset[str]:
        """What it has to know besides the problem before it can be made: names that steps registered."""
        named = self.when.names if self.when else set[str]()
        return frozenset(named.union(*(names_in(text) for _, text in texts(self.arguments))) - {"problem"})

    @property
    def left_out(self) -> str:
        """Its plan when its `when` does not hold."""
        return f"left out, as `{self.when.text}` does not hold" if self.when else ""

    def wanted(self, context: Mapping[str, Any]) -> bool:
        """Whether its `when` holds; one that the problem cannot answer does not.

        Raises `BadArguments` when it is what a step registered that cannot answer: that was written for it.
        """
        if self.when is None:
            return True
        try:
            return self.when.test(context)
        except ExpressionError as why:
            if self.when.names - {"problem"}:
                raise BadArguments(f"{self.name}: {why}") from why
            return False

    def plan(self, context: Mapping[str, Any]) -> str:
        """What it would do, in words, as far as that is known before earlier steps are done.

        Raises `BadArguments`.
        """
        if unknown := sorted(self.asks - context.keys()):
            return f"{self.kind}, by what {' and '.join(unknown)} will tell"
        return self.build(context).plan() if self.wanted(context) else self.left_out

    @property
    def reads_only(self) -> bool:
        return self.phase in ("precheck", "verify")

    def build(self, context: Mapping[str, Any]) -> Action:
        """The action with its texts rendered over `context` and checked. Raises `BadArguments`.

        `context`: ``{"problem": ...}`` and what earlier steps have registered, by name.
        """
        try:
            rendered = render_all(dict(self.arguments), context)
            return load(SHELF, self.kind, Action).model_validate(rendered)  # type: ignore[type-abstract]
        except BadTemplate as why:
            raise BadArguments(f"{self.name}: {why}") from why
        except ValidationError as why:
            first = why.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or self.kind
            raise BadArguments(f"{self.name}: {where}: {first['msg']}") from why
        except UnknownKind as why:
            raise BadArguments(f"{self.name}: {why}") from why


def check_arguments(kind: str, given: Mapping[str, Any], at: Path, base: Path) -> list[InitErrorDetails]:
    """What is wrong with the arguments of an action, as far as their templates let it be known.

    `at` is the path of the kind itself and `base` that of the arguments, both below the block.
    """
    known = sorted(kinds(SHELF))
    try:
        action = load(SHELF, kind, Action)  # type: ignore[type-abstract]
    except UnknownKind:
        near = get_close_matches(kind, known, 1)
        hint = (f"did you mean `{near[0]}`? " if near else "") + f"there are: {', '.join(known)}"
        return [fault(at, f"unknown action `{kind}`", hint)]
    except ImportError as why:
        return [fault(at, f"the action `{kind}` cannot be loaded: {why}", "install the package it needs")]
    faults = [fault((*base, *path), message, hint) for path, message, hint in _expectation(given)]
    open_: set[Path] = set()
    for path, text in texts(given):
        open_.add(path)
        if path[0] in action.literal:
            hint = "pass what depends on the problem as a parameter"
            faults.append(fault((*base, *path), f"`{path[0]}` of `{kind}` may not be a template", hint))
            continue
        try:
            check_template(text)
        except BadTemplate as why:
            faults.append(fault((*base, *path), str(why), ""))
    try:
        action.model_validate(dict(given))
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            loc = detail["loc"]
            if any(loc[: len(path)] == path or path[: len(loc)] == loc for path in open_):
                continue
            faults.append(_explained((*base, *loc), detail, action))
    return faults


def _expectation(given: Mapping[str, Any]) -> Iterator[tuple[Path, str, str]]:
    expect = given.get("expect")
    if not isinstance(expect, str) or not expect:
        return
    if any(texts(expect)):
        yield ("expect",), "`expect` is CEL, not a template", "CEL sees `problem` too"
        return
    try:
        Expression(expect)
    except ExpressionError as why:
        yield ("expect",), str(why), ""


def _explained(loc: Path, detail: Mapping[str, Any], action: type[Action]) -> InitErrorDetails:
    fields = action.model_fields
    if detail["type"] == "extra_forbidden":
        near = get_close_matches(str(loc[-1]), fields, 1, cutoff=0.55)
        hint = f"did you mean `{near[0]}`?" if near else f"its arguments are: {', '.join(fields)}"
        return fault(loc, f"`{action.kind}` takes no argument `{loc[-1]}`", hint)
    if detail["type"] == "missing":
        info = fields.get(str(loc[-1]))
        purpose = f"{loc[-1]}: {info.description}" if info and info.description else ""
        return fault(loc, f"`{action.kind}` needs `{loc[-1]}`", purpose)
    return fault(loc, str(detail["msg"]).removeprefix("Value error, "), "")


def fault(path: Path, message: str, hint: str) -> InitErrorDetails:
    """One fault at `path` below whoever raises it; pydantic completes the path."""
    # As context, not as template: a message may hold braces
    error = PydanticCustomError("forewarn", "{message}", {"message": message, "hint": hint})
    return InitErrorDetails(type=error, loc=path, input=None)


def refusal(message: str, hint: str = "", path: Path = ()) -> ValidationError:
    return ValidationError.from_exception_data("playbook", [fault(path, message, hint)])


def raise_all(faults: list[InitErrorDetails]) -> None:
    if faults:
        raise ValidationError.from_exception_data("playbook", faults)

"""What a playbook may say, and the actions that it makes for a problem.

The models are the YAML's own shape, so that a schema for editors follows from them; arguments of actions are
checked against the action's class as far as their templates allow, when the file is read.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import Field, PrivateAttr, model_validator
from pydantic_core import InitErrorDetails

from aiops.core.acts import Act, BadArguments, Block, Path, fault, raise_all
from aiops.core.playbook_blocks import (
    NAME,
    Approval,
    CheckBlock,
    Condition,
    Earning,
    EscalateTo,
    Guards,
    NamedStep,
    TemplateText,
    VerifyBlock,
)
from aiops.core.templates import BadTemplate, names_in, render, texts
from aiops.model.autonomy import Autonomy

__all__ = ["Approval", "Autonomy", "Earning", "Playbook"]

MAX_TARGET = 512

PHASES = ("precheck", "step", "verify", "rollback")


class Playbook(Block):
    """One file: which problems it fits, when it may act, what it does, and how it proves that it helped."""

    playbook: str = Field(pattern=NAME, description="Its name: lower-case letters, digits, - and _.")
    description: str = Field("", description="What it is for, in a line.")
    match: Condition = Field(description="CEL over `problem`: the problems that it fits.")
    target: TemplateText = Field(
        "", description="What it acts on; one run at a time holds it. The first step's own when left out."
    )
    autonomy: Autonomy = Field(Autonomy.APPROVE, description="How far it may go by itself, at the most.")
    earn: Earning | None = Field(None, description="How it earns that; `remediation.earn` when left out.")
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
        raise_all(faults or self._strange())
        return self

    def _strange(self) -> list[InitErrorDetails]:
        """Names that are not known where they are asked for: `problem` is, and what was registered before."""
        faults = _unknown(("target",), names_in(self.target), set())
        faults += _unknown(("escalate", "note"), names_in(self.escalate.note), set())
        known: set[str] = set()
        if self.precheck:
            faults += _unknown_in(("precheck", self.precheck.action), self.precheck.arguments, known)
        for part in ("steps", "rollback"):
            for place, named in enumerate(getattr(self, part)):
                ((name, step),) = named.items()
                path = (part, place, name)
                faults += _unknown_in(path, step.arguments, known)
                faults += _unknown((*path, "when"), step.when.names if step.when else set(), known)
                if step.register_as in known:
                    message = f"two steps register {step.register_as!r}"
                    faults.append(fault((*path, "register"), message, "rename one"))
                known |= {step.register_as} - {""}
            if part == "steps" and self.verify:
                faults += _unknown_in(("verify", self.verify.action), self.verify.arguments, known)
        return faults

    @property
    def registers(self) -> set[str]:
        """All names under which steps keep what they found."""
        return {act.register for act in self.all_acts()} - {""}

    def acts(self, phase: str) -> list[Act]:
        """What `phase` (precheck, step, verify, rollback) does, in order."""
        if phase in ("precheck", "verify"):
            check = self.precheck if phase == "precheck" else self.verify
            return [Act(phase, phase, check.action, check.arguments)] if check else []
        listed = self.steps if phase == "step" else self.rollback
        return [
            Act(phase, name, step.action, step.arguments, step.when, step.retry, step.register_as)
            for named in listed
            for name, step in named.items()
        ]

    def all_acts(self) -> Iterator[Act]:
        for phase in PHASES:
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


def _unknown(path: Path, names: Iterable[str], known: set[str]) -> list[InitErrorDetails]:
    known = known | {"problem"}
    strange = sorted(set(names) - known)
    if not strange:
        return []
    near = get_close_matches(strange[0], known, 1)
    hint = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(sorted(known))}"
    return [fault(path, f"speaks of `{strange[0]}`, which is not known here", hint)]


def _unknown_in(path: Path, arguments: Mapping[str, Any], known: set[str]) -> list[InitErrorDetails]:
    return [
        one for inner, text in texts(arguments) for one in _unknown((*path, *inner), names_in(text), known)
    ]

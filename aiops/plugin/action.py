"""Actions: what a playbook's step runs."""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import Field, model_validator

from aiops.plugin.params import Duration, Plugin


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. ``data`` is what `expect` can speak about; ``output`` is shown to people."""

    ok: bool
    output: str = ""
    data: dict[str, Any] = field(default_factory=dict)


class Action(Plugin):
    """One step. Built afresh from rendered arguments for each run, so it holds no state."""

    literal: ClassVar[frozenset[str]] = frozenset()
    """Arguments that may hold no template, such as a query: what a label says must never become code."""

    timeout: Duration = Field(30.0, description="Longest time it may take.", gt=0)
    expect: str = Field("", description="CEL over what the action returns; when left out, its own ok counts.")
    idempotent: bool = Field(
        False, description="Running it twice does no harm: it may be repeated after a crash."
    )
    never_retry: bool = Field(
        False, description="After a crash mid-way a person decides, whatever a probe says."
    )

    @model_validator(mode="after")
    def _one_rule(self) -> "Action":
        if self.idempotent and self.never_retry:
            raise ValueError("idempotent and never_retry exclude each other")
        return self

    @property
    @abstractmethod
    def target(self) -> str:
        """What it acts on, as a name that two playbooks would share; one run at a time holds it."""

    @abstractmethod
    def plan(self) -> str:
        """What `run` would do, in one line. Touches nothing."""

    @abstractmethod
    async def run(self, key: str) -> Outcome:
        """Do it. `key` is the idempotency key (``run_id:step``), the same on every attempt.

        Raises `Retryable` when nothing was done and it may work later, `Fatal` when it cannot work.
        """

    async def probe(self, key: str) -> bool | None:
        """After a crash: has the act under `key` happened? None when it cannot be told."""
        return None

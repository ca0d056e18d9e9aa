"""What a look at an installation finds: one line each, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """How it stands with one thing."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` was looked at, what was seen, and, unless it is well, what to `do`."""

    what: str
    health: Health
    said: str
    do: str = ""

    @property
    def line(self) -> str:
        """As it is printed, with the way out below it."""
        first = f"{self.health.value:<4}  {self.what}: {self.said}"
        return f"{first}\n      {self.do}" if self.do else first


def ok(what: str, said: str) -> Finding:
    return Finding(what, Health.OK, said)


def warn(what: str, said: str, do: str) -> Finding:
    return Finding(what, Health.WARN, said, do)


def fail(what: str, said: str, do: str) -> Finding:
    return Finding(what, Health.FAIL, said, do)


def count(findings: Iterable[Finding]) -> dict[Health, int]:
    """How many of each."""
    made = dict.fromkeys(Health, 0)
    for finding in findings:
        made[finding.health] += 1
    return made

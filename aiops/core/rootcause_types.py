"""What a root-cause ranking is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from aiops.core.rootcause_score import Family, Floats


class Side(StrEnum):
    """Who measured a call."""

    CALLER = "caller"
    CALLEE = "callee"


@dataclass(frozen=True, slots=True)
class Measure:
    """One column: a metric of a component, or of its calls to `callee`."""

    component: str
    metric: str
    family: Family
    callee: str = ""
    side: Side = Side.CALLER
    said: str = ""
    """How people call it, when not by the metric's name."""
    fired: bool = False
    """Whether an alert on it is part of the problem."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A change on a component, `before` seconds before the problem began."""

    component: str
    before: float
    text: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a problem. `normal [T, C]` and `fault [W, C]` on one grid, NaN = no sample.

    Logs are columns of rates per template (family ``log``), traces are columns of calls (with a `callee`).
    `calls`: (caller, callee); cycles are allowed. `sli`: the column of the breached SLI, if there is one.
    `virtual`: components known only by what their callers report (OpenTelemetry's peers, X-Ray's remotes).
    `silent`: components that stopped reporting when it began.
    `late [L, C]`: the latest rows, when they are others than those of the fault's window.
    """

    measures: Sequence[Measure]
    normal: Floats
    fault: Floats
    calls: Sequence[tuple[str, str]] = ()
    sli: int | None = None
    changes: Sequence[Changed] = ()
    virtual: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    late: Floats | None = None

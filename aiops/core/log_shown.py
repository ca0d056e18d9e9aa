"""What an alert on log lines shows to people: the pattern, lines of it, and its rate before and now."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiops.core.words import duration
from aiops.model.signal import Alert

LONGEST = 300
"""Characters of one line in a ticket's text."""
IN_TEXT = 3
"""Lines in a ticket's text."""


@dataclass(frozen=True, slots=True)
class Shown:
    """``lines``: examples without secrets. ``now`` and ``before`` in lines a second, NaN when not known."""

    pattern: str
    template: str
    lines: tuple[str, ...]
    now: float
    before: float

    @property
    def rates(self) -> str:
        """``4 lines a minute, none before``; empty when the rate is not known."""
        if math.isnan(self.now):
            return ""
        before = "" if math.isnan(self.before) else f", {pace(self.before)} before"
        return f"{pace(self.now)} now{before}"


def shown(labels: Mapping[str, str], examples: Sequence[str], now: float, before: float) -> Shown | None:
    """Of an alert with these labels and examples; None when it is not about log lines."""
    if not examples and "template" not in labels:
        return None
    pattern, *lines = examples or [""]
    return Shown(pattern, labels.get("template", ""), tuple(lines), now, before)


def of_alert(alert: Alert) -> Shown | None:
    """What `alert` shows; None when it is not about log lines."""
    named = dict(alert.labels)
    if not alert.metric.startswith("log_"):
        return None
    return shown(named, alert.examples, alert.observed, alert.expected)


def in_text(alert: Alert) -> list[str]:
    """Lines of a ticket's text to stand below the sentence about `alert`; none when it shows no lines."""
    found = of_alert(alert)
    if found is None:
        return []
    rates = [f"  {found.rates}"] if found.rates else []
    return rates + [f"  > {_cut(line)}" for line in found.lines[:IN_TEXT]]


def in_body(alert: Alert) -> dict[str, object] | None:
    """The same as data, for the ticket's body."""
    found = of_alert(alert)
    if found is None:
        return None
    return {
        "pattern": found.pattern,
        "template": found.template,
        "lines": list(found.lines),
        "lines_per_second": _known(found.now),
        "lines_per_second_before": _known(found.before),
    }


def pace(rate: float) -> str:
    """`rate` in lines a second, in the unit in which it is no fraction."""
    if rate < 1e-6:
        return "no line"
    for seconds, unit in ((1.0, "a second"), (60.0, "a minute"), (3600.0, "an hour")):
        if rate * seconds >= 1:
            count = f"{rate * seconds:,.0f}" if rate * seconds >= 10 else f"{rate * seconds:.2g}"
            return f"{count} line{'' if count == '1' else 's'} {unit}"
    return f"a line in {duration(1 / rate)}"


def _cut(line: str) -> str:
    line = " ".join(line.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None

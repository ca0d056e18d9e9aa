"""Lead times as a bar chart, drawn on the server."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, FOOT, HEAD = 860, 150, 20, 16
_EDGES = (1e-9, 60.0, 300.0, 900.0, 1800.0, 3600.0, 4 * 3600.0, 86400.0, math.inf)
_NAMES = (
    "silent",
    "< 1 min",
    "1-5 min",
    "5-15 min",
    "15-30 min",
    "30-60 min",
    "1-4 h",
    "4-24 h",
    "> 1 d",
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One class of lead times; ``x, y, width, height`` in a viewBox of `WIDTH` x `HEIGHT`."""

    name: str
    count: int
    x: float
    y: float
    width: float
    height: float


def lead_bars(leads: Sequence[float]) -> list[Bar]:
    """Seconds of warning, NaN = no breach, which is left out; none at all gives no bars."""
    counts = [0] * len(_NAMES)
    for lead in leads:
        if not math.isnan(lead):
            counts[sum(lead >= edge for edge in _EDGES)] += 1
    most = max(counts)
    if not most:
        return []
    step, room = WIDTH / len(counts), HEIGHT - FOOT - HEAD
    bars = []
    for place, (name, count) in enumerate(zip(_NAMES, counts, strict=True)):
        tall = round(room * count / most, 1)
        bars.append(
            Bar(name, count, round(place * step + 6, 1), HEAD + room - tall, round(step - 12, 1), tall)
        )
    return bars

"""One log pattern: its rate as series, lines of it, and the alerts and problems that it took part in."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from aiops.core.log_source import PATTERN
from aiops.model.selector import Selector
from aiops.model.series import NAME, Labels
from aiops.store import log_templates, views
from aiops.web import points
from aiops.web.points import PointMap
from aiops.web.ports import Engine

ALERTS = 50
SERIES = 6
LINES = 10


async def whole_pattern(engine: Engine, name: str) -> dict[str, Any] | None:
    """The template's row, and ``lines_shown``, ``series`` (label sets), ``alerts``.

    Each alert has ``before`` and ``after``: lines in equal times before and after it began, None where it
    has no points. None when no pattern has that name; one that went into another is that other.
    """
    row = await engine.db.read(log_templates.find, name, engine.config.team)
    if row is not None and row["merged_into"]:
        row = await engine.db.read(log_templates.find, row["merged_into"], engine.config.team) or row
    if row is None:
        return None
    alerts = await engine.db.read(log_templates.alerts_of, row["name"], row["text"], ALERTS)
    stored = await engine.db.read(views.evidence_of, [one["id"] for one in alerts])
    told = []
    for one in alerts:
        line = points.of_alert(engine, one, stored.get(one["id"]))
        mine = dict(one["labels"]).get("template") == row["name"]
        before, after = counted(line, one["started"]) if mine else (None, None)
        told.append(one | {"before": before, "after": after})
    shown = [*engine.log_lines(row["name"]), *(line for one in alerts for line in one["examples"][1:])]
    return row | {
        "lines_shown": list(dict.fromkeys(shown))[:LINES],
        "series": series_of(engine, row["name"]),
        "alerts": told,
    }


def series_of(engine: Engine, name: str) -> list[Labels]:
    """The series of a pattern's rate, one a stream, `SERIES` at most; none while it is too rare."""
    slots = engine.index.select(Selector.exact({NAME: PATTERN, "template": name}))
    return [engine.index.labels(slot) for slot in slots[:SERIES].tolist()]


def counted(line: PointMap, at: float) -> tuple[int | None, int | None]:
    """Lines of a rate (a second) in equal times before and from `at` on (epoch s), as long as both last."""
    times: Any = line["times"]
    if len(times) < 2 or not times[0] < at <= times[-1]:
        return None, None
    step = float(np.median(np.diff(times)))
    span = min(at - times[0], times[-1] - at + step)
    lines = np.nan_to_num(line["observed"]) * step
    before, after = (times < at) & (times >= at - span), (times >= at) & (times < at + span)
    return round(float(lines[before].sum())), round(float(lines[after].sum()))


def per_second(row: Mapping[str, Any]) -> float:
    """Lines a second over all the time that the pattern is known; NaN of one that was seen once."""
    lasted = float(row["last_seen"] - row["first_seen"])
    return float(row["lines"]) / lasted if lasted > 0 else float("nan")

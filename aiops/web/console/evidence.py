"""Evidence charts: one a series, however many alerts speak of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiops.model.series import NAME
from aiops.web import points
from aiops.web.console.spark import Spark, spark
from aiops.web.ports import Engine

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Chart:
    """One series' chart and what its alerts say. Times are epoch seconds; None where nothing is known."""

    alerts: list[Row]
    drawn: Spark | None

    @property
    def source(self) -> Row:
        """The alert whose points are drawn: the one that began first has the longest past."""
        return min(self.alerts, key=lambda one: (one["started"], one["id"]))

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.source["labels"])

    @property
    def name(self) -> str:
        return self.labels.get(NAME) or self.source["rule"]

    @property
    def metric(self) -> str:
        return self.labels.get(NAME, "")

    @property
    def live(self) -> bool:
        return any(one["state"] != "resolved" for one in self.alerts)

    @property
    def observed(self) -> float | None:
        latest: float | None = max(self.alerts, key=lambda one: one["updated"])["observed"]
        return latest

    @property
    def peak(self) -> float:
        return max(float(one["peak"]) for one in self.alerts)

    @property
    def started(self) -> float:
        began: float = self.source["started"]
        return began

    @property
    def resolved(self) -> float | None:
        return None if self.live else max(one["resolved"] or one["updated"] for one in self.alerts)

    def first(self, column: str) -> Any:
        """The first value that an alert knows for `column`; None when none does."""
        return next((one[column] for one in self.alerts if one[column] is not None), None)

    @property
    def breach(self) -> tuple[float, float, float] | None:
        """When the limit is forecast to be crossed: earliest, expected, latest."""
        for one in self.alerts:
            if one["breach_expected"] is not None and one["state"] != "resolved":
                expected = one["breach_expected"]
                return one["breach_earliest"] or expected, expected, one["breach_latest"] or expected
        return None


def grouped(alerts: Sequence[Row]) -> list[Chart]:
    """A chart, not drawn yet, for each series, in the order of their alerts."""
    groups: dict[tuple[tuple[str, str], ...], list[Row]] = {}
    for one in alerts:
        groups.setdefault(tuple(sorted(dict(one["labels"]).items())), []).append(one)
    return [Chart(group, None) for group in groups.values()]


def drawn(engine: Engine, charts: Iterable[Chart], evidence: Mapping[int, Mapping[str, Any]]) -> list[Chart]:
    """The charts with their lines; `evidence`: alert id -> its stored points."""
    out = []
    for chart in charts:
        line = points.of_alert(engine, chart.source, evidence.get(chart.source["id"]))
        out.append(Chart(chart.alerts, spark(line, chart.started)))
    return out

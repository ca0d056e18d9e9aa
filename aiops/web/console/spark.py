"""Sparklines as SVG geometry: the observed line over its expected band, before any script has run."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiops.web.points import PointMap

WIDTH, HEIGHT, PAD = 120.0, 28.0, 2.0
MOST = 120
"""Points drawn: one a unit of the viewBox."""


@dataclass(frozen=True, slots=True)
class Spark:
    """SVG path data in a viewBox of `WIDTH` x `HEIGHT`; ``start``: x of the mark or None."""

    line: str
    band: str
    start: float | None


def spark(points: PointMap, started: float | None = None) -> Spark | None:
    """Geometry of the points; None when there are fewer than two to draw."""
    step = max(1, len(points["times"]) // MOST)
    times, observed = points["times"][::step], points["observed"][::step]
    if np.count_nonzero(np.isfinite(observed)) < 2 or times[-1] <= times[0]:
        return None
    lower, upper = points["lower"][::step], points["upper"][::step]
    low, high = _range(observed, lower, upper)
    x = (times - times[0]) / (times[-1] - times[0]) * WIDTH

    def y(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(HEIGHT - PAD - (values - low) / (high - low) * (HEIGHT - 2 * PAD), 0, HEIGHT)

    start = None
    if started is not None and times[0] <= started <= times[-1]:
        start = round(float((started - times[0]) / (times[-1] - times[0]) * WIDTH), 1)
    return Spark(_path(x, y(observed)), _area(x, y(lower), y(upper)), start)


def _range(
    observed: NDArray[np.float64], lower: NDArray[np.float64], upper: NDArray[np.float64]
) -> tuple[float, float]:
    """The line decides; the band may add as much again, so that a wide band does not flatten the line."""
    low, high = float(np.nanmin(observed)), float(np.nanmax(observed))
    room = max(high - low, abs(high) * 1e-3, 1e-9)
    band = np.concatenate([lower, upper])
    band = band[np.isfinite(band)]
    if len(band):
        low = max(min(low, float(band.min())), low - room)
        high = min(max(high, float(band.max())), high + room)
    return (low, high) if high > low else (low - 1, high + 1)


def _path(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """Moves over gaps."""
    drawn = np.flatnonzero(~np.isnan(y))
    runs = np.split(drawn, np.flatnonzero(np.diff(drawn) > 1) + 1)
    places = np.stack([x, y], axis=1)
    # one formatting of them all takes a third of the time that one of each point takes
    return "".join(
        ("M" + "L".join(["%.1f %.1f"] * len(run))) % tuple(places[run].ravel().tolist())
        for run in runs
        if len(run)
    )


def _area(x: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> str:
    keep = np.isfinite(low) & np.isfinite(high)
    if np.count_nonzero(keep) < 2:
        return ""
    there = _path(x[keep], high[keep])
    back = _path(x[keep][::-1], low[keep][::-1]).replace("M", "L", 1)
    return f"{there}{back}Z"

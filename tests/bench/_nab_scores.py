"""The Numenta Anomaly Benchmark's scorer (v1.1, Lavin and Ahmad 2015), its optimiser included.

Held to its published figures by `tests.bench.nab`: two of its detectors must come out as published.
"""

import csv
import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Profile(NamedTuple):
    found: float
    false: float
    missed: float


PROFILES = {
    "standard": Profile(1.0, 0.11, 1.0),
    "reward_low_FP_rate": Profile(1.0, 0.22, 1.0),
    "reward_low_FN_rate": Profile(1.0, 0.11, 2.0),
}


class NabFile(NamedTuple):
    name: str
    times: Array
    values: Array
    probation: int
    windows: int
    """How many, those that lie in the probation included."""
    window: NDArray[np.int64]
    """Per sample: the number of the window that it lies in, -1 for none, -2 in the probation."""
    worth: Array
    """Per sample: what an alarm there counts, before its weight."""


def read(folder: Path) -> list[NabFile]:
    labels = json.loads((folder / "labels" / "combined_windows.json").read_text())
    files: list[NabFile] = []
    for name in sorted(labels):
        with (folder / "data" / name).open() as lines:
            rows = list(csv.reader(lines))[1:]
        stamps = np.array([row[0] for row in rows], "datetime64[s]")
        values = np.array([float(row[1]) for row in rows])
        bounds = [(np.datetime64(start, "s"), np.datetime64(end, "s")) for start, end in labels[name]]
        files.append(_file(name, stamps, values, bounds, sum(f.windows for f in files)))
    return files


def _file(
    name: str,
    stamps: NDArray[np.datetime64],
    values: Array,
    bounds: list[tuple[np.datetime64, np.datetime64]],
    number: int,
) -> NabFile:
    """The sigmoid of the place in a window, and of the distance from the end of the last one."""
    count = len(values)
    window, worth = np.full(count, -1), np.full(count, -1.0)
    spans = [(int(np.argmax(stamps == s)), int(np.argmax(stamps == e))) for s, e in bounds]
    for place, (left, right) in enumerate(spans):
        width = right - left + 1
        for i in range(left, right + 1):
            window[i], worth[i] = number + place, _sigmoid(-(right - i + 1) / width) / _sigmoid(-1.0)
        until = spans[place + 1][0] if place + 1 < len(spans) else count
        for i in range(right + 1, until):
            worth[i] = _sigmoid((i - right) / (width - 1))
    probation = min(0.15 * count // 1, 750.0)
    window[: math.ceil(probation)] = -2
    return NabFile(name, stamps.astype(float), values, int(probation), len(spans), window, worth)


def _sigmoid(x: float) -> float:
    return -1.0 if x > 3.0 else 2.0 / (1.0 + math.exp(5.0 * x)) - 1.0


def optimised(files: list[NabFile], scores: list[Array], profile: Profile) -> tuple[float, float]:
    """``final score, threshold``: the best over all thresholds, as NAB's optimiser takes it."""
    score = np.concatenate([s[f.window > -2] for f, s in zip(files, scores, strict=True)])
    window = np.concatenate([f.window[f.window > -2] for f in files])
    worth = np.concatenate([f.worth[f.window > -2] for f in files])
    order = np.argsort(-score, kind="stable")
    score, window, worth = score[order], window[order], worth[order]
    present = set(window[window >= 0].tolist())
    best = dict.fromkeys(present, -profile.missed)
    base = total = -profile.missed * len(present)
    highest, threshold, current = total, math.inf, math.inf
    for value, at, counts in zip(score.tolist(), window.tolist(), worth.tolist(), strict=True):
        if value != current:
            if total > highest:
                highest, threshold = total, current
            current = value
        if at < 0:
            total += profile.false * counts
        elif profile.found * counts > best[at]:
            total += profile.found * counts - best[at]
            best[at] = profile.found * counts
    if total > highest:
        highest, threshold = total, current
    return _normalised(highest, base, files, profile), threshold


def at_threshold(files: list[NabFile], scores: list[Array], profile: Profile, threshold: float) -> float:
    """The final score of these files at a threshold that was found elsewhere."""
    total = base = 0.0
    for file, score in zip(files, scores, strict=True):
        alarm = score >= threshold
        total += profile.false * float(file.worth[alarm & (file.window == -1)].sum())
        for at in np.unique(file.window[file.window >= 0]):
            base -= profile.missed
            found = file.worth[alarm & (file.window == at)]
            total += (
                max(profile.found * float(found.max()), -profile.missed) if len(found) else -profile.missed
            )
    return _normalised(total, base, files, profile)


def _normalised(total: float, base: float, files: list[NabFile], profile: Profile) -> float:
    """0 for no alarm at all, 100 for an alarm at the start of each window and no other."""
    return 100.0 * (total - base) / (sum(f.windows for f in files) * profile.found - base)

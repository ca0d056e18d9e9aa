"""A new pod among old ones: false alarms in its first hour, and a fault at minute 10; borrowing and not.

    python -m tests.bench.coldstart [--workloads N] [--kind adaptive|residual]

Made series of several kinds (Gaussian, heavy-tailed, counts, jobs that come and go, AR, mostly none),
each a workload with 4 pods that the engine has known for two days at a sample in 15 s, each pod with a level
of its own. Then one more pod of each starts. Rows go through the engine's own detection stage, with limits
and debounce as they are by default; the bar is 4, so that there is something to count, and, for what does not
borrow, what so few samples support is not taken into account, else it would never speak.

`false_alarms`: how often new series began to fire in their first hour. `recall`: of the new series that get
a fault at minute 10 (their level rises by twice what an elder was ever above its own in the two days, and
stays), the share that fires within 5 minutes and had not before; `recall_elder`: of the elders with the same
fault at the same time. The last line is one JSON object.
"""

import argparse
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.config import Config
from aiops.core.anomalies import AnomalyWatch
from aiops.core.siblings import Siblings
from aiops.engine.attention import acquaint
from aiops.engine.state import State
from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex, labels_of
from aiops.testing import ScriptedConnector

Rng = np.random.Generator
Matrix = NDArray[np.float64]
START, EVERY, BAR = 1_700_000_000.0 // 1800 * 1800, 15.0, 4.0
PODS, DAYS, HOUR, MINUTE = 4, 2, 240, 4
"""Elder pods of a workload; then samples."""
FAULT, WITHIN, TIMES = 10 * MINUTE, 5 * MINUTE, 2.0


def _jobs(rng: Rng, shape: tuple[int, int]) -> Matrix:
    """Every hour or so a job that takes a minute."""
    begins = rng.random(shape) < 1 / 240
    size = np.where(begins, rng.lognormal(3.0, 0.3, shape), 0.0)
    lasting = np.maximum.reduce([np.roll(size, lag, axis=0) for lag in range(4)])
    return np.asarray(rng.normal(size=shape) + lasting)


def _autoregressive(rng: Rng, shape: tuple[int, int]) -> Matrix:
    values = rng.normal(size=shape)
    for t in range(1, len(values)):
        values[t] += 0.6 * values[t - 1]
    return np.asarray(values * 0.8)


def _mostly_none(rng: Rng, shape: tuple[int, int]) -> Matrix:
    """Errors: none, but for a minute in an hour with some."""
    on = rng.random(shape) < 1 / 240
    lasting = np.logical_or.reduce([np.roll(on, lag, axis=0) for lag in range(4)])
    return np.asarray(np.where(lasting, rng.poisson(3.0, shape), 0.0))


KINDS: dict[str, Callable[[Rng, tuple[int, int]], Matrix]] = {
    "gaussian": lambda rng, shape: rng.normal(size=shape),
    "student_t3": lambda rng, shape: rng.standard_t(3, shape) / 1.7,
    "counts": lambda rng, shape: np.asarray((rng.poisson(2.0, shape) - 2.0) / 1.4, float),
    "jobs": _jobs,
    "autoregressive": _autoregressive,
    "mostly_none": _mostly_none,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="A new pod among old ones.")
    parser.add_argument("--workloads", type=int, default=60, help="of each kind")
    parser.add_argument("--kind", choices=["adaptive", "residual"], default="adaptive")
    args = parser.parse_args()
    both = (("without", False), ("with", True))
    told = {name: run(args.workloads, borrowing, args.kind) for name, borrowing in both}
    before, after = told["without"], told["with"]
    figures = {
        "false_alarms": after["false"],
        "false_alarms_without": before["false"],
        "false_alarms_elder": after["false_elder"],
        "false_ratio": round(after["false"] / max(before["false"], 1), 3),
        "recall": round(after["recall"], 3),
        "recall_without": round(before["recall"], 3),
        "recall_elder": round(after["recall_elder"], 3),
        "of": {name: {k: after[k][name] for k in ("false_of", "recall_of")} for name in KINDS},
        "floors": {"false_ratio": 0.2, "recall": 0.8},
    }
    print(json.dumps(figures))


def run(workloads: int, borrowing: bool, kind: str = "adaptive") -> dict[str, Any]:
    """One world; half of the new pods get a fault, and false alarms are counted of the others."""
    rng = np.random.default_rng(23)
    names = [f"{kind}-{i}" for kind in KINDS for i in range(workloads)]
    index = SeriesIndex()
    config = {
        "sources": [ScriptedConnector(name="pods", every=EVERY)],
        "detection": {"detectors": [{"kind": kind}]},
    }
    state = State(Config.model_validate(config), [], index)
    elder = _slots(index, names, [f"pod-{i}" for i in range(PODS)])
    elders = values(rng, workloads, PODS, (DAYS * 24 + 1) * HOUR)
    history, old = elders[:-HOUR], elders[-HOUR:]
    for at in range(0, len(history), 120):
        part = history[at : at + 120]
        state.learn(Frame(START + EVERY * np.arange(at, at + len(part), dtype=float), elder, part))
    fresh = _slots(index, names, [f"pod-{PODS}"])
    if not borrowing:
        state.siblings = _Strangers(index)
    new = values(rng, workloads, 1, HOUR)
    faulty: NDArray[np.bool_] = np.arange(len(names)) % 2 == 1
    highest = history[:, : len(names)].max(axis=0) - np.median(history[:, : len(names)], axis=0)
    new[FAULT:] += faulty * TIMES * highest
    old[FAULT:, : len(names)] += faulty * TIMES * highest
    slots, both = np.r_[elder, fresh], np.c_[old, new]
    times = START + EVERY * np.arange(len(history), len(history) + HOUR, dtype=float)
    every = np.array([_fires(state, row, slots) for row in Frame(times, slots, both).rows()])
    fired, known = every[:, len(elder) :], every[:, : len(names)]
    before, soon = fired[:FAULT].any(axis=0), fired[FAULT : FAULT + WITHIN].any(axis=0)
    begins = fired & ~np.concatenate([np.zeros((1, len(names)), bool), fired[:-1]])
    elder_false = int((known & ~np.concatenate([known[:1], known[:-1]]))[:, ~faulty].sum())
    false, caught = np.asarray(begins.sum(axis=0) * ~faulty), np.asarray(soon & ~before & faulty)
    rows: dict[str, NDArray[np.bool_]] = {
        kind: np.array([name.startswith(f"{kind}-") for name in names]) for kind in KINDS
    }
    return {
        "false": int(false.sum()),
        "false_elder": elder_false,
        "recall": float(caught.sum() / faulty.sum()),
        "recall_elder": float(known[FAULT : FAULT + WITHIN, faulty].any(axis=0).mean()),
        "false_of": {name: int(false[mine].sum()) for name, mine in rows.items()},
        "recall_of": {name: float(caught[mine].sum() / faulty[mine].sum()) for name, mine in rows.items()},
    }


class _Strangers(Siblings):
    """Nobody is known to anybody; what is new speaks by what it has seen alone."""

    def due(self, seen: NDArray[np.uint32], now: float) -> NDArray[np.int32]:
        return np.zeros(0, np.int32)


def _slots(index: SeriesIndex, names: list[str], pods: list[str]) -> NDArray[np.int32]:
    return index.slots(
        labels_of({"__name__": "load", "workload": name, "pod": f"{name}-{pod}"})
        for pod in pods
        for name in names
    )


def values(rng: Rng, workloads: int, pods: int, samples: int) -> Matrix:
    """``[samples, pods * kinds * workloads]``, pod by pod."""
    parts = []
    for _ in range(pods):
        shapes = [make(rng, (samples, workloads)) for make in KINDS.values()]
        noise = np.concatenate(shapes, axis=1)
        parts.append(noise + rng.integers(20, 40, noise.shape[1]))
    return np.concatenate(parts, axis=1)


def _fires(state: State, row: Frame, slots: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which of `slots` fire at this row."""
    state.welcome()
    hold = np.zeros(state.index.capacity, bool)
    scored = state.detection.step(row, hold)
    watch: AnomalyWatch = state.anomalies
    if isinstance(state.siblings, _Strangers):
        watch.columns["seen"][:] = 10**9
    found = {s.labels for s in watch.step(scored, BAR, state.detector_names) if s.fires}
    acquaint(state, scored.time)
    return np.array([state.index.labels(slot) in found for slot in slots.tolist()])


if __name__ == "__main__":
    main()

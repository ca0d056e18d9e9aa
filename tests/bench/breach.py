"""How early, how often wrongly and with what intervals a breach is announced, beside the usual rules.

    python -m tests.bench.breach [--each 40] [--tune SEED ...] [--test SEED]

Series are made by `breach_data`, ``each`` of five kinds, with other seeds for tuning and for the test. Every
method gets the one threshold that on the tuning seeds announces most breaches an hour ahead at no more than
.02 false alarms a series-day in 49 of 50 sets as large as the test's, their number being Poisson: with .02 on
the mean of the tuning seeds, every second other seed would be over. An alarm has to hold for three samples,
as in the product, ends after an hour without, is true when a breach comes while it stands or within 12 h of
its start (it is not judged where the data end before), and its lead is counted up to 12 h; two days of each
series are for learning.

Whether what is told with a forecast is kept, on the test's seed: `chance_error` is the mean of |said - came|
over tenths of P(breach within 4 h) from .05 on, weighed by how often each was said, `chance_said` and
`chance_came` their means while a breach is announced, `times_coverage` the share of breaches within 4 h that
came in their interval of times.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from aiops.core.experts import Experts
from tests.bench.breach_data import DAY, LIMIT, STEP, Made, series

Floats = NDArray[np.float64]
LOOK, SKIP, HELD, RELEASE, FALSE = 144, 2 * DAY, 3, 12, 0.02
MARGIN = 2.0
"""Standard deviations of a count that 49 of 50 stay below."""
HORIZON = 4 * 3600.0


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--each", type=int, default=40)
    ask.add_argument("--tune", type=int, nargs="+", default=[10, 12, 13, 14, 15, 16])
    ask.add_argument("--test", type=int, default=11)
    chosen = ask.parse_args()
    if chosen.test in chosen.tune:
        ask.error("the test's seed may not be one of those tuned on")
    tune = [series(seed, chosen.each) for seed in chosen.tune]
    test = series(chosen.test, chosen.each)
    out: dict[str, object] = {"bench": "breach", "series": len(test), "seeds": [*chosen.tune, chosen.test]}
    began = time.perf_counter()
    learnt = [experts(made)[0] for made in tune]
    scores, coverage, each = experts(test)
    took = (time.perf_counter() - began) / (len(tune) + 1) / len(test) / len(test[0].values)
    sure, figures = best(tune, learnt, test, scores, np.linspace(0.02, 0.98, 49))
    out |= figures | {"threshold": round(sure, 3), "coverage": coverage, "coverage_by_hours": each}
    out |= promises(test)
    out["us_a_point"] = round(took * 1e6, 1)
    for name, method in PEERS.items():
        _, figures = best(
            tune, [_each(made, method) for made in tune], test, _each(test, method), np.geomspace(0.1, 40, 60)
        )
        out |= {f"{name}_{key}": value for key, value in figures.items()}
    print(json.dumps(out))


def experts(made: Sequence[Made]) -> tuple[NDArray[np.float64], float, dict[str, float]]:
    """(P(breach) ``[S, T]``, share of values inside their 90 % intervals, the same by horizon in hours)."""
    values = np.stack([one.values for one in made])
    count, length = values.shape
    model = Experts(LIMIT, 1, HORIZON)
    slots = np.arange(count, dtype=np.int32)
    chance: Floats = np.zeros((count, length))
    inside, of = np.zeros(len(model.ahead)), np.zeros(len(model.ahead))
    for t in range(length):
        now = 1_760_000_100.0 + t * STEP
        model.learn(now, slots, values[:, t])
        chance[:, t] = model.chance(slots, values[:, t])
        if t >= SKIP:
            low, high = model.intervals(slots)
            for j, ahead in enumerate(model.ahead):
                if t + ahead < length:
                    then = values[:, t + ahead]
                    known = np.isfinite(low[:, j])
                    inside[j] += ((then >= low[:, j]) & (then <= high[:, j]))[known].sum()
                    of[j] += known.sum()
    hours: dict[str, float] = {
        f"{ahead * STEP / 3600:g}": round(float(i / n), 3)
        for ahead, i, n in zip(model.ahead, inside, of, strict=True)
    }
    return chance, round(float(inside.sum() / of.sum()), 4), hours


def promises(made: Sequence[Made]) -> dict[str, float]:
    """How far chances and intervals of times are kept, as above."""
    values = np.stack([one.values for one in made])
    steps, length = int(HORIZON / STEP), values.shape[1]
    model = Experts(LIMIT, 1, HORIZON)
    slots = np.arange(len(values), dtype=np.int32)
    said: list[Floats] = []
    came: list[NDArray[np.bool_]] = []
    told: list[NDArray[np.bool_]] = []
    inside: list[NDArray[np.bool_]] = []
    for t in range(length - steps):
        now = 1_760_000_100.0 + t * STEP
        model.learn(now, slots, values[:, t])
        if t < SKIP:
            continue
        found = model.crossing(now, slots, values[:, t])
        over = values[:, t : t + steps + 1] >= LIMIT
        below, comes, first = ~over[:, 0], over.any(1), now + over.argmax(1) * STEP
        said.append(found.chance[below])
        came.append(comes[below])
        told.append(np.isfinite(found.expected)[below])
        # a sample tells only that the crossing came in the step before it
        kept = (found.earliest <= first) & (first - STEP <= found.latest)
        inside.append(kept[below & comes & np.isfinite(found.expected)])
    chance, real, announced = np.concatenate(said), np.concatenate(came), np.concatenate(told)
    tenth = np.minimum(chance * 10, 9).astype(int)
    judged = chance >= 0.05
    off = [abs(chance[at].sum() - real[at].sum()) for k in range(10) if (at := judged & (tenth == k)).any()]
    return {
        "chance_error": round(float(sum(off) / judged.sum()), 3),
        "chance_said": round(float(chance[announced].mean()), 3),
        "chance_came": round(float(real[announced].mean()), 3),
        "times_coverage": round(float(np.concatenate(inside).mean()), 3),
    }


def _each(made: Sequence[Made], method: Callable[[Floats], Floats]) -> Floats:
    return np.stack([method(one.values) for one in made])


def predict_linear(points: int) -> Callable[[Floats], Floats]:
    """Horizon over time to breach of PromQL's predict_linear on a window of so many samples."""
    x = np.arange(points) - (points - 1) / 2

    def method(values: Floats) -> Floats:
        windows = np.lib.stride_tricks.sliding_window_view(values, points)
        slope = windows @ x / (x @ x)
        now = windows.mean(1) + slope * (points - 1) / 2
        return _urgency(values, np.append(np.zeros(points - 1), slope), np.append(values[: points - 1], now))

    return method


def netdata(values: Floats) -> Floats:
    """Its disk-fill rule: the rate since the window that ended 50 minutes ago, to the limit at that rate."""
    before = np.full(len(values), np.inf)
    before[12:] = np.max(np.stack([values[:-12], values[1:-11], values[2:-10]]), axis=0)
    return _urgency(values, np.where(np.isinf(before), 0.0, (values - before) / 10), values)


def _urgency(values: Floats, slope: Floats, now: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(now >= LIMIT, 0.01, np.where(slope > 1e-9, (LIMIT - now) / slope, 1e9))
    out: Floats = 48 / np.maximum(left, 0.5)
    return out


PEERS = {
    "netdata": netdata,
    "predict_linear_1h": predict_linear(12),
    "predict_linear_6h": predict_linear(72),
    "predict_linear_24h": predict_linear(288),
}


def best(
    tune: Sequence[Sequence[Made]],
    learnt: Sequence[Floats],
    test: Sequence[Made],
    scores: Floats,
    grid: Floats,
) -> tuple[float, dict[str, float]]:
    """The threshold chosen on the sets of `tune`, and what it gives on `test`."""
    days = len(test) * (len(test[0].values) - SKIP) / DAY
    found = []
    for bar in grid:
        said = [judge(made, one, bar) for made, one in zip(tune, learnt, strict=True)]
        rate = sum(one["false_a_series_day"] for one in said) / len(said)
        worst = rate + MARGIN * (rate / days) ** 0.5
        found.append((worst, sum(one["recall_60"] for one in said), float(bar)))
    least = max(FALSE, min(found)[0])
    bar = max(found, key=lambda one: (one[0] <= least, one[1]))[2]
    return bar, judge(test, scores, bar)


def judge(made: Sequence[Made], scores: Floats, bar: float) -> dict[str, float]:
    leads: list[float] = []
    wrong, days = 0, 0.0
    for one, score in zip(made, scores, strict=True):
        days += (len(score) - SKIP) / DAY
        starts, ends = alarms(score >= bar)
        breaches = crossings(one.values)
        for start, end in zip(starts, ends, strict=True):
            until = min(max(end, start + LOOK), start + DAY)
            # what the end of the data leaves open is not judged
            if one.values[start] < LIMIT and until < len(score):
                wrong += not ((breaches >= start) & (breaches <= until)).any()
        for breach in breaches:
            standing = starts[(starts < breach) & (ends >= breach - RELEASE)]
            lead = min(breach - standing.min(), LOOK) if len(standing) else 0
            leads.append(lead * STEP / 60)
    found = np.array(leads)
    out = {f"recall_{m}": round(float((found >= m).mean()), 3) for m in (30, 60, 120)}
    return out | {
        "median_lead_min": float(np.median(found)),
        "false_a_series_day": round(wrong / days, 4),
        "breaches": len(found),
    }


def alarms(on: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last sample of each alarm after the learning days."""
    held = on.copy()
    for k in range(1, HELD):
        held &= np.roll(on, k)
    held[: HELD - 1] = False
    kept = np.convolve(held, np.ones(RELEASE))[: len(held)] > 0
    edge = np.diff(np.concatenate([[0], kept[SKIP:].astype(int), [0]]))
    return np.flatnonzero(edge == 1) + SKIP, np.flatnonzero(edge == -1) + SKIP - 1


def crossings(values: Floats, quiet: int = 36) -> NDArray[np.int64]:
    """Samples that reach the limit after three hours below it."""
    at = np.flatnonzero((values[1:] >= LIMIT) & (values[:-1] < LIMIT)) + 1
    return np.array([t for t in at if t >= SKIP and (values[max(0, t - quiet) : t] < LIMIT).all()], int)


if __name__ == "__main__":
    main()

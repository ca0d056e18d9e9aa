"""Alert storms into problems, on streams composed of TVDiag's hotel faults (real alerts and topology).

    python -m tests.bench.correlation --data DIR

Ten copies of the application; in each a fault some 30 min after the last, its alerts delayed by exponential
times (mean 45 s, at most 3 min), some noise; with the given probability a second, independent fault hits the
same copy 60 s later. Figures at pair rates 0, .3 and .6, mean of three seeds: adjusted Rand index, and the
share of faults with one problem that holds 80 % of their alerts and is 80 % theirs. Baselines on the same
streams: four gaps in time, one entity (exact label), one application. `alerts_per_s`: 5,000 entities;
`storm_groups`, `storm_largest`: problems formed from alerts at random on them, and the share of the largest.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aiops.core.affinity import Affinity, Mark
from aiops.core.topology import Topology

APPS, FAULTS, SEEDS = 10, 200, (1, 2, 3)
GAP, SPREAD, NOISE, APART = 1800.0, 45.0, 0.2, 60.0


@dataclass(frozen=True, slots=True)
class Hotel:
    faults: list[list[tuple[str, str]]]
    links: list[tuple[str, str]]


Stream = list[tuple[Mark, int]]


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--data", type=Path, required=True)
    hotel = read(ask.parse_args().data / "tvdiag_hotel" / "raw")
    topology = [(f"{a}/{x}", f"{a}/{y}") for a in range(APPS) for x, y in hotel.links]
    out: dict[str, object] = {"bench": "correlation", "faults": FAULTS, "seeds": SEEDS}
    for pair in (0, 30, 60):
        found: dict[str, list[tuple[float, float]]] = {}
        for seed in SEEDS:
            stream = compose(hotel, pair / 100, seed)
            for name, method in methods(topology).items():
                found.setdefault(name, []).append(score(method([mark for mark, _ in stream]), stream))
        for name, figures in found.items():
            ari, one = np.mean(figures, axis=0)
            out[f"{name}ari_{pair}"], out[f"{name}one_per_fault_{pair}"] = round(ari, 4), round(one, 4)
    print(json.dumps(out | speed() | storm()))


def read(folder: Path) -> Hotel:
    """Faults with three alerts and more; links that are seen in three of ten."""
    said = {
        name: json.loads((folder / f"{name}.json").read_text())
        for name in ("metrics", "traces", "logs", "nodes", "edges")
    }
    faults, links = [], Counter[tuple[str, str]]()
    for case, nodes in said["nodes"].items():
        alerts = [(m[0], f"metric {m[-2]} {m[-1]}") for m in said["metrics"].get(case, [])]
        alerts += [(t[1], f"trace {t[-1]}") for t in said["traces"].get(case, [])]
        alerts += [(line[0], f"log {line[1]}") for line in said["logs"].get(case, [])]
        if len(alerts) >= 3:
            faults.append(alerts)
        links.update({(nodes[a], nodes[b]) for a, b in said["edges"].get(case, []) if a != b})
    usual = 0.3 * len(said["nodes"])
    return Hotel(faults, sorted(link for link, count in links.items() if count > usual))


def compose(hotel: Hotel, pair: float, seed: int) -> Stream:
    """(mark, fault) in time order; fault -1 is noise."""
    rng = np.random.default_rng(seed)
    entities = sorted({entity for fault in hotel.faults for entity, _ in fault})
    order = [int(i) for i in rng.permutation(len(hotel.faults))][:FAULTS]
    clock, out, label = np.zeros(APPS), [], 0
    while order:
        app = int(np.argmin(clock)) if rng.random() < 0.5 else int(rng.integers(APPS))
        clock[app] += 300 + rng.exponential(GAP - 300)
        starts = [clock[app]] + [clock[app] + APART] * (rng.random() < pair and len(order) > 1)
        for start in starts:
            for entity, text in hotel.faults[order.pop()]:
                at = start + min(rng.exponential(SPREAD), 180.0)
                out.append((Mark(at, f"{app}/{entity}", text, str(app)), label))
            label += 1
    end = max(mark.at for mark, _ in out)
    for _ in range(int(NOISE * APPS * end / 60)):
        app, entity = int(rng.integers(APPS)), str(rng.choice(entities))
        text = f"noise {int(rng.integers(50))}"
        out.append((Mark(float(rng.uniform(0, end)), f"{app}/{entity}", text, str(app)), -1))
    return sorted(out, key=lambda one: one[0].at)


Method = Callable[[Sequence[Mark]], list[int]]


def methods(topology: list[tuple[str, str]]) -> dict[str, Method]:
    return {
        "": lambda marks: ours(marks, Topology(topology)),
        **{f"time_gap_{gap}s_": _time_gap(gap) for gap in (5, 15, 30, 120)},
        "exact_label_": lambda marks: gaps(marks, lambda mark: mark.entity, 300.0),
        "by_app_": lambda marks: gaps(marks, lambda mark: mark.namespace, 120.0),
    }


def _time_gap(gap: float) -> Method:
    return lambda marks: gaps(marks, lambda _: "", gap)


def ours(marks: Sequence[Mark], topology: Topology) -> list[int]:
    affinity = Affinity(topology)
    placed = [affinity.add(mark).group for mark in marks]
    return [affinity.find(group) for group in placed]


def gaps(marks: Sequence[Mark], key: Callable[[Mark], Hashable], gap: float) -> list[int]:
    """A group a key, until it is silent for `gap` seconds."""
    last: dict[Hashable, tuple[float, int]] = {}
    out, count = [], 0
    for mark in marks:
        at, group = last.get(key(mark), (-np.inf, -1))
        if mark.at - at > gap:
            group, count = count, count + 1
        last[key(mark)] = mark.at, group
        out.append(group)
    return out


def score(groups: Sequence[int], stream: Stream) -> tuple[float, float]:
    """(adjusted Rand index over alerts of faults, share of faults with one problem of their own)."""
    real = [(group, label) for group, (_, label) in zip(groups, stream, strict=True) if label >= 0]
    cells, size = Counter(real), Counter(group for group, _ in real)
    truth = Counter(label for _, label in real)
    one = 0
    for label, total in truth.items():
        group, held = max(((g, n) for (g, one_), n in cells.items() if one_ == label), key=lambda x: x[1])
        one += held >= 0.8 * total and held >= 0.8 * size[group]
    return rand(cells, size, truth), one / len(truth)


def rand(cells: Counter[tuple[int, int]], size: Counter[int], truth: Counter[int]) -> float:
    """Hubert and Arabie 1985."""
    together, a, b = (sum(n * (n - 1) / 2 for n in c.values()) for c in (cells, size, truth))
    total = sum(truth.values())
    chance = a * b / (total * (total - 1) / 2)
    return (together - chance) / ((a + b) / 2 - chance)


def scattered(count: int, rate: float) -> tuple[list[Mark], Topology]:
    """Alerts at random on 5,000 entities in 250 applications of 20, each a tree of calls."""
    rng = np.random.default_rng(7)
    names = [f"{i // 20}/{i % 20}" for i in range(5000)]
    links = [(names[i // 20 * 20 + int(rng.integers(i % 20))], names[i]) for i in range(5000) if i % 20]
    times = np.cumsum(rng.exponential(1 / rate, count))
    picks = rng.integers(5000, size=count)
    marks = [
        Mark(float(t), names[i], f"text {i % 40}", names[i].split("/")[0])
        for t, i in zip(times, picks, strict=True)
    ]
    return marks, Topology(links)


def speed() -> dict[str, float]:
    marks, topology = scattered(20_000, 20.0)
    start = time.perf_counter()
    ours(marks, topology)
    return {"alerts_per_s": round(len(marks) / (time.perf_counter() - start))}


def storm() -> dict[str, float]:
    """Every entity twice a minute and a half, for five minutes."""
    marks, topology = scattered(30_000, 100.0)
    size = Counter(ours(marks, topology))
    return {"storm_groups": len(size), "storm_largest": round(max(size.values()) / len(marks), 4)}


if __name__ == "__main__":
    main()

"""How often the true tier of a real three-tier application leads, over seeded faults.

    python -m tests.bench.cause_real [--runs 30] [--pairs 6] [--first SEED]

Proxy -> app -> redis are real processes under load, scraped by a real Prometheus each second (see
`tests/e2e/cause_world.py`). Each run injects one fault, tiers in turn, kind (slow, errors) and size by seed,
for 25 s, which takes some 75 s. Each pair injects two at once for 40 s: they are told apart once a dozen
samples say so. Redis without memory lets all requests fail: of a caller that lets some of them fail nothing
can be seen then, and such pairs are left out.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

from tests.e2e.cause_world import Fault, cause_world, run_of


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--runs", type=int, default=30)
    ask.add_argument("--pairs", type=int, default=0)
    ask.add_argument("--first", type=int, default=0)
    chosen = ask.parse_args()
    alone, pairs = [], []
    with tempfile.TemporaryDirectory(prefix="fw-") as folder, cause_world(Path(folder)) as world:
        for seed in range(chosen.first, chosen.first + chosen.runs):
            alone.append(run_of(world, [Fault.of(seed)]))
            print(json.dumps(alone[-1]), flush=True)
        for both in islice(_pairs(chosen.first), chosen.pairs):
            pairs.append(run_of(world, both, lasting=40.0))
            print(json.dumps(pairs[-1]), flush=True)
    out = {"bench": "cause_real", "runs": len(alone), "pairs": len(pairs)}
    print(json.dumps(out | _figures(alone, "") | _figures(pairs, "pairs_")))


def _pairs(first: int) -> Iterator[list[Fault]]:
    """Two tiers at once, those in turn; none in which one fault hides the other."""
    for seed in count(first):
        both = [Fault.of(seed), Fault.of(seed + 2)]
        if "redis" not in {f.tier for f in both} or {f.kind for f in both} != {"errors"}:
            yield both


def _figures(runs: list[dict[str, Any]], prefix: str) -> dict[str, float]:
    """Shares of runs with as many problems as faults, and with the true tiers first in them."""
    if not runs:
        return {}
    whole = [one for one in runs if one["problems"] == len(one["faults"])]
    true = [one for one in whole if sorted(one["first"]) == sorted(f.split()[0] for f in one["faults"])]
    both = [
        one
        for one in runs
        if {f.split()[0] for f in one["faults"]} <= {n for r in one["ranked"] for n in r[:2]}
    ]
    return {
        f"{prefix}one_problem_per_fault": round(len(whole) / len(runs), 3),
        f"{prefix}true_tier_first": round(len(true) / len(runs), 3),
        f"{prefix}true_tiers_among_two": round(len(both) / len(runs), 3),
    }


if __name__ == "__main__":
    main()

"""Root cause on PetShop (low traffic) and Nezha (Online Boutique, one day), beside BARO and N-Sigma.

    python -m tests.bench.rootcause --data DIR [--verbose]

`ac1`, `ac3`: the true component is first, or among the first three. The peers are the published code of
PyPI's rcaeval (extra `bench`): its own module, loaded without the package's thirty dependencies; N-Sigma
there is BARO with the standard scaler. They take metrics alone, gaps carried forward
and else 0, as rcaeval does it.
`unknown_when_quiet`: share of windows without a fault (two a case, seed 0) of which the ranker says that it
does not know; `known_when_faulty`: share of faults of which it says that it does.
"""

import argparse
import dataclasses
import importlib.util
import json
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd  # type: ignore[import-untyped]

from aiops.core.rootcause import rank
from tests.bench.rootcause_data import NEZHA, PETSHOP, Case, nezha, petshop

Ranker = Callable[[Case], list[str]]
QUIET = 2


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--data", type=Path, required=True)
    ask.add_argument("--verbose", action="store_true", help="one line a case")
    chosen = ask.parse_args()
    out: dict[str, object] = {"bench": "rootcause", "data": f"{PETSHOP}, {NEZHA}"}
    took: list[float] = []
    for name, cases in (("petshop", list(petshop(chosen.data))), ("nezha_ob", list(nezha(chosen.data)))):
        out[f"{name}_cases"] = len(cases)
        figures, seconds = ours(cases, chosen.verbose)
        took += seconds
        out |= {f"{name}_{key}": value for key, value in figures.items()}
        for peer, scaler in (("baro", "RobustScaler"), ("nsigma", "StandardScaler")):
            ranker = rcaeval(scaler)
            places = [place(ranker(case), case.root) for case in cases]
            out |= {f"{name}_{peer}_{key}": value for key, value in at(places).items()}
    out["p95_seconds"] = round(float(np.percentile(took, 95)), 4)
    print(json.dumps(out))


def ours(cases: Sequence[Case], verbose: bool) -> tuple[dict[str, float], list[float]]:
    places, seconds, known = [], [], 0
    for case in cases:
        start = time.perf_counter()
        verdict = rank(case.evidence)
        seconds.append(time.perf_counter() - start)
        places.append(place([cause.component for cause in verdict.ranked], case.root))
        known += verdict.known
        if verbose:
            first = verdict.ranked[0]
            why = first.reasons[0] if first.reasons else verdict.because
            print(f"{case.name:<28} {case.root:<42} place {places[-1]:>2}  {first.component}: {why}")
    quiet = [rank(window.evidence).known for window in without_fault(cases)]
    extra = {
        "unknown_when_quiet": round(1 - sum(quiet) / len(quiet), 3),
        "known_when_faulty": round(known / len(cases), 3),
    }
    return at(places) | extra, seconds


def without_fault(cases: Sequence[Case]) -> list[Case]:
    """Windows cut out of the normal time of each case, which keeps the rest as its normal."""
    rng, out = np.random.default_rng(0), []
    for case in cases:
        width, normal = len(case.evidence.fault), case.evidence.normal
        for start in rng.integers(0, len(normal) - width, QUIET):
            cut = np.s_[start : start + width]
            rest = np.delete(normal, cut, axis=0)
            evidence = dataclasses.replace(case.evidence, normal=rest, fault=normal[cut])
            out.append(Case(case.name, evidence, ""))
    return out


def place(ranked: list[str], root: str) -> int:
    return ranked.index(root) + 1 if root in ranked else len(ranked) + 1


def at(places: list[int]) -> dict[str, float]:
    ranks = np.array(places)
    return {f"ac{k}": round(float((ranks <= k).mean()), 3) for k in (1, 3)}


def rcaeval(scaler: str) -> Ranker:
    """The package's BARO under the given scaler of scikit-learn."""
    package = importlib.util.find_spec("RCAEval")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("the peers need PyPI's rcaeval and scikit-learn: pip install -e '.[bench]'")
    file = Path(package.submodule_search_locations[0]) / "e2e" / "baro.py"
    spec = importlib.util.spec_from_file_location(f"rcaeval_{scaler}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.__dict__["RobustScaler"] = module.__dict__[scaler]

    def ranker(case: Case) -> list[str]:
        frame, start = _frame(case)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ranks = module.baro(frame, start, dataset="")["ranks"]
        return list(dict.fromkeys(name.split("\t")[0] for name in ranks))

    return ranker


def _frame(case: Case) -> tuple[pd.DataFrame, float]:
    measures = case.evidence.measures
    keep = [i for i, measure in enumerate(measures) if not measure.callee]
    names = [f"{measures[i].component}\t{measures[i].metric}" for i in keep]
    values = np.concatenate([case.evidence.normal, case.evidence.fault])[:, keep]
    frame = pd.DataFrame(values, columns=names).ffill().fillna(0)
    frame.insert(0, "time", np.arange(len(frame), dtype=float))
    return frame, float(len(case.evidence.normal))


if __name__ == "__main__":
    main()

"""`novelty`, and river's detectors, on the Numenta Anomaly Benchmark.

    python -m tests.bench.nab --data DIR

`DIR` holds ``data``, ``labels``, ``published.json`` and ``reference_scores.npz``. Every detector sees each
file once, sample by sample, and nothing of it in advance but the length of its probation, as the protocol
grants; none is told a file's least and greatest value. One configuration for all files:

- `standard`, `reward_low_FP`, `reward_low_FN`: NAB's final scores, its optimiser choosing the threshold;
- `half_split_mean`: the threshold chosen on a random half of each folder's files, the standard score of the
  others; mean of 5 seeds. The configuration is the same: it was chosen on all files (docs/evaluation.md);
- `fixed_warmup`: standard, with one warm-up for all files instead of a share of the file's length;
- `scorer_max_error`: own scorer against the published final scores of two reference detectors.

The last line is one JSON object.
"""

import argparse
import importlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.model.frame import Frame
from aiops.plugin.calibration import calibrated
from detectors.novelty import Novelty
from tests.bench._nab_scores import PROFILES, NabFile, at_threshold, optimised, read

Array = NDArray[np.float64]
REFERENCES = ("windowedGaussian", "earthgeckoSkyline")
SETTLE = 0.6
"""Of the probation: the samples before the first score."""
FIXED = 300
"""Samples of the fixed warm-up."""
QUIET, STEP = 0.2, 0.8
"""Of a probation: how long an alarm holds back others of its height; what counts as higher, in decades."""


def main() -> None:
    parser = argparse.ArgumentParser(description="The Numenta Anomaly Benchmark.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--no-river", action="store_true", help="leave river's detectors out")
    args = parser.parse_args()
    files = read(args.data)
    figures: dict[str, Any] = {"scorer_max_error": round(scorer_error(args.data, files), 6)}
    scores = [alarms(novelty(f, max(60, int(SETTLE * f.probation))), f) for f in files]
    finals = {p.removesuffix("_rate"): optimised(files, scores, PROFILES[p])[0] for p in PROFILES}
    figures |= {name: round(final, 2) for name, final in finals.items()}
    halves = [half_split(files, scores, seed) for seed in range(5)]
    figures["half_splits"] = [round(half, 2) for half in halves]
    figures["half_split_mean"] = round(float(np.mean(halves)), 2)
    fixed = [alarms(novelty(f, FIXED), f, FIXED / SETTLE) for f in files]
    figures["fixed_warmup"] = round(optimised(files, fixed, PROFILES["standard"])[0], 2)
    if not args.no_river:
        figures["river"] = river_figures(files)
    print(json.dumps(figures))


def scorer_error(folder: Path, files: list[NabFile]) -> float:
    """The largest difference to a published final score."""
    published = json.loads((folder / "published.json").read_text())["published_final_scores"]
    errors = []
    with np.load(folder / "reference_scores.npz") as z:
        for name in REFERENCES:
            scores = [_restored(name, z[f"{name}|{f.name}"], f) for f in files]
            for profile, weights in PROFILES.items():
                final = optimised(files, scores, weights)[0]
                errors.append(abs(final - published[name][profile]))
                print(f"{name:18s} {profile:20s} {final:.3f}, published {published[name][profile]:.3f}")
    return float(max(errors))


def _restored(name: str, scores: NDArray[np.float32], file: NabFile) -> Array:
    """Scores in the precision that they were published in.

    Kept as float32, windowedGaussian's scores just below 1 have become 1, which is its threshold. They are
    computed again, must then be those that were kept, and have the 12 decimals of the published files.
    """
    if name != "windowedGaussian":
        return scores.astype(float)
    again = _windowed_gaussian(file.values)
    differ = float(np.abs(again - scores).max())
    if differ > 1e-7:
        raise SystemExit(f"windowedGaussian differs by {differ:.2g} from its published scores on {file.name}")
    return np.round(again, 12)


def _windowed_gaussian(values: Array) -> Array:
    """NAB's baseline: 1 less the Gaussian tail beyond a sample, from 6,400 before it, in steps of 100."""
    window, step = 6400, 100
    scores, mean, deviation, end = np.zeros(len(values)), 0.0, 1.0, 0
    for i, value in enumerate(values.tolist()):
        if i > 0:
            scores[i] = 1.0 - 0.5 * math.erfc(abs(value - mean) / deviation / math.sqrt(2.0))
        if i < window or (i + 1 - window) % step == 0:
            end = i + 1
            seen = values[max(0, end - window) : end]
            mean, deviation = float(np.mean(seen)), float(np.std(seen)) or 0.000001
    return scores


def novelty(file: NabFile, warmup: int) -> Array:
    detector = Novelty(warmup_samples=warmup)
    frame = Frame(file.times, np.zeros(1, np.int32), file.values[:, None])
    return detector.update(frame, np.zeros(1, np.bool_)).score[:, 0].astype(float)


def alarms(scores: Array, file: NabFile, scale: float | None = None) -> Array:
    """Refractory by severity: a score passes if none of its step or higher passed a little before."""
    quiet = QUIET * (file.probation if scale is None else scale)
    out, last = np.zeros(len(scores)), np.full(64, -np.inf)
    for i in np.flatnonzero(scores >= STEP).tolist():
        step = min(int(scores[i] / STEP), 63)
        if i - last[step] > quiet:
            out[i] = scores[i]
            last[: step + 1] = i
    return out


def half_split(files: list[NabFile], scores: list[Array], seed: int) -> float:
    rng, folders = np.random.default_rng(seed), {f.name.split("/")[0] for f in files}
    chosen: set[int] = set()
    for folder in sorted(folders):
        members = [i for i, f in enumerate(files) if f.name.startswith(folder + "/")]
        half = len(members) // 2 + int(len(members) % 2 and rng.random() < 0.5)
        chosen |= set(rng.permutation(members)[:half].tolist())
    rest = [i for i in range(len(files)) if i not in chosen]
    profile = PROFILES["standard"]
    tune = sorted(chosen)
    threshold = optimised([files[i] for i in tune], [scores[i] for i in tune], profile)[1]
    return at_threshold([files[i] for i in rest], [scores[i] for i in rest], profile, threshold)


def river_figures(files: list[NabFile]) -> dict[str, dict[str, float]]:
    """Standard scores of river's own scores, and of the same after our calibration and refractory."""
    found: dict[str, dict[str, float]] = {}
    for name in ("StandardAbsoluteDeviation", "HalfSpaceTrees", "GaussianScorer", "SNARIMAX"):
        raw = [river(name, file.values) for file in files]
        warm = [alarms(calibrated(s, max(60, f.probation // 2)), f) for s, f in zip(raw, files, strict=True)]
        profile = PROFILES["standard"]
        found[name] = {
            "own": round(optimised(files, raw, profile)[0], 2),
            "calibrated": round(optimised(files, warm, profile)[0], 2),
        }
        print(f"river {name:26s} {found[name]}")
    return found


def river(name: str, values: Array) -> Array:
    """Scores of one of river's detectors; of the forecaster, its error."""
    river_of: Any = importlib.import_module("river.time_series" if name == "SNARIMAX" else "river.anomaly")
    scores = np.zeros(len(values))
    if name == "SNARIMAX":
        forecaster = river_of.SNARIMAX(p=8, d=1, q=0)
        for i, value in enumerate(values.tolist()):
            scores[i] = abs(value - forecaster.forecast(1)[0]) if i > 20 else 0.0
            forecaster.learn_one(value)
        return np.nan_to_num(scores, posinf=0.0)
    if name == "HalfSpaceTrees":
        scaler: Any = importlib.import_module("river.preprocessing").MinMaxScaler()
        forest = river_of.HalfSpaceTrees(seed=0)
        for i, value in enumerate(values.tolist()):
            scaler.learn_one({"value": value})
            features = scaler.transform_one({"value": value})
            scores[i] = forest.score_one(features)
            forest.learn_one(features)
        return scores
    model = getattr(river_of, name)()
    for i, value in enumerate(values.tolist()):
        scores[i] = model.score_one(None, value)
        model.learn_one(None, value)
    return np.nan_to_num(scores, posinf=0.0)


if __name__ == "__main__":
    main()

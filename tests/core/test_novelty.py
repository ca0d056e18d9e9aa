"""What people may rely on in `novelty`; its arithmetic is held against `tests/naive_novelty.py`."""

import numpy as np
import pytest
from numpy.typing import NDArray

from aiops.model.frame import Frame
from detectors import _novelty_fields as k
from detectors.novelty import Novelty
from tests.naive_novelty import NaiveNovelty

START = 1_700_000_000.0
SLOT = np.zeros(1, np.int32)
Row = NDArray[np.float64]


def _run(values: Row, warmup: int = 360, every: float = 300.0) -> Row:
    detector = Novelty(warmup_samples=warmup)
    frame = Frame(START + every * np.arange(len(values), dtype=float), SLOT, values[:, None])
    return np.asarray(detector._scored(frame, np.ones((len(values), 1), np.bool_)).score[:, 0], float)


@pytest.mark.parametrize("warmup", [60, 400])
@pytest.mark.parametrize("seed", [0, 1])
def test_scores_are_the_oracles(seed: int, warmup: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.stack([rng.normal(size=1500), rng.poisson(0.3, 1500) * 1.0], axis=1)
    values[800:900] += 4
    values[rng.random(values.shape) < 0.05] = np.nan
    times = START + np.cumsum(rng.choice([300.0, 301.0, 600.0, -10.0], 1500, p=[0.7, 0.2, 0.08, 0.02]))
    held = np.asarray(rng.random(values.shape)) < 0.05
    detector, plain = Novelty(warmup_samples=warmup), [NaiveNovelty(warmup) for _ in range(2)]
    slots = np.array([3, 70], np.int32)
    for at, time in enumerate(times):
        row, hold = values[at], held[at]
        got = detector.update(Frame(np.array([time]), slots, row[None]), hold).score[0]
        want = [p.step(float(time), float(row[i]), not hold[i]) for i, p in enumerate(plain)]
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3)


def test_more_windows_than_the_dictionary_keeps_push_out_the_oldest() -> None:
    rng = np.random.default_rng(5)
    values, naive = rng.normal(size=k.KEPT + 400), NaiveNovelty(60)
    want = [naive.step(START + 300.0 * i, float(value)) for i, value in enumerate(values)]
    np.testing.assert_allclose(_run(values, 60), want, rtol=1e-3, atol=1e-3)


def test_a_shape_never_seen_stands_out_within_the_usual_range() -> None:
    """A day that stays flat, between the values of all days."""
    rows = np.arange(14 * 288)
    values = 100 + 30 * np.sin(2 * np.pi * rows / 288) + np.random.default_rng(1).normal(size=len(rows))
    values[12 * 288 : 12 * 288 + 144] = 100.0
    scores = _run(values)
    assert scores[12 * 288 : 12 * 288 + 144].max() > scores[4 * 288 : 12 * 288].max() + 0.5


def test_the_same_event_again_is_less_of_a_surprise() -> None:
    values = np.random.default_rng(2).normal(size=6000)
    for at in (3000, 3600, 4200, 4800, 5400):
        values[at : at + 10] += 15
    scores = _run(values)
    assert scores[5400:5410].max() < scores[3000:3010].max() - 0.5


def test_the_day_follows_the_clock_of_the_zone() -> None:
    seconds, _ = Novelty(timezone="Europe/Berlin")._days(np.array([1_711_843_200.0, 1_711_850_400.0]))
    assert seconds.tolist() == [3600.0, 3 * 3600 + 3600.0]  # 31 March 2024: two o'clock is three

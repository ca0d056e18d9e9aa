"""A checkpoint that is taken in parts while samples go on coming."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from aiops.engine import capture, checkpoint
from aiops.engine.checkpoint import Checkpointer
from aiops.engine.state import State
from aiops.model.frame import Frame
from aiops.model.series import Labels, SeriesIndex
from aiops.plugin import LANES
from aiops.store import checkpoints
from aiops.store.database import Database
from detectors import _adaptive_fields as k
from tests.making import NOW, labels
from tests.walk import Walk, config_of

ADAPTIVE = {"detectors": [{"kind": "adaptive"}]}
OLD = [labels("load", instance=str(i)) for i in range(200)]
NEW = [labels("load", instance=f"new {i}") for i in range(30)]


def state_of(index: SeriesIndex | None = None) -> State:
    return State(config_of(detection=ADAPTIVE), [], index or SeriesIndex())


def tick(state: State, series: list[Labels], number: int) -> None:
    slots = state.index.slots(series)
    values = np.full((1, len(series)), float(number))
    state.learn(Frame(np.array([NOW + 2.0 * number]), slots, values))


def field(state: State, slot: int, number: int) -> float:
    blocks = state.detection.detectors[0].columns["blocks"]
    return float(blocks[slot // LANES, number // LANES, slot % LANES])


def taken(state: State, folder: Path, between: Callable[[int], None]) -> bool:
    """A checkpoint, `between` called after each of its pieces; whether the pieces fitted together."""
    one = capture.Capture(state, [])
    with checkpoints.writing(folder, 1) as writer:
        for number, pieces in enumerate(one.pieces()):
            for piece in pieces:
                writer.put(piece.name, piece.array, piece.axis, piece.at, piece.of)
            between(number)
        writer.finish(one.facts)
    return one.holds(state)


def again(folder: Path) -> State:
    index, arrays, facts = checkpoint.load_index(folder)
    state = state_of(index)
    assert checkpoint.take_up(state, arrays, facts) == len(capture.parts(state))
    return state


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "PART", 1)
    monkeypatch.setattr(capture, "SERIES", 48)
    monkeypatch.setattr(capture, "TEXTS", 50)


def test_each_series_is_as_it_was_at_one_time(tmp_path: Path) -> None:
    state = state_of()
    for number in range(40):
        tick(state, OLD, number)
    assert taken(state, tmp_path, lambda number: tick(state, OLD, 40 + number))
    restored = again(tmp_path)
    counts = set()
    for slot, label_set in state.index.items():
        assert restored.index.labels(slot) == label_set
        count = field(restored, slot, k.COUNT)
        seen = np.float64(field(restored, slot, k.SEEN_HIGH)) + field(restored, slot, k.SEEN_LOW)
        assert seen == pytest.approx(NOW + 2.0 * (count - 1), abs=1e-3)
        counts.add(count)
    assert min(counts) >= 40
    assert len(counts) > 5, "taken at different times"


def test_a_slot_that_is_given_anew_meanwhile_brings_nothing_of_its_former_series(tmp_path: Path) -> None:
    state = state_of()
    for number in range(40):
        tick(state, OLD, number)
    state.index.evict(0.0)
    state.index.touch(state.index.slots(OLD[:150]), 3 * NOW)
    assert len(state.index.evict(2 * NOW)) == 50

    def come(number: int) -> None:
        tick(state, NEW[: number * 3], 40 + number)

    assert taken(state, tmp_path, come)
    restored = again(tmp_path)
    assert set(OLD[:150]) <= {label_set for _, label_set in restored.index.items()}
    for slot, label_set in restored.index.items():
        assert state.index.find(label_set) == slot
        assert (field(restored, slot, k.COUNT) >= 40) == (label_set in OLD)


def forget(state: State) -> None:
    state.index.evict(0.0)
    state.index.touch(state.index.slots(OLD[:100]), 3 * NOW)
    assert len(state.index.evict(2 * NOW))


def next_half_hour(state: State) -> None:
    bucket = int(state.detection.detectors[0].columns["bucket"].max())
    tick(state, OLD, round((1800.0 * (bucket + 1) - NOW) / 2.0))


def come_and_go(state: State) -> None:
    state.index.slot(labels("load", instance="short of life"))
    state.welcome()
    state.index.evict(0.0)
    assert len(state.index.evict(1.0)) == 1


def test_a_half_hour_ends_for_each_series_by_itself(tmp_path: Path) -> None:
    state = state_of()
    tick(state, OLD, 0)
    next_half_hour(state)
    assert taken(state, tmp_path, lambda number: next_half_hour(state) if number == 25 else None)
    restored = again(tmp_path).detection.detectors[0].columns
    turned = restored["season"][51, : len(OLD)]
    assert set(turned) == {1.0, 2.0}
    bucket = restored["bucket"].reshape(-1)[: len(OLD)]
    assert (bucket - bucket.min() + 1 == turned).all()


@pytest.mark.parametrize("change", [forget, next_half_hour])
def test_what_series_share_must_stand_still(change: Callable[[State], None], tmp_path: Path) -> None:
    state = state_of()
    tick(state, OLD, 0)
    assert taken(state, tmp_path, lambda number: None)
    assert not taken(state, tmp_path, lambda number: change(state) if number == 3 else None)


async def test_when_it_never_does_all_is_taken_at_once(
    tmp_path: Path, db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    walk = Walk(db, config_of(detection=ADAPTIVE))
    tick(walk.state, OLD, 0)
    pieces = capture.Capture.pieces

    def disturbed(one: capture.Capture) -> Iterator[list[capture.Piece]]:
        yield from pieces(one)
        come_and_go(walk.state)

    monkeypatch.setattr(capture.Capture, "pieces", disturbed)
    caplog.set_level("INFO")
    checkpointer = Checkpointer(tmp_path, walk.pipeline, [], walk.clock, walk.metrics)
    running = asyncio.create_task(walk.pipeline.run())
    await checkpointer.write()
    await walk.pipeline.queue.put(None)
    await running
    assert (checkpointer.error, caplog.text.count("once more")) == ("", 2)
    assert checkpoints.numbers(tmp_path) == [1]
    restored = again(tmp_path)
    assert {field(restored, slot, k.COUNT) for slot, _ in restored.index.items()} == {1.0}

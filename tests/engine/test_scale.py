"""Scoring in shards: the same to the bit as in one piece, whoever dies and wherever shards go."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aiops.core.detect import Detection
from aiops.core.heads import Scored, nothing_said
from aiops.core.shard import Answer, Gap, Learn, Order, Shard, Step, Welcome
from aiops.core.stripes import Stripes
from aiops.engine.scale import runner as runner_module
from aiops.engine.scale.deal import dealt, loaded, shards_of
from aiops.engine.scale.detection import ShardedDetection, parted
from aiops.engine.scale.distant import DistantGroup, Sender, Short, short, whole
from aiops.engine.scale.group import Group, Made, Told, build, made_of
from aiops.engine.scale.rejoin import Rejoin
from aiops.engine.scale.runner import Runner
from aiops.engine.scale.worker import LocalWorker, Lost, Worker
from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex
from aiops.plugin import Detector
from aiops.store.shards import Fenced, ShardFiles
from tests.making import NOW, labels

ADAPTIVE: Made = [{"kind": "adaptive"}]
FOREST: Made = [
    {"kind": "adaptive"},
    {"kind": "peers", "match": "load"},
    {
        "kind": "river_model",
        "match": 'load{host=~".*77"}',
        "model": "river.anomaly.HalfSpaceTrees",
        "params": {"n_trees": 3, "height": 4},
        "scale": "minmax",
        "warmup_samples": 20,
        "window": 64,
        "max_series": 200,
    },
]
SERIES = 2400


class Mortal(LocalWorker):
    """A worker in this process that forgets everything when it is killed, as a process would."""

    mortal = True

    def __init__(self, made: Made, back: bool = True) -> None:
        super().__init__(made)
        self._made_of, self._back, self._dead = made, back, False
        self.after = -1
        """Orders that it obeys before it dies without an answer."""

    def die(self, back: bool = True) -> None:
        self._dead, self._back = True, back

    def obey(self, told: Sequence[Told]) -> Callable[[], list[Answer | None]]:
        self._look()
        if 0 <= self.after < len(told):
            super().obey(told[: self.after])
            self.after = -1
            self.die()
            raise Lost("killed in the middle")
        try:
            return super().obey(told)
        except Gap as why:
            raise Lost(str(why)) from why

    def take(self, number: int, epoch: int, made: Made, blob: NDArray[np.uint8] | None) -> int:
        self._look()
        return super().take(number, epoch, made, blob)

    def ask(self, asked: Any) -> Any:
        self._look()
        return super().ask(asked)

    def alive(self) -> bool:
        if self._dead and self._back:
            LocalWorker.__init__(self, self._made_of)
            self._dead = False
        return not self._dead

    @property
    def owned(self) -> list[int]:
        return self._group.owned

    def come_back(self) -> None:
        self._back = True

    def _look(self) -> None:
        if self._dead:
            raise Lost("killed")


class Stand:
    """One index, and the same rows for everybody who scores them."""

    def __init__(self, made: Made, folder: Path, series: int = SERIES) -> None:
        self.made, self.folder = made, folder
        self.index = SeriesIndex()
        names = [labels("load", host=f"h{n}") for n in range(series)]
        self.slots = self.index.slots(names)
        self.fresh = self.index.take_fresh()

    def whole(self) -> Detection:
        return Detection(build(self.made), self.index)

    def sharded(self, shards: int, workers: Sequence[Worker] | None = None) -> ShardedDetection:
        found: list[Detector] = build(self.made)
        own = made_of([found[place] for place in parted(found)])
        runner = Runner(workers or [LocalWorker(own)], shards, own, ShardFiles(self.folder), patience=0.1)
        runner.start()
        detection = ShardedDetection(found, self.index, runner)
        detection.welcome(self.fresh)
        return detection

    def mortals(self, many: int = 2) -> list[Mortal]:
        found = build(self.made)
        return [Mortal(made_of([found[place] for place in parted(found)])) for _ in range(many)]

    def row(self, step: int) -> Frame:
        """Every third row has some series only, in no order."""
        rng = np.random.default_rng(step)
        slots = rng.permutation(self.slots)[: len(self.slots) // 2] if step % 3 == 2 else self.slots
        values = rng.normal(50, 3, (1, len(slots)))
        values[0, rng.uniform(size=len(slots)) < 0.03] = np.nan
        values[0, rng.uniform(size=len(slots)) < 0.001] += 40
        return Frame(np.array([NOW + 400.0 * step]), slots.astype(np.int32), values)

    def walk(self, detection: Detection, steps: int, start: int = 0) -> list[Scored]:
        said = []
        for step in range(start, start + steps):
            hold = np.zeros(self.index.capacity, bool)
            hold[step % 50 :: 50] = step % 2 == 1
            said.append(detection.step(self.row(step), hold))
        return said


def same(one: Sequence[Scored], other: Sequence[Scored]) -> bool:
    names = ("score", "expected", "lower", "upper", "by", "slots")
    return len(one) == len(other) and all(
        np.array_equal(getattr(a, n), getattr(b, n), equal_nan=n != "by")
        for a, b in zip(one, other, strict=True)
        for n in names
    )


@pytest.mark.parametrize("made", [ADAPTIVE, FOREST], ids=["columnar", "heavy and peers"])
@pytest.mark.parametrize("shards", [1, 3])
def test_shards_say_what_one_piece_says_to_the_bit(made: Made, shards: int, tmp_path: Path) -> None:
    stand = Stand(made, tmp_path)
    whole, parts = stand.whole(), stand.sharded(shards)
    past = Frame(NOW - np.arange(9.0, 0.0, -1.0), stand.slots, np.full((9, SERIES), 50.0))
    whole.warm(past)
    parts.warm(past)
    one, other = stand.walk(whole, 45), stand.walk(parts, 45)
    assert same(one, other)
    assert max(float(said.score.max()) for said in one) > 4
    assert whole.ready().tolist() == parts.ready().tolist()
    assert whole.ready().any()


def test_explanations_and_borrowed_knowledge_are_the_same(tmp_path: Path) -> None:
    stand = Stand(ADAPTIVE, tmp_path)
    whole, parts = stand.whole(), stand.sharded(3)
    for detection in (whole, parts):
        stand.walk(detection, 41)
        new = stand.index.slot(labels("load", host="new"))
        if len(fresh := stand.index.take_fresh()):
            stand.fresh = fresh
        detection.welcome(stand.fresh)
        for step in range(12):
            row = Frame(
                np.array([NOW + 2e4 + step]), np.array([new], np.int32), np.array([[50.0 + step % 3]])
            )
            detection.step(row, np.zeros(stand.index.capacity, bool))
    far = np.array([1500, 3, 1100, 2200], np.int32)
    assert not parts.ready()[new]
    assert [one.borrow(new, far) for one in (whole, parts)] == [True, True]
    assert parts.ready()[new]
    assert whole.explain(new) == parts.explain(new)
    assert whole.explained_by(0, 1500) == parts.explained_by(0, 1500)
    row = nothing_said(Frame(np.array([NOW + 3e4]), np.array([1500], np.int32), np.array([[200.0]])))
    args = 1500, row, 0, 50.0, 200.0, 4.0
    assert whole.quiet_at(*args) == parts.quiet_at(*args)
    hold = np.zeros(stand.index.capacity, bool)
    row = Frame(np.array([NOW + 4e4]), np.array([new], np.int32), np.array([[61.0]]))
    assert same([whole.step(row, hold)], [parts.step(row, hold)])


@pytest.mark.parametrize("after", [0, 1])
def test_a_worker_that_dies_is_replaced_and_nothing_is_lost_or_doubled(tmp_path: Path, after: int) -> None:
    stand = Stand(FOREST, tmp_path)
    workers = stand.mortals()
    whole, parts = stand.whole(), stand.sharded(3, workers)
    one, other = stand.walk(whole, 40), stand.walk(parts, 12)
    parts.runner.save()
    other += stand.walk(parts, 8, 12)
    workers[0].after = after
    other += stand.walk(parts, 10, 20)
    workers[1].die()
    other += stand.walk(parts, 10, 30)
    assert same(one, other)
    assert parts.runner.losses >= 2
    assert parts.runner.replayed > 0


@pytest.mark.parametrize("made", [ADAPTIVE, FOREST], ids=["columnar", "heavy and peers"])
def test_series_that_come_where_others_went_know_nothing_of_them_in_shards_too(
    made: Made, tmp_path: Path
) -> None:
    stand = Stand(made, tmp_path, 600)
    workers = stand.mortals()
    detections = stand.whole(), stand.sharded(3, workers)
    dice = np.random.default_rng(5)
    for step in range(60):
        if step % 6 == 5:
            at = NOW + 400.0 * step
            stand.index.evict(0.0)  # what was asked for stays once
            stand.index.touch(dice.choice(stand.slots, 450, replace=False), at)
            stand.index.evict(at)
            stand.index.slots([labels("load", host=f"h{step}-{n}") for n in range(150 + step)])
            stand.slots, fresh = stand.index.live(), stand.index.take_fresh()
            assert fresh.min() < 600
            for detection in detections:
                detection.welcome(fresh)
        if step == 20:
            detections[1].runner.save()
        if step in (33, 36):
            workers[step % 2].die()
        row, hold = stand.row(step), np.zeros(stand.index.capacity, bool)
        one, other = [detection.step(row, hold) for detection in detections]
        assert same([one], [other]), step
    assert detections[1].runner.replayed > 0
    assert detections[0].ready().tolist() == detections[1].ready().tolist()
    known = detections[0].ready()[stand.slots]
    assert known.any()
    assert not known.all()


@pytest.mark.parametrize("amid", [True, False])
def test_a_worker_that_dies_after_a_reload_or_amid_it_comes_back_with_the_settings_of_then(
    amid: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand = Stand(ADAPTIVE, tmp_path, 600)
    workers = stand.mortals()

    def killed(made: Made) -> None:
        workers[0].die()
        raise Lost("killed")

    if amid:
        monkeypatch.setattr(workers[0], "remake", killed)
    parts = stand.sharded(3, workers)
    stand.walk(parts, 8)
    stand.made = [{"kind": "adaptive", "warmup_samples": 12}]
    whole = stand.whole()
    assert parts.remade(stand.whole()) is parts
    one, other = stand.walk(whole, 10, 8), stand.walk(parts, 10, 8)
    for worker in workers:
        worker.die()
    one, other = one + stand.walk(whole, 12, 18), other + stand.walk(parts, 12, 18)
    assert same(one, other)
    assert parts.runner.losses >= 2
    assert whole.ready().tolist() == parts.ready().tolist()


def test_of_a_worker_that_stays_away_the_others_take_the_shards_and_give_them_back(tmp_path: Path) -> None:
    stand = Stand(ADAPTIVE, tmp_path)
    workers = stand.mortals(3)
    whole, parts = stand.whole(), stand.sharded(6, workers)
    one, other = stand.walk(whole, 40), stand.walk(parts, 20)
    workers[1].die(back=False)
    other += stand.walk(parts, 10, 20)
    workers[1].come_back()
    parts.runner.save()
    assert parts.runner.losses == 1
    other += stand.walk(parts, 10, 30)
    assert same(one, other)
    assert workers[1].owned


def test_a_cluster_that_was_lost_is_used_again_once_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "LAST_RESORT", 0.2)
    stand = Stand(ADAPTIVE, tmp_path)
    workers, others, answers = stand.mortals(), stand.mortals(), [ConnectionError("nobody answers")]

    def find() -> list[Mortal]:
        if answers:
            raise answers.pop()
        return others

    whole, parts = stand.whole(), stand.sharded(4, workers)
    parts = ShardedDetection(parts.all, stand.index, parts.runner, Rejoin(find, every=0.0))
    one, other = stand.walk(whole, 50), stand.walk(parts, 12)
    for worker in workers:
        worker.die(back=False)
    other += stand.walk(parts, 8, 12)
    assert parts.runner.alone
    step = 20
    while parts.runner.alone and step < 40:
        list(parts.dumps())
        other += stand.walk(parts, 1, step)
        step += 1
    assert {id(owner) for owner in parts.runner.owners()} == {id(worker) for worker in others}
    assert parts.away
    assert not answers
    others[0].die()
    other += stand.walk(parts, 50 - step, step)
    assert same(one, other)


@pytest.mark.parametrize("mortal", [True, False])
def test_workers_are_looked_for_only_while_none_is_left(tmp_path: Path, mortal: bool) -> None:
    stand, looks = Stand(ADAPTIVE, tmp_path, 200), list[int]()
    parts = stand.sharded(2, stand.mortals() if mortal else None)
    looking = Event()

    def find() -> list[Mortal]:
        looks.append(1)
        looking.set()
        return []

    parts = ShardedDetection(parts.all, stand.index, parts.runner, Rejoin(find, every=0.0))
    list(parts.dumps())
    assert looking.wait(0 if mortal else 20) is not mortal
    assert bool(looks) is not mortal


def test_more_and_fewer_workers_lose_nothing(tmp_path: Path) -> None:
    stand = Stand(ADAPTIVE, tmp_path)
    workers = stand.mortals(4)
    whole, parts = stand.whole(), stand.sharded(5, workers[:1])
    one, other = stand.walk(whole, 40), stand.walk(parts, 10)
    parts.runner.rebalance(workers)
    other += stand.walk(parts, 10, 10)
    parts.runner.rebalance(workers[2:3])
    other += stand.walk(parts, 10, 20)
    workers[2].die()
    other += stand.walk(parts, 10, 30)
    assert same(one, other)


def test_a_damaged_kept_state_gives_way_to_the_one_before(tmp_path: Path) -> None:
    stand = Stand(ADAPTIVE, tmp_path)
    workers = stand.mortals(1)
    whole, parts = stand.whole(), stand.sharded(2, workers)
    one, other = stand.walk(whole, 30), stand.walk(parts, 10)
    parts.runner.save()
    other += stand.walk(parts, 5, 10)
    parts.runner.save()
    other += stand.walk(parts, 5, 15)
    for place in tmp_path.glob("*/"):
        newest = max(place.glob("*.state"))
        newest.write_bytes(newest.read_bytes()[:-1] + b"\xff")
    workers[0].die()
    other += stand.walk(parts, 10, 20)
    assert same(one, other)


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 2), (4, 1)])
def test_shards_of_another_number_know_the_same(tmp_path: Path, before: int, after: int) -> None:
    stand = Stand(FOREST, tmp_path / "a")
    whole, parts = stand.whole(), stand.sharded(before)
    stand.walk(whole, 35)
    stand.walk(parts, 35)
    found = build(stand.made)
    own = made_of([found[place] for place in parted(found)])
    blobs = dealt(own, loaded(own, [blob for _, blob in parts.dumps()]), after, stand.index)
    runner = Runner([LocalWorker(own)], after, own, ShardFiles(tmp_path / "b"))
    runner.start(blobs)
    kept = dict(parts.here())
    again = ShardedDetection([kept.get(n, d) for n, d in enumerate(found)], stand.index, runner)
    assert same(stand.walk(whole, 15, 35), stand.walk(again, 15, 35))


def test_what_was_learnt_in_one_piece_goes_on_in_shards(tmp_path: Path) -> None:
    stand = Stand(ADAPTIVE, tmp_path)
    whole, moved = stand.whole(), stand.whole()
    stand.walk(whole, 35)
    stand.walk(moved, 35)
    runner = Runner([LocalWorker(ADAPTIVE)], 3, ADAPTIVE, ShardFiles(tmp_path))
    runner.start(dealt(made_of(moved.detectors), shards_of(moved), 3, stand.index))
    again = ShardedDetection(moved.detectors, stand.index, runner)
    assert same(stand.walk(whole, 15, 35), stand.walk(again, 15, 35))


# -- the parts


def test_an_order_is_obeyed_once_and_none_may_be_missing() -> None:
    shard = Shard(build(ADAPTIVE))
    slots = np.arange(20, dtype=np.int32)
    shard.obey(1, Welcome(slots, np.ones((1, 20), bool)))
    shard.obey(2, Learn(np.array([NOW]), slots, np.ones((1, 20))))
    step = Step(NOW + 1, slots, np.ones(20))
    first = shard.obey(3, step)
    before = shard.dump()
    assert shard.obey(3, step) is first
    assert shard.obey(1, Welcome(slots, np.ones((1, 20), bool))) is None
    with pytest.raises(Gap, match="3 orders, and is told number 5"):
        shard.obey(5, step)
    assert np.array_equal(shard.dump(), before)
    assert Shard.load(build(ADAPTIVE), before).tick == 3


def test_a_damaged_dump_is_refused() -> None:
    shard = Shard(build(ADAPTIVE))
    shard.obey(1, Welcome(np.arange(20, dtype=np.int32), np.ones((1, 20), bool)))
    blob = shard.dump()
    for place in (3, 15, 40, len(blob) - 1):
        bad = blob.copy()
        bad[place] ^= 0xFF
        with pytest.raises(ValueError, match=r"checksum|reads"):
            Shard.load(build(ADAPTIVE), bad)
    with pytest.raises(ValueError, match="reads"):
        Shard.load(build(ADAPTIVE), blob[:5])


def test_whoever_was_taken_over_from_saves_nothing_more(tmp_path: Path) -> None:
    files, blob = ShardFiles(tmp_path), np.arange(9, dtype=np.uint8)
    old = files.claim(7)
    files.save(7, old, 4, blob)
    new = files.claim(7, least=1000)
    assert new == 1001
    with pytest.raises(Fenced, match="belongs to epoch 1001, and epoch 1 would"):
        files.save(7, old, 5, blob)
    assert [(tick, found.tolist()) for tick, found in files.states(7)] == [(4, blob.tolist())]
    for tick in (5, 6, 7):
        files.save(7, new, tick, blob)
    assert [tick for tick, _ in files.states(7)] == [7, 6]


def test_a_zombie_obeys_nobody_but_its_own_epoch() -> None:
    worker = LocalWorker(ADAPTIVE)
    worker.take(0, 5, ADAPTIVE, None)
    order = Welcome(np.arange(4, dtype=np.int32), np.ones((1, 4), bool))
    with pytest.raises(Gap):
        worker.obey([Told(0, 6, 1, order)])
    worker.take(0, 6, ADAPTIVE, None)
    with pytest.raises(Gap):
        worker.obey([Told(0, 5, 1, order)])
    assert worker.obey([Told(0, 6, 1, order)])()[0] is not None


@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_slot_is_in_one_stripe_and_its_place_leads_back(count: int) -> None:
    stripes = Stripes(count)
    rng = np.random.default_rng(count)
    for slots in (np.arange(700, 5000, dtype=np.int32), rng.permutation(9000)[:777].astype(np.int32)):
        row, back = rng.normal(size=len(slots)), np.zeros(len(slots))
        for part in stripes.parts(slots):
            assert stripes.whole(part.shard, part.slots).tolist() == part.take(slots).tolist()
            part.give(back, part.take(row))
        assert np.array_equal(back, row)


def test_what_goes_over_a_wire_in_short_is_the_same_to_the_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    slots = np.arange(300, dtype=np.int32)
    near, far, sender = Group(ADAPTIVE), DistantGroup(ADAPTIVE), Sender()
    for group in (near, far):
        group.take(0, 1, ADAPTIVE, None)
    orders: list[Order] = [Welcome(slots, np.ones((1, 300), bool))]
    for n in range(40):
        some = slots if n % 5 else slots[::7].copy()
        orders.append(Step(NOW + n, some, 1e6 + rng.normal(0, 0.1, len(some))))
    shorter = 0
    for tick, order in enumerate(orders, 1):
        told = [Told(0, 1, tick, order)]
        (one,), (other,) = near.obey(told), far.obey_short(sender.shortened(told))
        shorter += isinstance(other, Short)
        again = whole(other)
        assert one is not None
        assert again is not None
        for name in ("score", "expected", "lower", "upper", "by", "ready"):
            a, b = getattr(one, name), getattr(again, name)
            assert (a is None) == (b is None)
            assert a is None or np.array_equal(a, b, equal_nan=name != "by")
    assert shorter > 30
    uneven = Answer(1, np.ones(3), np.zeros(3), np.full(3, -2.0), np.full(3, 1.5), np.zeros(3, np.int8))
    assert short(uneven) is uneven


def test_a_checkpoint_beside_a_row_takes_none_of_its_answers(tmp_path: Path) -> None:
    stand = Stand(ADAPTIVE, tmp_path)
    workers = stand.mortals()
    whole, parts = stand.whole(), stand.sharded(6, workers)
    one, over = stand.walk(whole, 60), Event()

    def dump() -> None:
        while not over.is_set():
            for _ in parts.dumps():
                pass
            workers[0].die()

    with ThreadPoolExecutor(1) as pool:
        beside = pool.submit(dump)
        try:
            assert same(one, stand.walk(parts, 60))
        finally:
            over.set()
        beside.result()

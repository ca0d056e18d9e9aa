"""What `/metrics` tells of shards and workers, of a runner whose workers die."""

from pathlib import Path

import pytest

from aiops.config.scale import Scale
from aiops.engine.metrics import Metrics
from aiops.engine.scale import runner
from aiops.engine.scale.gauges import of_shards
from aiops.store.shards import Fenced, ShardFiles
from tests.engine.test_scale import ADAPTIVE, SERIES, Stand

WANTED = Scale(runner="ray", workers=2)


class Page:
    """The numbers of one scrape."""

    def __init__(self, metrics: Metrics) -> None:
        self._registry = metrics.registry

    def __call__(self, name: str, **labels: str) -> float | None:
        return self._registry.get_sample_value(f"forewarn_{name}", labels)

    def by(self, name: str, label: str) -> dict[str, float]:
        """Those above 0."""
        found = (one for family in self._registry.collect() for one in family.samples)
        return {one.labels[label]: one.value for one in found if one.name == f"forewarn_{name}" and one.value}


def test_shards_samples_and_round_trips_are_told_of_each(tmp_path: Path) -> None:
    stand, metrics = Stand(ADAPTIVE, tmp_path), Metrics()
    parts, page = stand.sharded(4, stand.mortals()), Page(metrics)
    stand.walk(parts, 3)
    of_shards(metrics, parts, WANTED)
    assert page.by("shards", "worker") == {"0": 2, "1": 2}
    assert page.by("workers", "which") == {"wanted": 2, "at work": 2}
    samples = page.by("shard_samples_total", "shard")
    assert set(samples) == {"0", "1", "2", "3"}
    assert sum(samples.values()) == sum(stand.row(step).samples for step in range(3))
    trips = page.by("shard_round_trip_seconds_count", "worker")
    assert set(trips) == {"0", "1"}
    assert min(trips.values()) >= 3
    of_shards(metrics, parts, WANTED)
    assert page.by("shard_samples_total", "shard") == samples, "nothing is counted twice"


def test_the_replay_buffer_is_told_and_is_empty_when_states_are_kept(tmp_path: Path) -> None:
    stand, metrics = Stand(ADAPTIVE, tmp_path), Metrics()
    parts, page = stand.sharded(4, stand.mortals()), Page(metrics)
    stand.walk(parts, 5)
    of_shards(metrics, parts, WANTED)
    assert min(page.by("shard_replay_orders", "shard").values()) >= 5
    assert (page("shard_replay_bytes") or 0) > 8 * 5 * SERIES
    for _ in range(2):  # as far back as the older of two kept states
        parts.runner.save()
    before = page.by("shard_checkpoint_age_seconds", "shard")
    of_shards(metrics, parts, WANTED)
    assert page.by("shard_replay_orders", "shard") == {}
    assert page("shard_replay_bytes") == 0
    assert sum(page.by("shard_checkpoint_age_seconds", "shard").values()) < sum(before.values()) + 60


def test_losses_are_told_by_who_goes_on(tmp_path: Path) -> None:
    stand, metrics = Stand(ADAPTIVE, tmp_path), Metrics()
    workers = stand.mortals()
    parts, page = stand.sharded(4, workers), Page(metrics)
    stand.walk(parts, 2)
    workers[0].die()
    stand.walk(parts, 2, 2)
    of_shards(metrics, parts, WANTED)
    assert page.by("worker_losses_total", "owned_by") == {"itself": 1}
    workers[1].die(back=False)
    stand.walk(parts, 2, 4)
    of_shards(metrics, parts, WANTED)
    assert page.by("worker_losses_total", "owned_by") == {"itself": 1, "others": 1}
    assert page.by("shards", "worker") == {"0": 4}
    assert page.by("workers", "which") == {"wanted": 2, "at work": 1}
    assert (page("shard_answers_dropped_total", why="lost") or 0) >= 4
    assert (page("shard_orders_replayed_total") or 0) >= 4


def test_without_any_worker_the_engine_is_told_to_have_the_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LAST_RESORT", 0.1)
    stand, metrics = Stand(ADAPTIVE, tmp_path), Metrics()
    workers = stand.mortals()
    parts, page = stand.sharded(4, workers), Page(metrics)
    for worker in workers:
        worker.die(back=False)
    stand.walk(parts, 2)
    of_shards(metrics, parts, WANTED)
    assert page.by("shards", "worker") == {"engine": 4}
    assert page.by("workers", "which") == {"wanted": 2}


def test_a_state_that_another_engine_fences_is_told(tmp_path: Path) -> None:
    stand, metrics = Stand(ADAPTIVE, tmp_path), Metrics()
    parts, page = stand.sharded(2, stand.mortals()), Page(metrics)
    ShardFiles(tmp_path).claim(1)
    with pytest.raises(Fenced):
        parts.runner.save()
    of_shards(metrics, parts, WANTED)
    assert page.by("shard_answers_dropped_total", "why") == {"fenced": 1}


def test_one_piece_tells_nothing_of_shards(tmp_path: Path) -> None:
    stand, metrics = Stand(ADAPTIVE, tmp_path), Metrics()
    of_shards(metrics, stand.whole(), Scale())
    assert Page(metrics).by("workers", "which") == {}

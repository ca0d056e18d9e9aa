"""Shards on a real Ray of two workers, one of which is killed: the same to the bit as in one piece."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiops.engine.scale.ray_worker import RayWorker, join, start_workers
from tests.engine.test_scale import ADAPTIVE, Stand, same

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'forewarn[ray]'")

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("ray")]


@pytest.fixture
def workers() -> Iterator[list[RayWorker]]:
    try:
        started = _started()
        if isinstance(started, str):
            pytest.skip(f"ray does not start here: {started}")
        yield started
    finally:
        ray.shutdown()


def _started() -> list[RayWorker] | str:
    """Its own processes give up, with an exception of no kind, on a host that is too busy to start them."""
    try:
        return start_workers(join("local", 2, 80 << 20), 2, ADAPTIVE, 30.0)
    except Exception as why:  # noqa: BLE001
        return str(why)


def test_a_killed_worker_is_back_and_nothing_is_lost(workers: list[RayWorker], tmp_path: Path) -> None:
    stand = Stand(ADAPTIVE, tmp_path)
    whole, parts = stand.whole(), stand.sharded(4, workers)
    one, other = stand.walk(whole, 42), stand.walk(parts, 20)
    parts.runner.save()
    other += stand.walk(parts, 10, 20)
    os.kill(workers[0].pid(), signal.SIGKILL)
    other += stand.walk(parts, 10, 30)
    parts.runner.save()
    other += stand.walk(parts, 2, 40)
    assert same(one, other)
    assert parts.runner.losses >= 1
    assert parts.runner.replayed > 0
    assert whole.explain(3) == parts.explain(3)
    assert whole.ready().tolist() == parts.ready().tolist()

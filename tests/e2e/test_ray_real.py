"""Shards on a real Ray of two workers, one of which is killed: the same to the bit as in one piece."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiops.engine.scale.ray_worker import RayWorker, join, start_workers
from aiops.plugin.load import HOUSE
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


def test_through_a_client_it_is_the_same_and_the_engine_goes_on_while_the_cluster_is_away() -> None:
    """A folder of a short name: Ray's sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="fw-ray-", ignore_cleanup_errors=True) as folder:
        argv = [sys.executable, "-m", "tests.e2e.ray_client", folder]
        done = subprocess.run(argv, cwd=HOUSE, capture_output=True, text=True, timeout=300)
    if "ray client connection timeout" in done.stderr:
        pytest.skip("the cluster does not start here")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("replayed") > 0
    assert found == {
        "same": True,
        "killed": 1,
        "here": ["engine"],
        "explained": True,
        "nothing_started": True,
        "there": ["0", "1"],
    }

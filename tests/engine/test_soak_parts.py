"""What the soak concludes from an engine's own metrics, and how it sends."""

import numpy as np
from prometheus_client import generate_latest

from aiops.engine.metrics import Metrics
from tests.bench.gen import Sender, kubelet
from tests.bench.soak import p99, state_grown


def rows(metrics: Metrics) -> dict[str, float]:
    lines = generate_latest(metrics.registry).decode().splitlines()
    parts = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in parts}


def test_the_99th_of_a_hundred_rows_of_one_source_is_found_in_its_bucket() -> None:
    metrics = Metrics()
    for _ in range(10):
        metrics.sample_age.labels("push").observe(50.0)
        metrics.sample_age.labels("host").observe(50.0)
    before = rows(metrics)
    for _ in range(99):
        metrics.sample_age.labels("push").observe(0.3)
    metrics.sample_age.labels("push").observe(20.0)
    metrics.sample_age.labels("host").observe(7.0)
    after = rows(metrics)
    assert p99("push", before, after) == 0.5
    assert p99("host", before, after) == 10.0
    assert np.isnan(p99("nobody", before, after))


def test_a_request_is_the_same_alone_and_within_its_tick() -> None:
    sender, values = Sender(kubelet(50), batch=20), np.arange(50.0)
    whole = list(sender.requests(1_700_000_000_000, values))
    assert len(whole) == 3
    for number, body in enumerate(whole):
        assert sender.request(number, 1_700_000_000_000, values[20 * number : 20 * number + 20]) == body


def test_parts_of_the_state_that_grew_are_told_in_mb() -> None:
    name = 'forewarn_state_bytes{part="%s"}'
    warm = {name % "ramps": 1e6, name % "drift": 2e6, "forewarn_series": 1.0}
    last = {name % "ramps": 3.5e6, name % "drift": 2e6, name % "new": 1e5, "forewarn_series": 9.0}
    assert state_grown(warm, last) == {"ramps": 2.5, "new": 0.1}

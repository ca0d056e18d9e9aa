"""How shards and workers do, as Forewarn's own metrics."""

import time
from collections import Counter

from aiops.config.scale import Scale
from aiops.core.detect import Detection
from aiops.engine.metrics import Metrics
from aiops.engine.scale.detection import ShardedDetection
from aiops.engine.scale.tally import HERE


def of_shards(metrics: Metrics, detection: Detection, scale: Scale) -> None:
    """In the pipeline's turn; nothing where series are in one piece."""
    if not isinstance(detection, ShardedDetection):
        return
    runner = detection.runner
    owners = Counter(runner.name_of(owner) for owner in runner.owners())
    for name in {*owners, *(runner.name_of(one) for one in runner.workers)}:
        metrics.shards.labels(name).set(owners[name])
    metrics.workers.labels("at work").set(len(owners.keys() - {HERE}))
    metrics.workers.labels("wanted").set(scale.workers if scale.runner == "ray" else 0)
    metrics.replay_bytes.set(runner.unsaved)
    now = time.monotonic()
    for shard, (orders, saved) in enumerate(runner.kept()):
        metrics.replay_orders.labels(shard).set(orders)
        metrics.shard_checkpoint_age.labels(shard).set(now - saved)
    counted = runner.tally.take()
    for worker, seconds in counted.trips:
        metrics.round_trip.labels(worker).observe(seconds)
    for shard, samples in counted.samples.items():
        metrics.shard_samples.labels(shard).inc(samples)
    for owned_by, times in counted.losses.items():
        metrics.worker_losses.labels(owned_by).inc(times)
    for why, answers in counted.dropped.items():
        metrics.answers_dropped.labels(why).inc(answers)
    metrics.orders_replayed.inc(counted.replayed)

"""Resident memory of a whole installation with many series, a series.

    python -m tests.bench.memory --series 1000000

From before the first series to when each has learnt several samples, the season's table among it: labels and
their index, the detector's columns, debounce, limits (two with a forecast, of few series), an SLI, the full
ring of recent points, links and targets. `bytes_per_series` is what the process holds more than before, by
the kernel's count; `peak_bytes_per_series` with what growing needed for a moment. The last line is JSON.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from aiops.core.recent import POINTS
from aiops.engine.capture import parts
from aiops.engine.stages import detect
from aiops.engine.work import Work
from tests.bench.world import config_in, learnt, resident, rows_of

FLOOR = 700
LIMITS: list[dict[str, Any]] = [
    {
        "match": 'container_memory_rss_bytes{pod=~".*-[bcdf]..[bcd]."}',
        "breach": {"above": 1e3},
        "horizon": "3d",
    },
    {
        "match": 'container_fs_usage_bytes{namespace="team-1-prod"}',
        "breach": {"above": 1e3},
        "horizon": "20m",
    },
    {"match": "container_cpu_usage_seconds_total", "breach": {"above": 1e3}},
]
SLI = {
    "name": "errors",
    "of": {"source": "push", "match": 'container_network_receive_errors_total{namespace="team-2-prod"}'},
    "breach": {"above": 1e3},
}


def bench(series: int, folder: Path) -> dict[str, Any]:
    config = config_in(folder, limits=LIMITS, slis=[SLI])
    learnt(config, 128)  # compiled code and imports are not a series'
    before, highest = resident(), _peak()
    state = learnt(config, series)
    slots = state.index.live()
    begin = time.time()
    for tick in range(POINTS):  # until the ring is full
        for row in rows_of(slots[: state.recent.most], begin + 15.0 * tick):
            detect(state, Work(begin, "push", row))
    for row in rows_of(slots, begin + 3600.0):
        detect(state, Work(begin, "push", row))
    took = resident() - before
    return {
        "series": len(state.index),
        "bytes_per_series": round(took / series),
        "peak_bytes_per_series": round((_peak() - highest) / series),
        "columns_bytes_per_series": {
            name: round(columns.nbytes / series, 1) for name, columns in parts(state).items()
        },
        "floors": {"bytes_per_series": FLOOR},
    }


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description="Resident memory a series.")
    parser.add_argument("--series", type=int, default=1_000_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="forewarn-bench-") as folder:
        print(json.dumps(bench(chosen.series, Path(folder))))


if __name__ == "__main__":
    main()

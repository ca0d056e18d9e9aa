"""Shards on a Ray cluster that this process is no node of, through Ray Client.

    python -m tests.e2e.ray_client FOLDER

Starts the cluster (one node, two processors, with a token), kills a worker on the way, then the whole
cluster, and starts another in its place. The last line is one JSON object. A process of its own: Ray reads
settings when it is imported.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.database import free_port
from tests.engine.test_scale import ADAPTIVE, Stand, same

WITHIN = 120.0
"""Seconds for a head to start in, on a host that does other things too."""
SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "ab" * 24,
    "RAY_USAGE_STATS_ENABLED": "0",
    # else 127.0.0.1 is taken for the address by which others reach this host, where nobody listens
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_CLIENT_RECONNECT_GRACE_PERIOD": "2",
}


@contextmanager
def cluster(folder: Path, port: int, memory: int = 90_000_000) -> Iterator[str]:
    """The address for clients."""
    argv = [str(Path(sys.executable).parent / "ray"), "start", "--head", "--block"]
    argv += [
        "--node-ip-address=127.0.0.1",
        f"--port={free_port()}",
        f"--ray-client-server-port={port}",
        "--include-dashboard=false",
    ]
    argv += ["--num-cpus=2", f"--object-store-memory={memory}", f"--temp-dir={folder}"]
    with (folder / "head.log").open("wb") as out:
        head = subprocess.Popen(argv, stdout=out, stderr=out, start_new_session=True)
    try:
        yield f"ray://127.0.0.1:{port}"
    finally:
        kill(head.pid, folder)


def kill(head: int, folder: Path) -> None:
    """All of the cluster at once: each has the head for an ancestor, or the folder among its words."""
    found = [
        one for one in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(one.info["cmdline"] or ())
    ]
    if psutil.pid_exists(head):
        whole = psutil.Process(head)
        found += [whole, *whole.children(recursive=True)]
    for one in {one.pid: one for one in found if one.pid != os.getpid()}.values():
        if one.is_running():
            one.send_signal(signal.SIGKILL)


def walked(address: str, folder: Path, end: Any, again: Any) -> dict[str, Any]:
    from aiops.engine.scale import runner
    from aiops.engine.scale.detection import ShardedDetection
    from aiops.engine.scale.ray_worker import join, start_workers
    from aiops.engine.scale.rejoin import Rejoin

    ray = joined(address)
    workers = start_workers(ray, 2, ADAPTIVE, 30.0)
    stand = Stand(ADAPTIVE, folder / "shards")
    whole, parts = stand.whole(), stand.sharded(4, workers)
    rejoin = Rejoin(lambda: start_workers(join(address, 2, 80 << 20), 2, ADAPTIVE, 30.0), every=1.0)
    parts = ShardedDetection(parts.all, stand.index, parts.runner, rejoin)
    one, other = stand.walk(whole, 62), stand.walk(parts, 20)
    parts.runner.save()
    other += stand.walk(parts, 10, 20)
    os.kill(workers[0].pid(), signal.SIGKILL)
    other += stand.walk(parts, 10, 30)
    killed = parts.runner.losses
    parts.runner.save()
    runner.LAST_RESORT = 3.0  # a minute, for clusters that come back
    end()
    other += stand.walk(parts, 12, 40)
    here = sorted({parts.runner.name_of(owner) for owner in parts.runner.owners()})
    nothing_started = not ray.is_initialized()
    again()
    until = time.monotonic() + WITHIN
    while parts.runner.alone and time.monotonic() < until:
        list(parts.dumps())
        time.sleep(0.5)
    other += stand.walk(parts, 10, 52)
    explained = whole.explain(3) == parts.explain(3)
    there = sorted({parts.runner.name_of(owner) for owner in parts.runner.owners()})
    parts.close()
    return {
        "same": same(one, other),
        "killed": killed,
        "replayed": parts.runner.replayed,
        "here": here,
        "explained": explained,
        "nothing_started": nothing_started,
        "there": there,
    }


def joined(address: str) -> Any:
    """As soon as there is a cluster."""
    from aiops.engine.scale.ray_worker import join

    until = time.monotonic() + WITHIN
    while True:
        try:
            return join(address, 2, 80 << 20)
        except ConnectionError:
            if time.monotonic() > until:
                raise


def main() -> None:
    folder = Path(sys.argv[1])
    os.environ |= SETTINGS
    with ExitStack() as stack:
        port, places = free_port(), [folder / "1", folder / "2"]
        for place in places:
            place.mkdir()
        address = stack.enter_context(cluster(places[0], port))
        (head,) = (one.pid for one in psutil.Process().children())

        def end() -> None:
            kill(head, places[0])

        def again() -> None:
            stack.enter_context(cluster(places[1], port))

        print(json.dumps(walked(address, folder, end, again)))


if __name__ == "__main__":
    main()

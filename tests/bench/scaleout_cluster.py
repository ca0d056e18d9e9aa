"""Clusters of Ray to measure on, all on loopback, and the processor time of everybody in them."""

import os
import signal
import time
from typing import Any

import psutil

from aiops.engine.scale.ray_worker import RayWorker, join

WORKERS = 2


class Cluster:
    """A head and nodes, all on loopback, each a raylet of its own."""

    def __init__(self, memory: int) -> None:
        from ray.cluster_utils import Cluster as Raylets

        self._memory = memory
        head = {"num_cpus": 0, "include_dashboard": False}
        self._raylets = Raylets(initialize_head=True, head_node_args=head | self._common())
        self.nodes = [self.add() for _ in range(WORKERS)]
        self.ray = join(self._raylets.address, WORKERS, memory)

    def add(self) -> Any:
        return self._raylets.add_node(num_cpus=1, **self._common())

    def kill(self, node: Any) -> None:
        """All processes of a node at once."""
        raylets = [entry.process.pid for entry in node.all_processes["raylet"]]
        found = [one for pid in raylets for one in family(pid)]
        for process in found:
            process.send_signal(signal.SIGKILL)
        psutil.wait_procs(found, timeout=5)
        self._raylets.worker_nodes.discard(node)

    def close(self) -> None:
        self.ray.shutdown()
        self._raylets.shutdown()  # type: ignore[no-untyped-call]

    def _common(self) -> dict[str, Any]:
        return {"node_ip_address": "127.0.0.1", "object_store_memory": self._memory}


def node_of(cluster: Cluster, worker: RayWorker) -> Any:
    """The node that a worker runs on."""
    pid = worker.pid()
    for node in cluster.nodes:
        for entry in node.all_processes.get("raylet", []):
            if any(one.pid == pid for one in family(entry.process.pid)):
                return node
    raise LookupError(f"no node has process {pid}")


def family(pid: int) -> list[psutil.Process]:
    try:
        whole = psutil.Process(pid)
        return [whole, *whole.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def mine() -> float:
    return time.process_time()


def everybodys() -> float:
    """Processor time so far of this process and all that it has started."""
    total = 0.0
    for process in family(os.getpid()):
        try:
            spent = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += spent.user + spent.system
    return total

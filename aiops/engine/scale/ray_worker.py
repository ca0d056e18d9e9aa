"""Workers that are actors of Ray Core: on this machine, or on any that has joined its cluster.

https://docs.ray.io/en/latest/ray-core/actors.html ; https://docs.ray.io/en/latest/ray-core/fault_tolerance/actors.html
"""

import logging
import os
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.core.shard import Answer, Gap
from aiops.engine.scale.distant import DistantGroup, Sender, whole
from aiops.engine.scale.group import Made, Question, Told
from aiops.engine.scale.worker import Lost, Worker
from aiops.plugin.extras import needed

log = logging.getLogger("aiops.scale")

CLIENT = "ray://"
"""How the address of a cluster begins that this machine is no node of: Ray Client's."""
LOOK = 0.02
"""Seconds for which a look at a lost worker waits for its answer."""
STARTING = 120.0
"""Seconds within which a new worker has imported and compiled what it needs."""


_joined = 0
"""How often a cluster was joined: workers of a former one are gone, whatever Ray says of the present one."""


class RayWorker(Worker):
    """One actor with a processor of its own, which Ray starts anew when it dies.

    `limit`: seconds after which an answer is not waited for any more.
    """

    def __init__(self, ray: ModuleType, made: Made, limit: float) -> None:
        self._ray, self._limit, self._of = ray, limit, _joined
        kind = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=0)(DistantGroup)
        self._actor = kind.remote(list(made))
        self._look: Any = None
        self._sender = Sender()
        self._gone = (
            ray.exceptions.RayActorError,
            ray.exceptions.GetTimeoutError,
            ray.exceptions.ObjectLostError,
            ConnectionError,
        )

    def compile(self) -> Any:
        """Begin to; what is returned is waited for by `started`."""
        return self._actor.compile.remote()

    def started(self, compiling: Any) -> None:
        self._got(compiling, STARTING)

    def pid(self) -> int:
        """Of the process that it is now."""
        return int(self._got(self._actor.pid.remote(), self._limit))

    def obey(self, told: Sequence[Told]) -> Callable[[], list[Answer | None]]:
        less = self._sender.shortened(told)
        answers = self._told(lambda: self._actor.obey_short.remote(less))
        # a new process may have to make its models again first
        limit = self._limit + 0.1 * self._limit * len(told)
        return lambda: [whole(one) for one in self._got(answers, limit)]

    def take(self, number: int, epoch: int, made: Made, blob: NDArray[np.uint8] | None) -> int:
        self._sender.forget(number)
        taking = self._told(lambda: self._actor.take.remote(number, epoch, list(made), blob))
        return int(self._got(taking, STARTING))

    def ask(self, asked: Question) -> Any:
        return self._got(self._told(lambda: self._actor.ask.remote(asked)), self._limit)

    def drop(self, number: int) -> None:
        self._got(self._told(lambda: self._actor.drop.remote(number)), self._limit)

    def remake(self, made: Made) -> None:
        self._got(self._told(lambda: self._actor.remake.remote(list(made))), STARTING)

    def suspect(self) -> None:
        if self._look is None and self._connected:
            self._look = self._told(self._actor.pid.remote)

    def alive(self) -> bool:
        if not self._connected:
            return False
        if self._look is None:
            return True
        done, _ = self._ray.wait([self._look], timeout=LOOK)
        if not done:
            return False
        try:
            self._ray.get(done[0])
        except self._gone:
            self._look = self._actor.pid.remote()
            return False
        self._look = None
        return True

    def close(self) -> None:
        if self._connected:
            self._ray.kill(self._actor)

    @property
    def _connected(self) -> bool:
        return self._of == _joined and bool(self._ray.is_initialized())

    def _got(self, reference: Any, limit: float) -> Any:
        """Raises `Lost`, and what the worker itself raised."""
        return self._told(lambda: self._ray.get(reference, timeout=limit))

    def _told(self, call: Callable[[], Any]) -> Any:
        # without a connection the next call would start a cluster here
        if not self._connected:
            raise Lost("the connection to the cluster is gone")
        try:
            return call()
        except self._gone as why:
            raise Lost(_first_line(why)) from why
        except Gap as why:  # it was started anew before it was missed
            raise Lost(_first_line(why)) from why
        except Exception as why:
            if self._connected:
                raise
            raise Lost(_first_line(why)) from why  # an exception of no kind


def join(address: str, workers: int, memory: int) -> ModuleType:
    """Ray, connected: ``local`` starts it on this machine, for us alone; else a cluster that is there.

    `memory`: bytes of the object store of what is started here. Raises `Fatal` without the extra, and
    ConnectionError when nobody answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray = needed("ray", "ray")
    global _joined
    if _joined:  # a client that has lost its cluster is not initialized, and yet refuses to be another's
        ray.shutdown()
    _joined += 1
    common = {"logging_level": logging.ERROR, "log_to_driver": False, "namespace": "forewarn"}
    if address.startswith(CLIENT):
        _join_from_outside(ray, address)
    elif address == "local":
        ray.init(
            address="local",
            num_cpus=workers,
            include_dashboard=False,
            object_store_memory=memory,
            _node_ip_address="127.0.0.1",
            **common,
        )
    else:
        ray.init(address=address, **common)
    return ray


def _join_from_outside(ray: ModuleType, address: str) -> None:
    """By Ray Client. A cluster that asks for a token does not say so: the connection never gets ready."""
    try:
        ray.init(address=address, namespace="forewarn", logging_level=logging.ERROR)
    except ConnectionError as why:
        told = os.environ.get("RAY_AUTH_MODE") == "token"
        hint = "" if told else "; if it asks for a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN here too"
        raise ConnectionError(f"{why}{hint}") from why


def start_workers(ray: ModuleType, count: int, made: Made, limit: float) -> list[RayWorker]:
    """All at once, and wait until each has compiled what it needs. Raises `Lost`."""
    workers = [RayWorker(ray, made, limit) for _ in range(count)]
    compiling = [worker.compile() for worker in workers]
    for worker, one in zip(workers, compiling, strict=True):
        worker.started(one)
    return workers


def _first_line(why: BaseException) -> str:
    lines = [line for line in str(why).splitlines() if line.strip()]
    return (lines or [type(why).__name__])[0][:300]

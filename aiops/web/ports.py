"""What API and console need of the running engine, and nothing more."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from aiops.config import Config
from aiops.config.complaint import Complaint
from aiops.core.playbook import Playbook
from aiops.core.topology import Topology
from aiops.engine.clock import Clock
from aiops.engine.messages import Message
from aiops.engine.state import State
from aiops.model.series import SeriesIndex
from aiops.store.database import Database


class Ring(Protocol):
    """The recent past of every series."""

    def points(self, slot: int) -> Mapping[str, NDArray[Any]]:
        """``times`` (epoch s, ascending), ``observed``, ``expected``, ``lower``, ``upper``; NaN: unknown."""
        ...


class SourceHealth(Protocol):
    """How one source does. ``last_ok`` epoch s (NaN = never), ``lag`` seconds, ``error`` empty when well."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def series(self) -> int: ...
    @property
    def last_ok(self) -> float: ...
    @property
    def lag(self) -> float: ...
    @property
    def error(self) -> str: ...
    @property
    def samples(self) -> int: ...
    @property
    def failures(self) -> int: ...
    @property
    def bootstrapped(self) -> float: ...


class Turning(Protocol):
    """The pipeline: its state is whole between two of its steps, which the event loop's thread takes."""

    @property
    def state(self) -> State: ...


class Metrics(Protocol):
    @property
    def registry(self) -> CollectorRegistry: ...


class Engine(Protocol):
    """The running engine, as the web sees it. All but `db` belong to the event loop's thread."""

    @property
    def config(self) -> Config: ...
    @property
    def config_path(self) -> Path | None: ...
    @property
    def db(self) -> Database: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def index(self) -> SeriesIndex: ...
    @property
    def recent(self) -> Ring: ...
    @property
    def metrics(self) -> Metrics: ...
    @property
    def pipeline(self) -> Turning: ...
    @property
    def outbox_wake(self) -> asyncio.Event: ...
    @property
    def runs_wake(self) -> asyncio.Event: ...

    @property
    def leads(self) -> bool:
        """Whether the pipeline turns here; else another engine on the same store leads."""
        ...

    def sources(self) -> Sequence[SourceHealth]: ...

    def ready(self) -> bool:
        """Whether every source has answered or failed once and the pipeline turns."""
        ...

    def ready_slots(self) -> NDArray[np.bool_]:
        """Per slot, whether a detector has learnt enough for its scores to mean something; ``[capacity]``."""
        ...

    def playbooks(self) -> Mapping[str, Playbook]:
        """By name."""

    def log_lines(self, name: str) -> Sequence[str]:
        """The last lines of a log pattern, redacted; none when there were none of late."""
        ...

    def topology(self) -> Topology:
        """What depends on what, as alerts are placed by."""
        ...

    def team_of(self, slot: int) -> str:
        """Of the source that a series came from; empty until it was heard of since the start."""
        ...

    async def tell(self, message: Message) -> None: ...

    async def hear(self, sink: str, headers: Mapping[str, str], body: bytes) -> int:
        """A webhook for a sink; how many changes were news. Raises LookupError or `PluginError`."""
        ...

    async def reload(self) -> None:
        """Take up the config file anew. Raises `ConfigError`; the old graph then keeps running."""
        ...

    async def check_text(self, text: str) -> Sequence[Complaint]: ...

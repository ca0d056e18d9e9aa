"""Sources: pulled on the engine's schedule, or pushing to routes that the engine mounts."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from pydantic import Field

from aiops.model.frame import Change, Frame, Lines
from aiops.model.series import Labels, SeriesIndex
from aiops.model.signal import Report
from aiops.plugin.errors import Fatal
from aiops.plugin.params import Duration, Plugin


@dataclass(frozen=True, slots=True)
class Reports:
    """Alerts of another system."""

    reports: Sequence[Report]


Batch: TypeAlias = Frame | Lines | Change | Reports


class Source(Plugin):
    """What pulled and pushed sources share."""

    name: str = Field("", description="How problems, SLIs and metrics refer to it; the kind when left out.")
    labels: dict[str, str] = Field(default_factory=dict, description="Labels added to every series and line.")
    team: str = Field("", description="The team that owns it; the installation's default when left out.")

    def prepare(self) -> None:
        """Load what takes seconds to load. An engine that stands by calls it, on another thread.

        It may be called before `open`, again, or not at all.
        """

    def open(self, index: SeriesIndex) -> None:
        """Called once before any batch. `index` turns label sets into slots."""

    async def close(self) -> None:
        """Release connections and files."""

    def tally(self) -> Mapping[str, int]:
        """What became of all samples so far, counted by a word each: ``late``, ``over_cap``, ...

        ``series`` is how many count towards ``max_series``, where the source has that.
        """
        return {}


class Connector(Source):
    """A source that the engine pulls.

    It never sleeps and reads no clock: the engine owns schedule, cursor and retry.
    """

    every: Duration = Field(15.0, description="How often it is pulled.", gt=0)
    history: Duration = Field(
        0.0, description="How much past it offers to warm the detectors on first contact."
    )

    @abstractmethod
    def pull(self, since: float, until: float) -> AsyncIterator[Batch]:
        """Everything with ``since < time <= until`` (epoch s). An async generator.

        Raises `Retryable`/`NotConnected` (the same span is asked again later) or `Fatal`.
        """

    def past(self, since: float, until: float) -> AsyncIterator[Frame]:
        """History for learning only; may be coarser than `pull`. Nothing by default."""
        return _nothing()

    def watch(self, record: Labels, query: str) -> None:
        """Also pull `query`, as the series `record` (an SLI). Raises `Fatal` where there are no queries."""
        raise Fatal(f"source {self.name!r} has no query language; select its series with `match` instead")

    def snapshot(self) -> Mapping[str, Any]:
        """JSON-able position beyond the time cursor (file offsets); kept in the checkpoint."""
        return {}

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take up the position that `snapshot` gave."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A receiver's answer to one request."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


Emit: TypeAlias = Callable[[Batch], Awaitable[None]]
"""Hands a batch to the engine; waits while the engine is behind."""


class LetIn(dict[str, str]):
    """Headers of a request that is taken in again: its sender was checked when it came."""


@dataclass(frozen=True, slots=True)
class Route:
    """One HTTP endpoint of a receiver, mounted under ``/receive/<name>``."""

    method: str
    path: str
    handle: Callable[[bytes, Mapping[str, str], Emit], Awaitable[Reply]]
    """``(body, lower-case headers, emit) -> reply``."""


class Receiver(Source):
    """A source that pushes to us, under ``/receive/<name>``."""

    spooled: ClassVar[bool] = False
    """Whether requests are kept until a checkpoint covers them, and handled again after a crash.

    They must hold no secret, and handling them twice must yield the same. Where not, senders are answered
    once what their request brought about is stored.
    """

    samples_per_second: float = Field(
        0.0, ge=0, description="Samples a second; beyond it senders are told to wait (429); 0: no limit."
    )
    most_body: int = Field(
        32 << 20, gt=0, description="Bytes of one request, as it is sent; larger ones are refused (413)."
    )

    @abstractmethod
    def routes(self) -> list[Route]:
        """The endpoints; each emits what it decodes."""


async def _nothing() -> AsyncIterator[Frame]:
    return
    yield

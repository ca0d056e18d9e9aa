"""Fakes that are products: for the tests of plug-ins and of whole installations, ours and other people's."""

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from itertools import count

import numpy as np
from pydantic import PrivateAttr

from aiops.model.frame import Change, Frame, Lines
from aiops.model.series import Labels, SeriesIndex, labels_of
from aiops.plugin import Connector, Message, PluginError, Retryable, Sink, TicketRef
from aiops.plugin.connector import Batch


class FakeClock:
    """A clock that moves only when told. Satisfies `aiops.engine.clock.Clock`."""

    def __init__(self, start: float = 1_767_225_600.0) -> None:
        self._now = start
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now

    @property
    def sleepers(self) -> int:
        """How many tasks sleep on it."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return await asyncio.sleep(0)
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass: sleepers wake in the order of their times, each seeing its own time as now."""
        until = self._now + seconds
        await _let_run()
        while self._sleepers and self._sleepers[0][0] <= until:
            at, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                self._now = max(self._now, at)
                future.set_result(None)
                await _let_run()
        self._now = until
        await _let_run()


async def _let_run() -> None:
    """Give every task that can go on a turn; a task that waits for a thread needs `eventually`."""
    for _ in range(10):
        await asyncio.sleep(0)


async def eventually(condition: Callable[[], object], within: float = 10.0) -> None:
    """Wait (in real seconds) until `condition()` holds. Raises AssertionError when it does not in time."""
    clock = asyncio.get_running_loop().time
    give_up = clock() + within
    while not condition():
        if clock() > give_up:
            raise AssertionError(f"not within {within:g} s: {getattr(condition, '__name__', condition)}")
        await asyncio.sleep(0.005)


class LostAnswer(Retryable):
    """Scripts a `RecordingSink` to act, and then to lose the answer."""

    def __init__(self, text: str = "the answer was lost") -> None:
        super().__init__(text, ambiguous=True)


class RecordingSink(Sink):
    """A sink that remembers, and that fails as scripted. Tickets are ``T-1``, ``T-2``, ..."""

    _heard: list[Message] = PrivateAttr(default_factory=list)
    _attempts: list[Message] = PrivateAttr(default_factory=list)
    _searches: list[str] = PrivateAttr(default_factory=list)
    _tickets: dict[str, list[TicketRef]] = PrivateAttr(default_factory=dict)
    _script: deque[PluginError | None] = PrivateAttr(default_factory=deque)
    _always: PluginError | None = PrivateAttr(None)
    _open: asyncio.Event | None = PrivateAttr(None)

    def script(self, *answers: PluginError | None, always: PluginError | None = None) -> None:
        """What the next attempts are answered: an error, `LostAnswer`, or None to succeed; then `always`."""
        self._script = deque(answers)
        self._always = always

    def freeze(self) -> Callable[[], None]:
        """Attempts hang from now on; the function that is returned lets them, and all later ones, go on."""
        self._open = asyncio.Event()
        return self._open.set

    @property
    def heard(self) -> list[Message]:
        """Messages that had their effect, in order, repeats included."""
        return self._heard

    @property
    def attempts(self) -> list[Message]:
        """Every try, in order."""
        return self._attempts

    @property
    def searches(self) -> list[str]:
        """Keys that `find` was asked for."""
        return self._searches

    @property
    def tickets(self) -> Mapping[str, Sequence[TicketRef]]:
        """Correlation key -> every ticket that was made for it: more than one is a duplicate."""
        return self._tickets

    async def find(self, key: str) -> TicketRef | None:
        self._searches.append(key)
        return self._tickets.get(key, [None])[0]

    async def create(self, message: Message) -> TicketRef:
        made = TicketRef(f"T-{sum(map(len, self._tickets.values())) + 1}")
        await self._answer(message, lambda: self._tickets.setdefault(message.key, []).append(made))
        return made

    async def update(self, ref: str, message: Message) -> None:
        await self._answer(message, lambda: None)

    async def _answer(self, message: Message, act: Callable[[], None]) -> None:
        self._attempts.append(message)
        if self._open is not None:
            await self._open.wait()
        answer = self._script.popleft() if self._script else self._always
        if answer is None or isinstance(answer, LostAnswer):
            act()
            self._heard.append(message)
        if answer is not None:
            raise answer


class ScriptedConnector(Connector):
    """A source that yields what it was fed, when it is asked for that time."""

    _index: SeriesIndex | None = PrivateAttr(None)
    _points: dict[Labels, dict[float, float]] = PrivateAttr(default_factory=dict)
    _lines: list[tuple[float, Labels, str]] = PrivateAttr(default_factory=list)
    _changes: list[Change] = PrivateAttr(default_factory=list)
    _failures: deque[PluginError] = PrivateAttr(default_factory=deque)

    def feed(self, labels: Mapping[str, str], points: Mapping[float, float]) -> None:
        """Samples of one series: time (epoch s) -> value."""
        self._points.setdefault(labels_of({**labels, **self.labels}), {}).update(points)

    def say(self, labels: Mapping[str, str], time: float, text: str) -> None:
        """One log line."""
        self._lines.append((time, labels_of({**labels, **self.labels}), text))

    def happen(self, change: Change) -> None:
        self._changes.append(change)

    def fail(self, *errors: PluginError) -> None:
        """The next pulls raise these, one each, and yield nothing."""
        self._failures.extend(errors)

    def open(self, index: SeriesIndex) -> None:
        self._index = index

    async def pull(self, since: float, until: float) -> AsyncIterator[Batch]:
        if self._failures:
            raise self._failures.popleft()
        async for frame in self.past(since, until):
            yield frame
        streams: dict[Labels, list[tuple[float, str]]] = {}
        for at, labels, text in sorted(self._lines):
            if since < at <= until:
                streams.setdefault(labels, []).append((at, text))
        for labels, said in streams.items():
            yield Lines(labels, np.array([at for at, _ in said]), [text for _, text in said])
        for change in self._changes:
            if since < change.time <= until:
                yield change

    async def past(self, since: float, until: float) -> AsyncIterator[Frame]:
        """The samples of the span as one frame, NaN where a series has none."""
        if self._index is None:
            raise RuntimeError("a source is opened before it is pulled")
        times = sorted({at for points in self._points.values() for at in points if since < at <= until})
        if not times:
            return
        values = np.array([[p.get(at, np.nan) for p in self._points.values()] for at in times])
        yield Frame(np.array(times), self._index.slots(self._points), values)

"""Prometheus, VictoriaMetrics and others with the same query API."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace

import httpx
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr, field_validator, model_validator

from aiops.model.frame import Frame
from aiops.model.selector import Selector
from aiops.model.series import NAME, Labels, SeriesIndex, labels_of, text_of
from aiops.plugin import Connector, Duration, Fatal, Plugin, Retryable, Secret, SelectorText
from aiops.wire import WireError
from aiops.wire.query_json import Answer, decode
from connectors._prometheus_grid import Last, Raw, place
from connectors._prometheus_http import Basic, Refused, Tls, ask, login, read

log = logging.getLogger("aiops.connectors")

_LATE = 10.0
"""A sample bears the start of its scrape, which by default may take 10 s: so late it is still looked for."""
_GAP = 300.0
"""No rate over a longer gap: Prometheus' own staleness."""
_COARSE = 300.0
_FINE_PAST = 7200.0
_CELLS = 200_000
"""Samples in one answer, about 40 MiB while it is read."""
_READ_CELLS = 4_000_000
"""The same by remote read: a sample takes 16 bytes."""
_FIRST_PART = 4
"""Steps of the first request of a long span."""
_BODY = 256 << 20
_READ = "/api/v1/read"


class Query(Plugin):
    """A PromQL expression whose results are watched as series of the given name."""

    name: str = Field(description="Metric name of the results.", pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")
    query: str = Field(description="The expression.", min_length=1)
    labels: dict[str, str] = Field(default_factory=dict, description="Labels added to the results.")


@dataclass(frozen=True, slots=True)
class _Ask:
    """One query and how its results are named."""

    query: str
    extra: dict[str, str]
    """Labels that every result gets."""
    raw: bool = False
    counters: bool = False
    record: Labels = ()
    """The one series that the query must give, whatever its labels."""
    read: Selector | None = None
    """Ask for it by remote read."""


class Prometheus(Connector):
    """Pulls series from Prometheus or VictoriaMetrics.

    What `select` finds is read as raw samples, so nothing is interpolated and a series that stops is seen at
    the next step; counters (``_total``, ``_count``, ``_sum``, ``_bucket``) become rates per second, counted
    from 0 after a restart. Results of `queries` are taken as they are. Let `every` be the scrape interval.
    """

    url: str = Field(description="Root of the server, such as http://prometheus:9090; a path prefix is kept.")
    select: list[SelectorText] = Field(default_factory=list, description="Selectors of the series to watch.")
    queries: list[Query] = Field(default_factory=list, description="Expressions to watch.")
    step: Duration = Field(0.0, description="Distance of the samples; `every` when left out.")
    basic: Basic | None = Field(None, description="User name and password.")
    bearer: Secret | None = Field(None, description="Where the bearer token is; read again on each pull.")
    headers: dict[str, str] = Field(
        default_factory=dict, description="More headers, such as X-Scope-OrgID for a tenant. No secrets."
    )
    tls: Tls = Field(default_factory=Tls, description="Certificates.")
    timeout: Duration = Field(30.0, description="How long one request may take.", gt=0)
    remote_read: bool = Field(
        True, description="Warm up by remote read where the server offers it: quicker, and from raw samples."
    )
    max_series: int = Field(20_000, ge=1, description="Series of one query; those beyond it are left out.")
    max_points: int = Field(
        1000, ge=2, le=11_000, description="Steps of one request; longer spans are asked in parts."
    )

    _index: SeriesIndex = PrivateAttr(default_factory=SeriesIndex)
    _watched: list[_Ask] = PrivateAttr(default_factory=list)
    _client: httpx.AsyncClient | None = PrivateAttr(None)
    _memory: dict[str, Last] = PrivateAttr(default_factory=dict)
    _until: float = PrivateAttr(0.0)
    _reads: bool | None = PrivateAttr(None)
    _said: set[str] = PrivateAttr(default_factory=set)
    _found: dict[str, int] = PrivateAttr(default_factory=dict)
    _over_cap: int = PrivateAttr(0)

    @field_validator("url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        try:
            parsed = httpx.URL(value)
        except httpx.InvalidURL as bad:
            raise ValueError(f"{value!r} is no URL: {bad}") from bad
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ValueError(f"expected a URL such as http://prometheus:9090, got {value!r}")
        if parsed.userinfo:
            raise ValueError("credentials go under basic or bearer, not into the URL")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _one_login(self) -> "Prometheus":
        if self.basic and self.bearer:
            raise ValueError("give either basic or bearer")
        return self

    def open(self, index: SeriesIndex) -> None:
        self._index = index

    async def close(self) -> None:
        if self._client:
            await self._client.aclose()
            self._client = None

    def watch(self, record: Labels, query: str) -> None:
        self._watched.append(_Ask(query, {}, record=record))

    async def pull(self, since: float, until: float) -> AsyncIterator[Frame]:
        """Frames on multiples of `step` (epoch). Raises `NotConnected`, `Retryable` or `Fatal`."""
        asked_before = since < self._until
        memory = {} if asked_before else {query: last.copy() for query, last in self._memory.items()}
        async for frame in self._steps(self._asks(), since, until, self.step or self.every, memory):
            yield frame
        for last in memory.values():
            last.forget(until - _GAP)
        self._memory, self._until = memory, until

    async def past(self, since: float, until: float) -> AsyncIterator[Frame]:
        """History in two passes: 5 min steps from `since`, then `step` for the last 2 h."""
        asks, step = self._asks(), self.step or self.every
        fine = max(since, until - _FINE_PAST) if step < _COARSE else until
        if await self._offers_read(until):
            selectors = [*self.select, *(None for _ in asks[len(self.select) :])]
            asks = [replace(one, read=found) for one, found in zip(asks, selectors, strict=True)]
        coarse = [one if one.read else replace(one, raw=False) for one in asks]
        async for frame in self._steps(coarse, since, fine, max(step, _COARSE), {}):
            yield frame
        async for frame in self._steps(asks, fine, until, step, {}):
            yield frame

    def _asks(self) -> list[_Ask]:
        asks = [_Ask(str(one), self.labels, raw=True, counters=True) for one in self.select]
        asks += [_Ask(one.query, {NAME: one.name} | one.labels | self.labels) for one in self.queries]
        if not asks and not self._watched:
            raise Fatal(f"source {self.name!r} asks nothing: give it select or queries")
        return asks + self._watched

    async def _steps(
        self, asks: list[_Ask], since: float, until: float, step: float, memory: dict[str, Last]
    ) -> AsyncIterator[Frame]:
        """One frame a part. Parts begin short, as a server may scrape more often than we step, and then grow
        to what one answer may hold."""
        first, end = int(np.floor(since / step)) + 1, int(np.floor(until / step))
        points = _FIRST_PART
        while first <= end:
            points = min(points, end - first + 1, self.max_points)
            grid = np.round(np.arange(first, first + points) * step, 3)
            columns: dict[Labels, NDArray[np.float64]] = {}
            refused: list[Refused] = []
            share = 1 / _CELLS
            for one in asks:
                last = memory.setdefault(one.query, Last())
                try:
                    found, samples = await self._columns(one, grid, step, last)
                except Refused as why:
                    refused.append(why)
                    self._say(f"{one.query} is left out: {why}")
                    continue
                columns = found | columns
                share = max(share, samples / (_READ_CELLS if one.read and self._reads else _CELLS))
            if len(refused) == len(asks):
                raise refused[0]
            if columns:
                yield Frame(grid, self._index.slots(columns), np.column_stack(list(columns.values())))
            first += points
            points = max(1, min(4 * points, int(points / share)))

    async def _columns(
        self, one: _Ask, grid: NDArray[np.float64], step: float, last: Last
    ) -> tuple[dict[Labels, NDArray[np.float64]], int]:
        """The answer to one query: series -> values on `grid`; and how many samples it took."""
        answer = await self._read(one, grid, step, last) or await self._asked(one, grid, step, last)
        raw = self._named(one, answer)
        if not one.counters:
            last = Last()
        values = await asyncio.to_thread(
            place, raw, grid[0] - step, grid, last, max(_GAP, 1.5 * step), one.counters
        )
        return dict(zip(raw.labels, values.T, strict=True)), len(answer.times)

    async def _asked(self, one: _Ask, grid: NDArray[np.float64], step: float, last: Last) -> Answer:
        # nocache: without it VictoriaMetrics hides the newest 30 s and moves the grid
        form = {"query": one.query, "nocache": "1", "timeout": f"{self.timeout * 1000:.0f}ms"}
        if one.raw:
            window = _window(grid, step, last)
            form |= {"query": f"{one.query}[{window * 1000:.0f}ms]", "time": f"{grid[-1]:.3f}"}
        elif len(grid) == 1:
            form |= {"time": f"{grid[0]:.3f}"}
        else:
            form |= {"start": f"{grid[0]:.3f}", "end": f"{grid[-1]:.3f}", "step": f"{step:.3f}"}
        path = "/api/v1/query" if "time" in form else "/api/v1/query_range"
        auth = login(self.name, self.basic, self.bearer)
        body = await ask(self._connected(), self.url + path, form, auth, _BODY)
        try:
            answer = await asyncio.to_thread(decode, body)
        except WireError as bad:
            raise Retryable(f"{self.url} sent no proper answer to {one.query}: {bad}") from bad
        for text in answer.warnings:
            self._say(f"{self.url} on {one.query}: {text}")
        return answer

    async def _read(self, one: _Ask, grid: NDArray[np.float64], step: float, last: Last) -> Answer | None:
        """By remote read; None where it is not asked for, or not given."""
        if one.read is None or not self._reads:
            return None
        from aiops.wire import remote_read  # numba: loaded only where it is used

        end = round(grid[-1] * 1000)
        start = end - round(_window(grid, step, last) * 1000) + 1
        request = remote_read.request(one.read.matchers, start, end)
        auth = login(self.name, self.basic, self.bearer)
        try:
            body, kind = await read(self._connected(), self.url + _READ, request, auth)
            return await asyncio.to_thread(remote_read.decode, body, kind, start, end)
        except (Fatal, WireError) as why:
            log.info("source %s: no remote read: %s; going on with queries", self.name, why)
            self._reads = False
            return None

    async def _offers_read(self, now: float) -> bool:
        """Asks once, for a series that is not there. VictoriaMetrics, for one, has no remote read."""
        if self._reads is None:
            self._reads = self.remote_read and bool(self.select)
            nothing = Selector.exact({NAME: "forewarn_asks_for_remote_read"})
            await self._read(_Ask("", {}, read=nothing), np.array([now]), 1.0, Last())
        return self._reads

    def _named(self, one: _Ask, answer: Answer) -> Raw:
        """With our labels; cut to `max_series`, and to nothing where an SLI's query gives several series."""
        labels, most = answer.labels, self.max_series
        self._found[one.query] = len(labels)
        if one.record and len(labels) > 1:
            self._say(
                f"{text_of(one.record)} has no value: its query gives {len(labels)} series; aggregate it, "
                f"for example with max(...)"
            )
            most = 0
        elif len(labels) > most:
            self._say(f"{one.query} gives {len(labels)} series, of which {most} (max_series) are taken")
        named = [one.record or labels_of(found | one.extra) for found in labels]
        chosen = sorted(range(len(named)), key=named.__getitem__)[:most]
        if len(chosen) == len(named):
            return Raw(named, answer.starts, answer.times, answer.values)
        spans = [slice(answer.starts[s], answer.starts[s + 1]) for s in chosen]
        if most:
            self._over_cap += len(answer.times) - sum(s.stop - s.start for s in spans)
        return Raw(
            [named[s] for s in chosen],
            np.cumsum([0] + [s.stop - s.start for s in spans]),
            np.concatenate([answer.times[s] for s in spans] or [np.zeros(0)]),
            np.concatenate([answer.values[s] for s in spans] or [np.zeros(0)]),
        )

    def tally(self) -> Mapping[str, int]:
        most = max(self._found.values(), default=0)
        return {"series": min(most, self.max_series), "over_cap": self._over_cap}

    def _say(self, text: str) -> None:
        """Warn once: a pull comes every few seconds."""
        if text not in self._said and len(self._said) < 100:
            self._said.add(text)
            log.warning("source %s: %s", self.name, text)

    def _connected(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=self.timeout, verify=self.tls.context(), headers=self.headers, follow_redirects=False
            )
        return self._client


def _window(grid: NDArray[np.float64], step: float, last: Last) -> float:
    """Seconds up to the end of `grid` in which raw samples are looked for."""
    late = _LATE if last.samples else min(_GAP, max(_LATE, 4 * step))
    return float(grid[-1] - grid[0] + step + late)

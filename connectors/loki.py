"""Log lines that Grafana Loki keeps."""

from collections.abc import AsyncIterator, Mapping
from hashlib import blake2b
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np
from pydantic import Field, PrivateAttr

from aiops.model.frame import Frame, Lines
from aiops.model.series import NAME, SeriesIndex, labels_of
from aiops.plugin import Duration, Fatal, Retryable
from aiops.wire import loki
from connectors._log_http import HttpLogs, ask
from connectors._log_seen import Seen
from connectors._loki_tail import Tail

_NS = 1_000_000_000


class Loki(HttpLogs):
    """Asks Loki's HTTP API for the lines of a LogQL query, oldest first, page by page.

    Loki takes lines in late, so each pull goes back by `overlap` and drops what it has had, known by time and
    hash. With `tail`, lines come by Loki's tail; they are asked for only once in an `overlap`, and when the
    tail broke or dropped some. Lines bear the labels of their streams. Also yields ``loki_lines_per_second``.
    """

    every: Duration = Field(5.0, description="How often it is pulled.", gt=0)
    query: str = Field(description='A LogQL log query, such as {job=~"api|db"}.', min_length=2)
    tenant: str = Field("", description="Sent as X-Scope-OrgID, where Loki has tenants.")
    limit: int = Field(
        5000, ge=2, le=100_000, description="Lines a request; Loki's own limit is 5000 unless raised."
    )
    overlap: Duration = Field(30.0, description="How late lines may come in.")
    structured: bool = Field(
        False, description="Keep structured metadata and parsed labels: only where their values are few."
    )
    tail: bool = Field(False, description="Listen to Loki's tail too; pulls then ask far less.")

    _index: SeriesIndex = PrivateAttr(default_factory=SeriesIndex)
    _http: httpx.AsyncClient | None = PrivateAttr(None)
    _seen: Seen = PrivateAttr(default_factory=Seen)
    _tail: Tail | None = PrivateAttr(None)
    _asked: float = PrivateAttr(0.0)
    """Up to when all lines were asked for (epoch s); 0 before the first answer."""

    def open(self, index: SeriesIndex) -> None:
        self._index = index

    async def close(self) -> None:
        if self._http:
            await self._http.aclose()
            self._http = None
        if self._tail:
            await self._tail.close()
            self._tail = None

    async def pull(self, since: float, until: float) -> AsyncIterator[Frame | Lines]:
        """The lines of the span, and late ones of the overlap before it."""
        asked = min(since, self._asked) if self._asked else since
        start, end = int((asked - self.overlap) * _NS) + 1, int(until * _NS) + 1
        self._seen.forget(start)
        count, whole = 0, False
        if self.tail:
            streams, whole = self._heard(start)
            async for number, lines in self._fresh(streams, since, until):
                yield lines
                count += number
        while not (whole and until - self._asked < self.overlap):
            streams = await self._page(start, end)
            async for number, lines in self._fresh(streams, since, until):
                yield lines
                count += number
            times = [entry.time for stream in streams for entry in stream.entries]
            if len(times) < self.limit:
                self._asked = until
                break
            if max(times) == start:
                raise Fatal(f"more than {self.limit} lines of one nanosecond: raise `limit`")
            start = max(times)  # asked again: there may be more of that nanosecond
        yield self._frame(count / max(until - since, 1e-3), until)

    async def _fresh(
        self, streams: list[loki.Stream], since: float, until: float
    ) -> AsyncIterator[tuple[int, Lines]]:
        """(how many, lines) of what was not had yet."""
        for stream in streams:
            marks = {_mark(stream, e): e for e in stream.entries}
            fresh = {mark: entry for mark, entry in marks.items() if mark not in self._seen}
            for lines in self._lines(stream, list(fresh.values()), since, until):
                yield len(lines.text), lines
            for mark, entry in fresh.items():  # after the yield: what is not taken comes again
                self._seen.add(entry.time, mark)

    def _heard(self, start: int) -> tuple[list[loki.Stream], bool]:
        """What the tail has given since the last pull, and whether that was all."""
        if self._tail is None:
            form = urlencode({"query": self.query, "start": start, "limit": self.limit, "delay_for": 0})
            url = f"ws{self.url.removeprefix('http').rstrip('/')}/loki/api/v1/tail?{form}"
            tls = self.trusted() if url.startswith("wss:") else None
            self._tail = Tail(url, self._headers() | self.credentials(), tls, self.name)
        heard = self._tail.take()
        self._tail.listen()
        return heard

    def _headers(self) -> dict[str, str]:
        """Structured metadata is asked for apart from the labels of streams."""
        flags = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
        return flags | ({"X-Scope-OrgID": self.tenant} if self.tenant else {})

    def snapshot(self) -> Mapping[str, Any]:
        return {**self._seen.snapshot(), "asked": self._asked}

    def restore(self, data: Mapping[str, Any]) -> None:
        self._seen.restore(data)
        self._asked = float(data.get("asked", 0.0))

    async def _page(self, start: int, end: int) -> list[loki.Stream]:
        if self._http is None:
            self._http = self.client()
        form = {
            "query": self.query,
            "start": str(start),
            "end": str(end),
            "limit": str(self.limit),
            "direction": "forward",
        }
        url = f"{self.url.rstrip('/')}/loki/api/v1/query_range"
        body = await ask(self._http, "GET", url, params=form, headers=self._headers())
        try:
            return loki.decode(body)
        except ValueError as why:
            raise Retryable(f"{url}: {why}") from why

    def _lines(
        self, stream: loki.Stream, entries: list[loki.Entry], since: float, until: float
    ) -> list[Lines]:
        parts: dict[tuple[tuple[str, str], ...], list[loki.Entry]] = {}
        for entry in entries:
            parts.setdefault(entry.metadata if self.structured else (), []).append(entry)
        return [
            Lines(
                labels_of({**dict(stream.labels), **dict(extra), **self.labels}),
                np.array([_time(entry, since, until) for entry in part]),
                [entry.line for entry in part],
            )
            for extra, part in parts.items()
        ]

    def _frame(self, rate: float, until: float) -> Frame:
        series = labels_of({NAME: "loki_lines_per_second"} | self.labels)
        return Frame(np.array([until]), self._index.slots([series]), np.array([[rate]]))


def _time(entry: loki.Entry, since: float, until: float) -> float:
    """Its own, if within the pull; of what came in late it is the pull's."""
    time = entry.time / _NS
    return time if since < time <= until else until


def _mark(stream: loki.Stream, entry: loki.Entry) -> str:
    digest = blake2b(digest_size=12)
    digest.update(repr((stream.labels, entry.time, entry.metadata)).encode())
    digest.update(entry.line.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()

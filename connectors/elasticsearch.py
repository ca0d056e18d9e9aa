"""Log lines that Elasticsearch or OpenSearch keeps."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np
from pydantic import Field, PrivateAttr

from aiops.model.frame import Frame, Lines
from aiops.model.series import NAME, Labels, SeriesIndex, labels_of
from aiops.plugin import Duration, Fatal, Retryable
from connectors._log_http import HttpLogs, ask
from connectors._log_seen import Seen

_LABELS = {"host": "host.name", "service": "service.name", "pod": "kubernetes.pod.name"}


class Elasticsearch(HttpLogs):
    """Searches an index for lines by their time, oldest first, page by page; Elasticsearch 7+ and OpenSearch.

    Documents are indexed late, so each pull goes back by `overlap` and drops what it has had, known by
    ``_index`` and ``_id``. Also yields ``elasticsearch_lines_per_second``.
    """

    every: Duration = Field(10.0, description="How often it is pulled.", gt=0)
    index: str = Field("logs-*", description="Index, alias, data stream or pattern.", min_length=1)
    query: str = Field("", description="Query string that picks lines, as typed into Kibana's Lucene bar.")
    time_field: str = Field("@timestamp", description="Field of the time: a date.")
    message_field: str = Field("message", description="Field of the line, dotted.")
    level_field: str = Field("log.level", description="Field of the level, dotted; put before the line.")
    label_fields: dict[str, str] = Field(
        default_factory=lambda: dict(_LABELS), description="Label -> field that it is taken from, dotted."
    )
    limit: int = Field(5000, ge=2, le=10_000, description="Documents a request.")
    overlap: Duration = Field(60.0, description="How late documents may be indexed.")

    _slots: SeriesIndex = PrivateAttr(default_factory=SeriesIndex)
    _http: httpx.AsyncClient | None = PrivateAttr(None)
    _seen: Seen = PrivateAttr(default_factory=Seen)

    def open(self, index: SeriesIndex) -> None:
        self._slots = index

    async def close(self) -> None:
        if self._http:
            await self._http.aclose()
            self._http = None

    async def pull(self, since: float, until: float) -> AsyncIterator[Frame | Lines]:
        """The lines of the span, and late ones of the overlap before it."""
        start, end = int((since - self.overlap) * 1000), int(until * 1000)
        self._seen.forget(start)
        count = 0
        while True:
            hits = await self._page(start, end)
            times = [int(hit["sort"][0]) for hit in hits]
            fresh = [(t, h) for t, h in zip(times, hits, strict=True) if _mark(h) not in self._seen]
            for labels, part in self._by_stream(fresh).items():
                text = [self._line(hit["_source"]) for _, hit in part]
                # of what was indexed late, the time is the pull's
                own = [time / 1000 for time, _ in part]
                yield Lines(labels, np.array([t if since < t <= until else until for t in own]), text)
                for time, hit in part:  # after the yield: what is not taken comes again
                    self._seen.add(time, _mark(hit))
            count += len(fresh)
            if len(hits) < self.limit:
                break
            if times[-1] == start:
                raise Fatal(f"more than {self.limit} documents of one millisecond: raise `limit`")
            start = times[-1]  # asked again: there may be more of that millisecond
        series = labels_of({NAME: "elasticsearch_lines_per_second"} | self.labels)
        rate = count / max(until - since, 1e-3)
        yield Frame(np.array([until]), self._slots.slots([series]), np.array([[rate]]))

    def snapshot(self) -> Mapping[str, Any]:
        return self._seen.snapshot()

    def restore(self, data: Mapping[str, Any]) -> None:
        self._seen.restore(data)

    async def _page(self, start: int, end: int) -> list[dict[str, Any]]:
        if self._http is None:
            self._http = self.client()
        span = {"gte": _iso(start), "lte": _iso(end), "format": "strict_date_time"}
        chosen: list[dict[str, Any]] = [{"range": {self.time_field: span}}]
        if self.query:
            chosen.append({"query_string": {"query": self.query}})
        body = {
            "size": self.limit,
            "sort": [{self.time_field: {"order": "asc"}}],
            "query": {"bool": {"filter": chosen}},
            "track_total_hits": False,
        }
        url = f"{self.url.rstrip('/')}/{self.index}/_search"
        form = {"ignore_unavailable": "true", "allow_no_indices": "true"}
        answer = await ask(self._http, "POST", url, json=body, params=form)
        try:
            found = json.loads(answer)
            if found.get("timed_out") or found["_shards"]["failed"]:
                raise Retryable(f"{url}: some shards did not answer")
            hits: list[dict[str, Any]] = found["hits"]["hits"]
        except (ValueError, KeyError, TypeError, AttributeError) as why:
            raise Retryable(f"{url}: not an answer of a search: {why!r}") from why
        return hits

    def _by_stream(
        self, hits: list[tuple[int, dict[str, Any]]]
    ) -> dict[Labels, list[tuple[int, dict[str, Any]]]]:
        found: dict[Labels, list[tuple[int, dict[str, Any]]]] = {}
        for time, hit in hits:
            mine = {label: field_of(hit["_source"], name) for label, name in self.label_fields.items()}
            found.setdefault(labels_of(mine | self.labels), []).append((time, hit))
        return found

    def _line(self, source: dict[str, Any]) -> str:
        level = field_of(source, self.level_field).upper()
        message = field_of(source, self.message_field) or json.dumps(source, ensure_ascii=False)
        return f"{level} {message}" if level and level not in message[:100].upper() else message


def field_of(source: Mapping[str, Any], dotted: str) -> str:
    """A field as text, be it nested or with dots in its name; empty when there is none."""
    if dotted in source:
        found: Any = source[dotted]
    else:
        head, _, rest = dotted.partition(".")
        inner = source.get(head)
        if rest and isinstance(inner, Mapping):
            return field_of(inner, rest)
        found = None
    if isinstance(found, list):
        found = found[0] if found else None
    return "" if found is None or isinstance(found, Mapping) else str(found)


def _mark(hit: Mapping[str, Any]) -> str:
    return f"{hit['_index']}/{hit['_id']}"


def _iso(millis: int) -> str:
    return (
        datetime.fromtimestamp(millis / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )

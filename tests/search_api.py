"""A small ``_search`` over documents in memory: in the shapes that Elasticsearch 8 and OpenSearch 2 document.

Ranges by ISO time, ascending sort by time, size; failures by `fail`.
"""

import json
from datetime import datetime
from typing import Any

from tests.log_stub import LogStub


class SearchApi(LogStub):
    """`add` puts a document in."""

    def __init__(self) -> None:
        super().__init__()
        self.documents: list[tuple[int, str, dict[str, Any]]] = []
        self.bodies: list[dict[str, Any]] = []

    def add(self, at: float, message: str, **fields: Any) -> None:
        ident = f"id{len(self.documents)}"
        self.documents.append((round(at * 1000), ident, {"message": message, **fields}))

    def answer(
        self, path: str, form: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes]:
        asked = json.loads(body)
        self.bodies.append(asked)
        (span,) = [one["range"]["@timestamp"] for one in asked["query"]["bool"]["filter"] if "range" in one]
        low, high = (datetime.fromisoformat(span[key]).timestamp() * 1000 for key in ("gte", "lte"))
        found = sorted((d for d in self.documents if low <= d[0] <= high), key=lambda d: d[0])
        hits = [
            {"_index": "logs-1", "_id": ident, "_score": None, "_source": source, "sort": [at]}
            for at, ident, source in found[: asked["size"]]
        ]
        shards = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}
        whole = {"took": 1, "timed_out": False, "_shards": shards, "hits": {"max_score": None, "hits": hits}}
        return 200, json.dumps(whole).encode()

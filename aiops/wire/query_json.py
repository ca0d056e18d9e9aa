"""Answers of ``/api/v1/query`` and ``/api/v1/query_range``, as Prometheus and its relatives give them.

Format: https://prometheus.io/docs/prometheus/latest/querying/api/ (vector, matrix, scalar).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from aiops.wire import WireError
from aiops.wire._json_place import place

_KIND, _RESULT = ("data", "resultType"), ("data", "result")


@dataclass(frozen=True, slots=True)
class Answer:
    """Series of unequal length, end to end: series ``s`` has ``times[starts[s]:starts[s + 1]]``, ascending.

    ``labels``: one mapping a series, as sent; ``starts[S + 1]``; ``times[N]`` seconds since the epoch;
    ``values[N]``, where NaN and infinities are kept. ``warnings``: what the server adds in words.
    """

    labels: list[dict[str, str]]
    starts: NDArray[np.int64]
    times: NDArray[np.float64]
    values: NDArray[np.float64]
    warnings: tuple[str, ...] = ()

    def grid(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """All times that occur, ``[T]``, and the values on them, ``[T, S]``; NaN where a series has none."""
        times, rows = np.unique(self.times, return_inverse=True)
        values = np.full((len(times), len(self.labels)), np.nan)
        columns = np.repeat(np.arange(len(self.labels)), np.diff(self.starts))
        values[rows, columns] = self.values
        return times, values


class _Shape(Exception):
    """JSON, but no answer: `path` is where."""

    def __init__(self, text: str, *path: str | int) -> None:
        super().__init__(text)
        self.path = path


def decode(body: bytes) -> Answer:
    """A successful answer. Raises `WireError` for anything else, with the server's words if it has some."""
    document = _json(body)
    try:
        return _answer(document)
    except _Shape as bad:
        raise WireError(str(bad), place(body, bad.path)) from None


def _answer(document: dict[str, Any]) -> Answer:
    if document.get("status") != "success":
        error = document.get("error")
        raise _Shape(f"the answer is no success: {error or document.get('status')!r}", "status")
    data = document.get("data")
    if not isinstance(data, dict):
        raise _Shape("data is missing", "data")
    kind, result = data.get("resultType"), data.get("result")
    if not isinstance(result, list):
        raise _Shape("data.result is no list", "data", "result")
    match kind:
        case "matrix":
            series = [
                (s, _field(s, "values", number)) for number, s in enumerate(result) if not _histogram(s)
            ]
        case "vector":
            series = [
                (s, [_field(s, "value", number)]) for number, s in enumerate(result) if not _histogram(s)
            ]
        case "scalar":
            series = [({"metric": {}}, [result])]
        case _:
            raise _Shape(f"data.resultType is {kind!r}; expected matrix, vector or scalar", *_KIND)
    return _columns(series, _warnings(document))


def error_text(body: bytes) -> str:
    """What a refused query says in ``error``; empty when the body is no such JSON."""
    try:
        document = _json(body)
    except WireError:
        return ""
    error = document.get("error")
    return error if isinstance(error, str) else ""


def _json(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as bad:
        raise WireError(f"not JSON: {bad.msg}", _offset(body, bad.pos)) from None
    if not isinstance(document, dict):
        raise WireError("not a JSON object", 0)
    return document


def _offset(body: bytes, characters: int) -> int:
    """Byte offset of a position that the parser counts in characters; of the first byte that is no UTF-8."""
    try:
        text = body.decode()
    except UnicodeDecodeError as bad:
        return bad.start
    return len(text[:characters].encode(errors="surrogatepass"))


def _histogram(series: Any) -> bool:
    """A native histogram has no numbers to read."""
    return isinstance(series, dict) and ("histograms" in series or "histogram" in series)


def _field(series: Any, key: str, number: int) -> Any:
    if not isinstance(series, dict) or not isinstance(series.get("metric"), dict):
        raise _Shape(f"data.result[{number}] has no metric", *_RESULT, number)
    found = series.get(key)
    if not isinstance(found, list):
        raise _Shape(f"data.result[{number}].{key} is no list", *_RESULT, number, key)
    return found


def _columns(series: list[tuple[dict[str, Any], list[Any]]], warnings: tuple[str, ...]) -> Answer:
    labels: list[dict[str, str]] = []
    times: list[float] = []
    values: list[float] = []
    starts = [0]
    for number, (one, pairs) in enumerate(series):
        metric = one["metric"]
        if not all(isinstance(v, str) for v in metric.values()):
            raise _Shape(
                f"data.result[{number}].metric has a label that is no text", *_RESULT, number, "metric"
            )
        try:
            for time, value in pairs:
                times.append(float(time))
                values.append(float(value))
        except (TypeError, ValueError, OverflowError) as bad:
            sample = len(values) - starts[-1]
            raise _Shape(
                f"data.result[{number}] sample {sample} is no [time, value]: {bad}", *_RESULT, number
            ) from None
        labels.append(metric)
        starts.append(len(times))
    found = Answer(labels, np.array(starts, np.int64), np.array(times), np.array(values), warnings)
    _check_order(found)
    return found


def _check_order(answer: Answer) -> None:
    if not np.isfinite(answer.times).all():
        raise _Shape("a sample's time is not finite", *_RESULT)
    back = np.diff(answer.times) <= 0
    joints = answer.starts[1:-1]
    back[joints[(joints > 0) & (joints <= len(back))] - 1] = False
    if back.any():
        number = int(np.searchsorted(answer.starts, np.argmax(back), side="right")) - 1
        raise _Shape(f"data.result[{number}] has times that do not ascend", *_RESULT, number)


def _warnings(document: dict[str, Any]) -> tuple[str, ...]:
    found = [document.get(key) for key in ("warnings", "infos")]
    texts = [text for group in found if isinstance(group, list) for text in group if isinstance(text, str)]
    return (*texts, "the answer is partial") if document.get("isPartial") is True else tuple(texts)

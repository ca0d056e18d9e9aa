"""Answers of ``/api/v1/query`` and ``/api/v1/query_range``, as Prometheus and its relatives give them.

Format: https://prometheus.io/docs/prometheus/latest/querying/api/ (vector, matrix, scalar).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from aiops.wire import WireError


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


def decode(body: bytes) -> Answer:
    """A successful answer. Raises `WireError` for anything else, with the server's words if it has some."""
    document = _json(body)
    if document.get("status") != "success":
        raise WireError(f"the answer is no success: {error_text(body) or document.get('status')!r}")
    data = document.get("data")
    if not isinstance(data, dict):
        raise WireError("data is missing")
    kind, result = data.get("resultType"), data.get("result")
    if not isinstance(result, list):
        raise WireError("data.result is no list")
    match kind:
        case "matrix":
            series = [(s, _field(s, "values", place)) for place, s in enumerate(result) if not _histogram(s)]
        case "vector":
            series = [(s, [_field(s, "value", place)]) for place, s in enumerate(result) if not _histogram(s)]
        case "scalar":
            series = [({"metric": {}}, [result])]
        case _:
            raise WireError(f"data.resultType is {kind!r}; expected matrix, vector or scalar")
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


def _field(series: Any, key: str, place: int) -> Any:
    if not isinstance(series, dict) or not isinstance(series.get("metric"), dict):
        raise WireError(f"data.result[{place}] has no metric")
    found = series.get(key)
    if not isinstance(found, list):
        raise WireError(f"data.result[{place}].{key} is no list")
    return found


def _columns(series: list[tuple[dict[str, Any], list[Any]]], warnings: tuple[str, ...]) -> Answer:
    labels: list[dict[str, str]] = []
    times: list[float] = []
    values: list[float] = []
    starts = [0]
    for place, (one, pairs) in enumerate(series):
        metric = one["metric"]
        if not all(isinstance(v, str) for v in metric.values()):
            raise WireError(f"data.result[{place}].metric has a label that is no text")
        try:
            for time, value in pairs:
                times.append(float(time))
                values.append(float(value))
        except (TypeError, ValueError, OverflowError) as bad:
            raise WireError(
                f"data.result[{place}] sample {len(values) - starts[-1]} is no [time, value]: {bad}"
            ) from None
        labels.append(metric)
        starts.append(len(times))
    found = Answer(labels, np.array(starts, np.int64), np.array(times), np.array(values), warnings)
    _check_order(found)
    return found


def _check_order(answer: Answer) -> None:
    if not np.isfinite(answer.times).all():
        raise WireError("a sample's time is not finite")
    back = np.diff(answer.times) <= 0
    joints = answer.starts[1:-1]
    back[joints[(joints > 0) & (joints <= len(back))] - 1] = False
    if back.any():
        place = int(np.searchsorted(answer.starts, np.argmax(back), side="right")) - 1
        raise WireError(f"data.result[{place}] has times that do not ascend")


def _warnings(document: dict[str, Any]) -> tuple[str, ...]:
    found = [document.get(key) for key in ("warnings", "infos")]
    texts = [text for group in found if isinstance(group, list) for text in group if isinstance(text, str)]
    return (*texts, "the answer is partial") if document.get("isPartial") is True else tuple(texts)

"""CSV and Parquet files -> columns of times, series and values; every fault names file and line."""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.model.selector import Selector, SelectorError
from aiops.model.series import NAME, Labels, labels_of

TIME_NAMES = ("time", "timestamp", "ts", "datetime", "date")
BATCH = 1024
"""Rows of a wide file that are held at once."""
_NOTHING = frozenset(("", "nan", "null", "none", "na", "n/a"))


class TableError(Exception):
    """The file cannot be read as series; the message names file and line."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Part of a file. Wide: ``values[T, len(series)]``. Long: ``values[N]``, of series ``which[N]``."""

    file: Path
    series: list[Labels]
    times: NDArray[np.float64]
    values: NDArray[np.float64]
    which: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Header:
    """Where things stand in a row. ``value`` is -1 in a wide file."""

    names: list[str]
    time: int
    value: int
    series: int
    rest: list[int]
    """Wide: columns of series. Long: columns of labels."""


def read_csv(file: Path) -> Iterator[Layout]:
    """A wide file in parts, a long one whole. Raises `TableError`."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.reader(lines)
            header = _header(file, next(reader, []))
            rows = _csv_rows(file, reader, len(header.names))
            yield from _wide_csv(file, header, rows) if header.value < 0 else _long_csv(file, header, rows)
    except (OSError, UnicodeDecodeError, csv.Error) as why:
        raise TableError(f"{file}: {why}") from why


def read_parquet(file: Path) -> Iterator[Layout]:
    """As `read_csv`. pyarrow is imported only here: it costs 40 MB."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as source:
            header = _header(file, source.schema_arrow.names)
            if header.value >= 0:
                yield _long_arrow(file, header, source.read())
                return
            series = _series(file, [header.names[i] for i in header.rest])
            for batch in source.iter_batches(BATCH):
                times = _arrow_times(file, batch.column(header.time))
                columns = [_arrow_floats(file, header.names[i], batch.column(i)) for i in header.rest]
                values = np.column_stack(columns) if columns else np.empty((len(times), 0))
                yield Layout(file, series, times, values, np.empty(0, np.int64))
    except (OSError, pa.ArrowException) as why:
        raise TableError(f"{file}: {str(why).splitlines()[0]}") from why


def span_of(file: Path) -> tuple[float, float]:
    """Times of the first and the last row. Raises `TableError`."""
    if file.suffix == ".parquet":
        times = _parquet_times(file)
        return (float(times.min()), float(times.max())) if len(times) else (math.inf, -math.inf)
    with file.open("rb") as raw:
        first = raw.readline() + raw.readline()
        raw.seek(0, 2)
        raw.seek(max(0, raw.tell() - 1_000_000))
        last = raw.read().rstrip().rpartition(b"\n")[2]
    head, *rows = csv.reader(first.decode("utf-8-sig", "replace").splitlines() or [""])
    header = _header(file, head)
    rows += list(csv.reader([last.decode("utf-8", "replace")])) if rows else []
    times_ = [_time(file, 2, row[header.time]) for row in rows if len(row) > header.time]
    return (min(times_), max(times_)) if times_ else (math.inf, -math.inf)


def labels_from(text: str) -> Labels:
    """``name{label="value"}`` or a bare name -> labels. Raises `SelectorError`."""
    text = text.strip()
    if "{" not in text:
        return labels_of({NAME: text})
    found = Selector.parse(text)
    if any(matcher.op != "=" for matcher in found.matchers):
        raise SelectorError("a series has exact labels: use =")
    return labels_of((matcher.label, matcher.value) for matcher in found.matchers)


def _header(file: Path, names: Sequence[str]) -> _Header:
    names = [name.strip() for name in names]
    lower = [name.lower() for name in names]
    time = next((lower.index(name) for name in TIME_NAMES if name in lower), -1)
    if time < 0:
        wanted = ", ".join(TIME_NAMES)
        raise TableError(f"{file}:1: no time column; the header needs one of: {wanted}")
    value = lower.index("value") if "value" in lower else -1
    series = lower.index("series") if value >= 0 and "series" in lower else -1
    rest = [i for i in range(len(names)) if i not in (time, value, series)]
    if value < 0 and not rest:
        raise TableError(f"{file}:1: no column of values beside the time")
    return _Header(names, time, value, series, rest)


def _series(file: Path, texts: Sequence[str]) -> list[Labels]:
    made: list[Labels] = []
    for text in texts:
        try:
            made.append(labels_from(text))
        except SelectorError as why:
            raise TableError(f"{file}:1: column {text!r}: {why}") from why
    if len(set(made)) < len(made):
        doubled = next(text for text, labels in zip(texts, made, strict=True) if made.count(labels) > 1)
        raise TableError(f"{file}:1: two columns are the same series {doubled!r}")
    return made


def _csv_rows(file: Path, reader: Any, width: int) -> Iterator[tuple[int, list[str]]]:
    for row in reader:
        if not row:
            continue
        if len(row) != width:
            raise TableError(f"{file}:{reader.line_num}: {len(row)} cells, but the header has {width}")
        yield reader.line_num, row


def _wide_csv(file: Path, header: _Header, rows: Iterator[tuple[int, list[str]]]) -> Iterator[Layout]:
    series = _series(file, [header.names[i] for i in header.rest])
    times: list[float] = []
    values: list[list[float]] = []
    for line, row in rows:
        times.append(_time(file, line, row[header.time]))
        values.append([_number(file, line, header.names[i], row[i]) for i in header.rest])
        if len(times) == BATCH:
            yield Layout(file, series, np.array(times), np.array(values), np.empty(0, np.int64))
            times, values = [], []
    if times:
        yield Layout(file, series, np.array(times), np.array(values), np.empty(0, np.int64))


def _long_csv(file: Path, header: _Header, rows: Iterator[tuple[int, list[str]]]) -> Iterator[Layout]:
    known: dict[tuple[str, ...], int] = {}
    series: list[Labels] = []
    times: list[float] = []
    values: list[float] = []
    which: list[int] = []
    for line, row in rows:
        key = tuple(row[i] for i in (header.series, *header.rest) if i >= 0)
        if key not in known:
            known[key] = len(series)
            series.append(_long_labels(file, line, header, row))
        times.append(_time(file, line, row[header.time]))
        values.append(_number(file, line, "value", row[header.value]))
        which.append(known[key])
    yield Layout(file, series, np.array(times), np.array(values), np.array(which, np.int64))


def _long_labels(file: Path, line: int, header: _Header, row: Sequence[str]) -> Labels:
    labels = {NAME: file.stem}
    if header.series >= 0:
        try:
            labels = dict(labels_from(row[header.series]))
        except SelectorError as why:
            raise TableError(f"{file}:{line}: series {row[header.series]!r}: {why}") from why
    for i in header.rest:
        name = NAME if header.names[i].lower() in ("metric", NAME) else header.names[i]
        labels[name] = row[i]
    return labels_of(labels)


def _number(file: Path, line: int, column: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        if text.strip().lower() in _NOTHING:
            return math.nan
    raise TableError(f"{file}:{line}: column {column!r}: {text!r} is no number")


def _time(file: Path, line: int, text: str) -> float:
    text = text.strip()
    try:
        return _seconds(float(text))
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as why:
        raise TableError(f"{file}:{line}: {text!r} is no time: epoch seconds or ISO 8601") from why
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _seconds(number: float) -> float:
    """Epoch seconds from s, ms, us or ns, told apart by size: each unit holds for years 1973 to 5138."""
    if not math.isfinite(number):
        raise ValueError("not finite")
    for unit in (1e9, 1e6, 1e3):
        if abs(number) >= 1e8 * unit:
            return number / unit
    return number


def _arrow_times(file: Path, column: Any) -> NDArray[np.float64]:
    import pyarrow as pa

    if column.null_count:
        raise TableError(f"{file}: {column.null_count} rows have no time")
    if pa.types.is_temporal(column.type):
        stamps = column.cast(pa.timestamp("us")).cast(pa.int64())
        return np.asarray(stamps.to_numpy(zero_copy_only=False), np.float64) / 1e6
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array([_time(file, row + 1, text) for row, text in enumerate(column.to_pylist())])
    numbers = _arrow_floats(file, "time", column)
    return np.array([_seconds(float(number)) for number in numbers])


def _arrow_floats(file: Path, name: str, column: Any) -> NDArray[np.float64]:
    import pyarrow as pa

    try:
        return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    except pa.ArrowInvalid as why:
        raise TableError(f"{file}: column {name!r}: {str(why).splitlines()[0]}") from why


def _parquet_times(file: Path) -> NDArray[np.float64]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as source:
            names = source.schema_arrow.names
            wanted = names[_header(file, names).time]
            return _arrow_times(file, source.read([wanted]).column(0).combine_chunks())
    except (OSError, pa.ArrowException) as why:
        raise TableError(f"{file}: {str(why).splitlines()[0]}") from why


def _long_arrow(file: Path, header: _Header, table: Any) -> Layout:
    import pyarrow as pa

    keys = [i for i in (header.series, *header.rest) if i >= 0]
    texts = [table.column(i).cast(pa.string()).to_pylist() for i in keys]
    known: dict[tuple[str, ...], int] = {}
    series: list[Labels] = []
    which = np.zeros(table.num_rows, np.int64)
    rows = zip(*texts, strict=True) if texts else ((),) * table.num_rows
    for number, key in enumerate(tuple(text or "" for text in one) for one in rows):
        if key not in known:
            known[key] = len(series)
            row = [""] * len(header.names)
            for i, text in zip(keys, key, strict=True):
                row[i] = text
            series.append(_long_labels(file, number + 1, header, row))
        which[number] = known[key]
    times = _arrow_times(file, table.column(header.time).combine_chunks())
    values = _arrow_floats(file, "value", table.column(header.value).combine_chunks())
    return Layout(file, series, times, values, which)

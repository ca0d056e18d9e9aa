"""Recorded series from a folder of CSV or Parquet files, as frames in time order.

Two layouts, told apart by the header:

* wide: a time column, and one column a series, headed in PromQL style (``up{job="api"}``) or by a bare name;
* long: a time column, a ``value`` column, and either a ``series`` column of PromQL-style texts or one column
  a label, the metric's name under ``metric`` or ``__name__``. With neither, the file's name is the metric's.

The time column is called time, timestamp, ts, date or datetime, and holds ISO 8601 (UTC when it names no
zone) or seconds, milli-, micro- or nanoseconds since the epoch. Files may overlap in time, not in samples.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from aiops.engine.tables_read import Layout, TableError, read_csv, read_parquet, span_of
from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex, text_of

CHUNK = 256
"""Rows a frame when one file is read alone."""

Row: TypeAlias = tuple[float, int, NDArray[np.int32], NDArray[np.float64]]
"""Time, number of the file (so that equal times compare), slots, values."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The files of one folder, or one file. Raises `TableError` at once when there is nothing to read."""

    files: list[Path]

    @classmethod
    def of(cls, folder: Path, suffix: str) -> "Tables":
        """`suffix` is ``csv`` or ``parquet``."""
        files = [folder] if folder.is_file() else sorted(folder.glob(f"*.{suffix}"))
        if not files:
            raise TableError(f"{folder}: no *.{suffix} file is here")
        return cls(files)

    def span(self) -> tuple[float, float]:
        """About the first and last time, without reading everything: good enough for a progress bar."""
        spans = [span_of(file) for file in self.files]
        return min(start for start, _ in spans), max(end for _, end in spans)

    def frames(self, index: SeriesIndex, since: float = -np.inf, until: float = np.inf) -> Iterator[Frame]:
        """Every sample with ``since < time <= until``, in time order. Raises `TableError`."""
        streams = [self._rows(number, file, index) for number, file in enumerate(self.files)]
        rows = heapq.merge(*streams, key=lambda row: row[:2]) if len(streams) > 1 else streams[0]
        wanted = (row for row in rows if since < row[0] <= until)
        yield from _chunks(self._joined(wanted, index))

    def _rows(self, number: int, file: Path, index: SeriesIndex) -> Iterator[Row]:
        reader = read_parquet if file.suffix == ".parquet" else read_csv
        before = -np.inf
        for table in reader(file):
            for time, slots, values in _table_rows(table, index):
                if time < before:
                    raise TableError(f"{file}: the times go back at {time:.3f}; sort the file by time")
                before = time
                yield time, number, slots, values

    def _joined(self, rows: Iterable[Row], index: SeriesIndex) -> Iterator[Row]:
        """Rows of one time from several files as one row."""
        for time, group in groupby(rows, key=lambda row: row[0]):
            parts = list(group)
            if len(parts) == 1:
                yield parts[0]
                continue
            slots = np.concatenate([part[2] for part in parts])
            seen, counts = np.unique(slots, return_counts=True)
            if (counts > 1).any():
                name = text_of(index.labels(int(seen[counts > 1][0])))
                files = sorted({self.files[part[1]].name for part in parts})
                raise TableError(f"{', '.join(files)}: two samples of {name} at {time:.3f}")
            yield time, 0, slots, np.concatenate([part[3] for part in parts])


def _table_rows(
    table: Layout, index: SeriesIndex
) -> Iterator[tuple[float, NDArray[np.int32], NDArray[np.float64]]]:
    slots = index.slots(table.series)
    if table.values.ndim == 2:
        for time, values in zip(table.times, table.values, strict=True):
            yield float(time), slots, values
        return
    order = np.argsort(table.times, kind="stable")
    times, which, values = table.times[order], slots[table.which[order]], table.values[order]
    starts = np.flatnonzero(np.diff(times, prepend=np.nan) != 0)
    for start, end in zip(starts, [*starts[1:], len(times)], strict=True):
        if len(np.unique(which[start:end])) < end - start:
            raise TableError(f"{table.file}: two samples of one series at {times[start]:.3f}")
        yield float(times[start]), which[start:end], values[start:end]


def _chunks(rows: Iterable[Row]) -> Iterator[Frame]:
    """Neighbouring rows of the same series as one frame."""
    times: list[float] = []
    values: list[NDArray[np.float64]] = []
    slots: NDArray[np.int32] | None = None
    for time, _, row_slots, row in rows:
        same = slots is row_slots or (slots is not None and np.array_equal(slots, row_slots))
        if slots is not None and times and (not same or len(times) >= CHUNK):
            yield Frame(np.array(times), slots, np.array(values))
            times, values = [], []
        slots = row_slots
        times.append(time)
        values.append(row)
    if slots is not None and times:
        yield Frame(np.array(times), slots, np.array(values))

"""Recorded tables become frames in time order, and a bad row is named by file and line."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aiops.engine.tables_read import TableError
from aiops.engine.tables_source import CHUNK, Tables
from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex, text_of

T0 = 1_767_225_600.0


def samples(folder: Path, suffix: str = "csv", **span: float) -> list[tuple[float, str, float]]:
    """(seconds since T0, series, value) in the order in which they come; NaN is left out."""
    index = SeriesIndex()
    found = []
    for frame in Tables.of(folder, suffix).frames(index, **span):
        for t, time in enumerate(frame.times):
            for s, slot in enumerate(frame.slots):
                if frame.values[t, s] == frame.values[t, s]:
                    found.append((time - T0, text_of(index.labels(int(slot))), float(frame.values[t, s])))
    return found


def write(folder: Path, name: str, *lines: str) -> Path:
    file = folder / name
    file.write_text("\n".join(lines) + "\n")
    return file


def test_a_wide_table_has_a_column_a_series(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.csv",
        'time,"up{job=""api""}",load',
        f"{T0},1,0.5",
        f"{T0 + 15},,0.75",
        f"{T0 + 30},0,nan",
    )
    assert samples(tmp_path) == [
        (0, 'up{job="api"}', 1),
        (0, "load", 0.5),
        (15, "load", 0.75),
        (30, 'up{job="api"}', 0),
    ]


def test_a_long_table_in_any_order_has_labels_in_columns(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.csv",
        "timestamp,metric,job,value",
        f"{T0 + 15},up,api,1",
        f"{T0},up,api,0",
        f"{T0},up,db,1",
        f"{T0 + 15},up,db,",
    )
    assert samples(tmp_path) == [
        (0, 'up{job="api"}', 0),
        (0, 'up{job="db"}', 1),
        (15, 'up{job="api"}', 1),
    ]


def test_a_long_table_may_name_whole_series(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "ts,series,value", f'{T0},"up{{job=""api""}}",1')
    assert samples(tmp_path) == [(0, 'up{job="api"}', 1)]


def test_a_table_of_times_and_values_is_named_by_its_file(tmp_path: Path) -> None:
    write(tmp_path, "cpu.csv", "date,value", f"{T0},1")
    assert samples(tmp_path) == [(0, "cpu", 1)]


@pytest.mark.parametrize(
    "text", [f"{T0:.0f}", f"{T0 * 1e3:.0f}", f"{T0 * 1e6:.0f}", f"{T0 * 1e9:.0f}", "2026-01-01T00:00:00Z"]
)
def test_times_come_in_many_forms(tmp_path: Path, text: str) -> None:
    write(tmp_path, "a.csv", "time,x", f"{text},1")
    assert samples(tmp_path) == [(0, "x", 1)]


def test_a_time_without_a_zone_is_utc(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "time,x", "2026-01-01 00:00:01,1", "2026-01-01 01:00:02+01:00,2")
    assert samples(tmp_path) == [(1, "x", 1), (2, "x", 2)]


def test_files_are_merged_by_time_and_equal_times_joined(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "time,a", f"{T0},1", f"{T0 + 30},3")
    write(tmp_path, "b.csv", "time,b", f"{T0},10", f"{T0 + 15},20")
    assert samples(tmp_path) == [(0, "a", 1), (0, "b", 10), (15, "b", 20), (30, "a", 3)]
    index = SeriesIndex()
    first = next(iter(Tables.of(tmp_path, "csv").frames(index)))
    assert first.values.tolist() == [[1, 10]]


def test_a_long_recording_comes_in_chunks_and_whole(tmp_path: Path) -> None:
    rows = 3000
    write(tmp_path, "a.csv", "time,a,b", *(f"{T0 + i},{i},{-i}" for i in range(rows)))
    frames = list(Tables.of(tmp_path, "csv").frames(SeriesIndex()))
    assert max(len(frame.times) for frame in frames) == CHUNK
    assert np.concatenate([f.values[:, 0] for f in frames]).tolist() == list(range(rows))
    assert sum(f.samples for f in frames) == 2 * rows


def test_only_the_asked_span_comes(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "time,a", *(f"{T0 + i},{i}" for i in range(5)))
    assert [s[0] for s in samples(tmp_path, since=T0 + 1, until=T0 + 3)] == [2, 3]
    assert Tables.of(tmp_path, "csv").span() == (T0, T0 + 4)


def test_parquet_wide_and_long_are_as_csv(tmp_path: Path) -> None:
    moments = [datetime.fromtimestamp(T0 + i, UTC) for i in range(2)]
    stamps = pa.array(moments, pa.timestamp("ms", tz="UTC"))
    wide = pa.table({"time": stamps, 'up{job="api"}': pa.array([1, None], pa.int64())})
    pq.write_table(wide, tmp_path / "wide.parquet")
    long = pa.table({"ts": [T0 + 1, T0], "value": [2.5, 1.5], "metric": ["m", "m"], "job": ["x", None]})
    pq.write_table(long, tmp_path / "long.parquet")
    assert samples(tmp_path, "parquet") == [(0, "m", 1.5), (0, 'up{job="api"}', 1), (1, 'm{job="x"}', 2.5)]
    assert Tables.of(tmp_path, "parquet").span() == (T0, T0 + 1)


BAD = {
    "no number": (["time,a", "1767225600,1", "1767225601,x"], "a.csv:3: column 'a': 'x' is no number"),
    "no time": (["time,a", "yesterday,1"], "a.csv:2: 'yesterday' is no time"),
    "too few cells": (["time,a,b", "1767225600,1"], "a.csv:2: 2 cells, but the header has 3"),
    "a cell over lines": (["time,a", '1767225600,"1', '2"'], "a.csv:3: column 'a'"),
    "no time column": (["when,a", "1,2"], "a.csv:1: no time column"),
    "no values": (["time", "1767225600"], "a.csv:1: no column of values"),
    "a bad header": (['time,"a{b=}"', "1767225600,1"], "a.csv:1: column 'a{b=}'"),
    "an inexact header": (['time,"a{b=~""c""}"', "1767225600,1"], "a series has exact labels"),
    "one series twice": (["time,a,a", "1767225600,1,2"], "two columns are the same series 'a'"),
    "times go back": (["time,a", "1767225601,1", "1767225600,1"], "the times go back"),
    "long, twice": (["time,series,value", "1767225600,a,1", "1767225600,a,2"], "two samples of one series"),
    "long, bad series": (["time,series,value", '1767225600,"a{",1'], "a.csv:2: series 'a{'"),
}


@pytest.mark.parametrize(("lines", "message"), BAD.values(), ids=BAD)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, lines: list[str], message: str) -> None:
    write(tmp_path, "a.csv", *lines)
    with pytest.raises(TableError) as caught:
        samples(tmp_path)
    assert message in str(caught.value)


def test_a_sample_in_two_files_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "time,x", f"{T0},1")
    write(tmp_path, "b.csv", "time,x", f"{T0},2")
    with pytest.raises(TableError, match=r"a\.csv, b\.csv: two samples of x"):
        samples(tmp_path)


def test_no_file_and_broken_files_are_said(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"no \*\.csv file"):
        Tables.of(tmp_path, "csv")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(TableError, match=r"a\.parquet: "):
        samples(tmp_path, "parquet")
    (tmp_path / "a.csv").write_bytes(b"time,a\n\xff\xfe,1\n")
    with pytest.raises(TableError, match=r"a\.csv: "):
        samples(tmp_path)


def test_frames_of_one_file_keep_their_slots(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "time,a,b", f"{T0},1,2", f"{T0 + 1},3,4")
    (frame,) = Tables.of(tmp_path, "csv").frames(SeriesIndex())
    assert isinstance(frame, Frame)
    assert frame.slots.tolist() == [0, 1]

"""The file source on real files: what a line is, when it was, what counts."""
# ruff: noqa: F401, F811 -- the fixtures log and watch are imported

import os
import re
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from aiops.plugin import Connector
from aiops.plugin.load import load
from connectors._file_lines import ERRORS, ErrorCount
from tests.file_watch import Make, append, log, watch


async def test_begins_at_the_end_and_follows(log: Path, watch: Make) -> None:
    one = watch(log, labels={"service": "web"})
    assert await one.pull() == []
    append(log, "a\nb\n")
    assert await one.pull() == ["a", "b"]
    assert dict(one.batches[0].labels) == {"filename": str(log), "service": "web"}
    assert await one.pull() == []


async def test_from_start(log: Path, watch: Make) -> None:
    assert await watch(log, from_start=True).pull() == ["old 1", "old 2"]


async def test_a_file_that_appears_later_is_read_whole(log: Path, tmp_path: Path, watch: Make) -> None:
    one = watch(tmp_path / "*.log")
    await one.pull()
    (tmp_path / "new.log").write_text("first\n")
    assert await one.pull() == ["first"]


async def test_partial_last_line_waits_for_its_end(log: Path, watch: Make) -> None:
    one = watch(log)
    await one.pull()
    append(log, "one\ntw")
    assert await one.pull() == ["one"]
    append(log, "o")
    assert await one.pull() == []
    append(log, "\nthree\n")
    assert await one.pull() == ["two", "three"]


async def test_a_line_being_written_at_first_contact_is_read_whole(log: Path, watch: Make) -> None:
    append(log, "half ")
    one = watch(log)
    await one.pull()
    append(log, "whole\n")
    assert await one.pull() == ["half whole"]


async def test_long_lines_are_cut_and_marked(log: Path, watch: Make) -> None:
    one = watch(log, max_line=100)
    await one.pull()
    append(log, "x" * 150 + "\n" + "y" * 100 + "\nshort\n")
    assert await one.pull() == ["x" * 100 + " [cut]", "y" * 100, "short"]
    append(log, "z" * 150)
    assert await one.pull() == ["z" * 100 + " [cut]"]
    append(log, "z" * 5000)
    assert await one.pull() == []
    append(log, "zzz\nnext\n")
    assert await one.pull() == ["next"]


async def test_huge_line_without_end_stays_bounded(log: Path, watch: Make) -> None:
    one = watch(log)
    await one.pull()
    append(log, b"h" * (9 << 20) + b"\nafter\n")
    first, last = await one.pull()
    assert len(first) == (1 << 20) + len(" [cut]")
    assert last == "after"


async def test_bytes_that_are_no_text(log: Path, watch: Make) -> None:
    one = watch(log)
    await one.pull()
    append(log, b"caf\xe9 \xff\xfe\r\n\n\xe2\x82\xac\n")
    assert await one.pull() == ["caf\ufffd \ufffd\ufffd", "€"]


async def test_a_batch_that_was_not_taken_is_read_again(log: Path, watch: Make) -> None:
    one = watch(log)
    await one.pull()
    append(log, "a\n")
    stream = one.source.pull(one.now, one.now + 2)
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    assert await one.pull() == ["a"]


async def test_rates_of_lines_and_errors(log: Path, watch: Make) -> None:
    one = watch(log)
    await one.pull()
    name = str(log)
    assert one.rates == {name: {"file_lines_per_second": 0.0, "file_error_lines_per_second": 0.0}}
    append(
        log,
        "".join(f"{line}\n" for line in ("ok", "2024 ERROR x", '{"level":"error"}', "[error] 1#1", "fine")),
    )
    await one.pull()
    assert one.rates == {name: {"file_lines_per_second": 2.5, "file_error_lines_per_second": 1.5}}


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        ('1.2.3.4 - - [x] "GET / HTTP/1.1" 502 157', True),
        ('1.2.3.4 - - [x] "GET / HTTP/1.1" 200 502', False),
        ("Traceback (most recent call last):", True),
        ("level=fatal msg=x", True),
        ("severity: ERROR", True),
        ("0 errors, 0 warnings", False),
        ("no error here", False),
        ("ERRORS=0", False),
    ],
)
async def test_which_lines_count_as_errors(log: Path, watch: Make, line: str, bad: bool) -> None:
    one = watch(log)
    await one.pull()
    append(log, line + "\n")
    await one.pull()
    assert (one.rates[str(log)]["file_error_lines_per_second"] > 0) is bad


async def test_leading_times_count_when_within_the_pull(log: Path, watch: Make) -> None:
    one = watch(log)
    await one.pull()
    inside = datetime.fromtimestamp(one.now + 1.25)
    utc = datetime.fromtimestamp(one.now + 0.5).astimezone().isoformat()
    append(
        log,
        f"{inside.isoformat(' ', 'milliseconds').replace('.', ',')} a\n[{utc}] b\n2001-01-01T00:00:00Z c\n",
    )
    append(log, "2024-13-45 99:99:99 d\nplain\n")
    began = one.now
    await one.pull()
    np.testing.assert_allclose(one.batches[0].times - began, [1.25, 0.5, 2, 2, 2])


async def test_unreadable_and_odd_files_are_left_out(
    log: Path, tmp_path: Path, watch: Make, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "folder.log").mkdir()
    os.mkfifo(tmp_path / "pipe.log")
    (tmp_path / "dangling.log").symlink_to(tmp_path / "nowhere")
    one = watch(tmp_path / "*.log")
    await one.pull()
    append(log, "a\n")
    assert await one.pull() == ["a"]


async def test_no_more_files_than_allowed(
    tmp_path: Path, watch: Make, caplog: pytest.LogCaptureFixture
) -> None:
    for i in range(5):
        path = tmp_path / f"{i}.log"
        path.write_text("old\n")
        os.utime(path, (i, i))
    one = watch(tmp_path / "*.log", max_files=2)
    await one.pull()
    assert sorted(Path(name).name for name in one.rates) == ["3.log", "4.log"]
    append(tmp_path / "0.log", "newest now\n")
    assert await one.pull() == [], "files that are followed are not given up"
    assert caplog.text.count("max_files") == 1
    (tmp_path / "4.log").unlink()
    assert await one.pull() == [], "what was passed over begins at its end"
    append(tmp_path / "0.log", "b\n")
    assert await one.pull() == ["b"]


def test_bad_pattern_is_refused() -> None:
    kind = load("connectors", "file", Connector)  # type: ignore[type-abstract]
    with pytest.raises(ValidationError, match="bad regular expression"):
        kind.model_validate({"path": "x", "errors": "("})


WORDS = (
    'ERROR xERRORx [crit] [alert] EMERG level=" severity:_ error panic err errs "_5 Traceback_ '
    "03_ 0 _ a FATAL fatal level= [emerg] SEVERE, crit"
)
_fragments = st.sampled_from([word.replace("_", " ") for word in WORDS.split()])


@given(st.lists(st.lists(_fragments, max_size=6).map("".join), max_size=8))
def test_hints_pass_over_no_line_that_counts_as_an_error(lines: list[str]) -> None:
    assert ErrorCount(ERRORS).of(lines) == sum(bool(re.search(ERRORS, line)) for line in lines)

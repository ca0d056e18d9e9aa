"""The file source on real files: rotation, truncation, restarts, odd bytes."""
# ruff: noqa: ASYNC240 -- files are the subject; nothing else runs on the loop

import json
import os
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from aiops.model.frame import Frame, Lines
from aiops.model.series import SeriesIndex
from aiops.plugin import Connector
from aiops.plugin.load import load

Make = Callable[..., "Watch"]


class Watch:
    """A source that is pulled every 2 s of made-up time."""

    def __init__(self, path: object, now: float = 1_700_000_000.0, **fields: Any) -> None:
        kind = load("connectors", "file", Connector)
        self.source = kind.model_validate({"name": "logs", "path": str(path)} | fields)
        self.index = SeriesIndex()
        self.source.open(self.index)
        self.now = now
        self.batches: list[Lines] = []
        self.rates: dict[str, dict[str, float]] = {}

    async def pull(self) -> list[str]:
        """What was yielded, as text; batches and rates are kept."""
        since, self.now = self.now, self.now + 2
        self.batches, self.rates = [], {}
        async for batch in self.source.pull(since, self.now):
            if isinstance(batch, Frame):
                for slot, value in zip(batch.slots, batch.values[0], strict=True):
                    labels = dict(self.index.labels(slot))
                    self.rates.setdefault(labels["filename"], {})[labels["__name__"]] = float(value)
            else:
                assert isinstance(batch, Lines)
                assert len(batch.times) == len(batch.text)
                assert ((batch.times > since) & (batch.times <= self.now)).all()
                self.batches.append(batch)
        return [line for batch in self.batches for line in batch.text]


@pytest.fixture
async def watch() -> AsyncIterator[Make]:
    made: list[Watch] = []

    def make(*args: Any, **fields: Any) -> Watch:
        made.append(Watch(*args, **fields))
        return made[-1]

    yield make
    for one in made:
        await one.source.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "app.log"
    path.write_text("old 1\nold 2\n")
    return path


def append(path: Path, text: str | bytes) -> None:
    with path.open("ab") as file:
        file.write(text.encode() if isinstance(text, str) else text)


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


async def test_rotation_by_rename(log: Path, watch: Make) -> None:
    one = watch(log)
    await one.pull()
    append(log, "before\n")
    old = log.rename(log.with_suffix(".log.1"))
    log.write_text("after\n")
    append(old, "late, by a writer that has not noticed\n")
    assert await one.pull() == ["before", "late, by a writer that has not noticed", "after"]
    assert {dict(b.labels)["filename"] for b in one.batches} == {str(log)}
    append(old, "later still\n")
    assert await one.pull() == ["later still"]
    for _ in range(40):
        await one.pull()
    append(old, "after more than a minute of quiet\n")
    append(log, "on\n")
    assert await one.pull() == ["on"]


async def test_rotated_name_inside_the_glob_is_not_read_again(log: Path, tmp_path: Path, watch: Make) -> None:
    one = watch(tmp_path / "app.log*")
    await one.pull()
    append(log, "a\n")
    await one.pull()
    log.rename(tmp_path / "app.log.1")
    log.write_text("b\n")
    assert await one.pull() == ["b"]
    (tmp_path / "app.log.2.gz").write_bytes(b"\x1f\x8b\n\n")
    assert await one.pull() == []


@pytest.mark.parametrize("text", ["new\n", "new line, longer than all that was there before\n"])
async def test_truncation(log: Path, watch: Make, text: str) -> None:
    one = watch(log)
    await one.pull()
    append(log, "a\n")
    assert await one.pull() == ["a"]
    log.write_text(text)  # the same inode, as copytruncate leaves it; the second also outgrows the old place
    assert await one.pull() == [text.strip()]


async def test_truncation_under_a_writer_that_keeps_its_offset(log: Path, watch: Make) -> None:
    one = watch(log)
    await one.pull()
    with log.open("r+b") as writer:
        writer.seek(0, os.SEEK_END)
        os.truncate(log, 0)
        writer.write(b"sparse\n")
    assert await one.pull() == ["sparse"]


async def test_deleted_and_made_again(log: Path, watch: Make) -> None:
    one = watch(log)
    await one.pull()
    append(log, "last words\n")
    log.unlink()
    assert await one.pull() == ["last words"]
    log.write_text("old 1\nold 2\nnew\n")
    assert await one.pull() == ["old 1", "old 2", "new"]


async def test_deleted_while_followed_is_read_to_its_end(log: Path, watch: Make) -> None:
    one = watch(log)
    await one.pull()
    writer = log.open("a")
    log.unlink()
    writer.write("still here\n")
    writer.close()
    assert await one.pull() == ["still here"]


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


async def test_place_survives_a_restart(log: Path, watch: Make) -> None:
    one = watch(log)
    await one.pull()
    append(log, "a\nb\npart")
    assert await one.pull() == ["a", "b"]
    kept = json.loads(json.dumps(one.source.snapshot()))
    append(log, "ial\nwhile away\n")
    again = watch(log, now=one.now)
    again.source.restore(kept)
    assert await again.pull() == ["partial", "while away"]


async def test_restart_before_the_first_pull_keeps_the_place(log: Path, watch: Make) -> None:
    one = watch(log)
    await one.pull()
    kept = one.source.snapshot()
    two = watch(log)
    two.source.restore(kept)
    append(log, "a\n")
    three = watch(log)
    three.source.restore(json.loads(json.dumps(two.source.snapshot())))
    assert await three.pull() == ["a"]


async def test_rotated_while_away(log: Path, watch: Make) -> None:
    one = watch(log)
    await one.pull()
    kept = one.source.snapshot()
    append(log, "end of the old\n")
    log.rename(log.with_suffix(".log.1"))
    log.write_text("start of the new\n")
    again = watch(log)
    again.source.restore(kept)
    assert await again.pull() == ["end of the old", "start of the new"]


async def test_inode_reused_while_away(log: Path, watch: Make) -> None:
    one = watch(log)
    await one.pull()
    kept = one.source.snapshot()
    log.write_text("another file, in the same inode, and longer\n")
    again = watch(log)
    again.source.restore(kept)
    assert await again.pull() == ["another file, in the same inode, and longer"]


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


async def test_no_descriptor_is_left_open(log: Path, tmp_path: Path, watch: Make) -> None:
    def opened() -> int:
        return sum(
            os.path.realpath(f"/proc/self/fd/{fd}").startswith(str(tmp_path))
            for fd in os.listdir("/proc/self/fd")
        )

    one = watch(log)
    for i in range(5):
        await one.pull()
        log.rename(tmp_path / f"app.log.{i}")
        log.write_text(f"{i}\n")
    assert opened() == 5
    for _ in range(40):
        await one.pull()
    assert opened() == 1
    await one.source.close()
    assert opened() == 0


def test_bad_pattern_is_refused() -> None:
    with pytest.raises(ValidationError, match="bad regular expression"):
        load("connectors", "file", Connector).model_validate({"path": "x", "errors": "("})


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.text(alphabet="ab\n", min_size=1, max_size=12)),
        st.tuples(st.sampled_from(["pull", "rotate", "restart"]), st.just("")),
    ),
    max_size=25,
)


@given(_steps)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_every_line_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    """Whatever mixture of writes, pulls, rotations and restarts: each line once. Rotations end the line."""
    log = tmp_path_factory.mktemp("any") / "app.log"
    log.touch()
    one = Watch(log, from_start=True)
    got, written, old = [], "", 0
    try:
        for what, text in steps:
            if what == "write":
                append(log, text)
                written += text
            elif what == "pull":
                got += await one.pull()
            elif what == "rotate":
                append(log, "\n")
                written += "\n"
                log.rename(log.with_name(f"app.log.{old}"))
                old += 1
                log.touch()
            else:
                kept = json.loads(json.dumps(one.source.snapshot()))
                await one.source.close()
                one = Watch(log, now=one.now, from_start=True)
                one.source.restore(kept)
        append(log, "\n")
        got += await one.pull()
        expected = [line for line in (written + "\n").split("\n") if line]
        rest = iter(expected)
        assert all(line in rest for line in got), "in order, none twice"
        assert got == expected or _rotated_unseen(steps)
    finally:
        await one.source.close()


def _rotated_unseen(steps: list[tuple[str, str]]) -> bool:
    """A file that came and went between two looks: nobody can have read it."""
    names = [what for what, _ in steps if what in ("pull", "rotate")]
    return any(a == b == "rotate" for a, b in zip(["rotate", *names], names, strict=False))

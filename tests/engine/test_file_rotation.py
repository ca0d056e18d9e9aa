"""The file source through rotation, truncation, deletion and restarts."""
# ruff: noqa: F401, F811 -- the fixtures log and watch are imported
# ruff: noqa: ASYNC240 -- files are the subject; nothing else runs on the loop

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiops.model.frame import Lines
from tests.file_watch import Make, Watch, append, log, watch


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
    other = log.rename(log.with_name("other.log"))
    other.write_text("another file, in the same inode, and longer\n")
    again = watch(log.with_name("*.log"))
    again.source.restore(kept)
    assert await again.pull() == ["another file, in the same inode, and longer"]
    assert dict(again.batches[0].labels)["filename"] == str(other)


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


async def taken(one: Watch, since: float, until: float) -> list[str]:
    batches = [batch async for batch in one.source.pull(since, until) if isinstance(batch, Lines)]
    for batch in batches:
        assert (batch.times == until).all()
    return [line for batch in batches for line in batch.text]


async def test_clock_jumps_lose_and_double_nothing(log: Path, watch: Make) -> None:
    one = watch(log)
    await one.pull()
    now = one.now
    append(log, "2023-11-14T22:13:20Z before\n")
    assert await taken(one, now, now - 3600) == ["2023-11-14T22:13:20Z before"]
    append(log, "back\n")
    log.rename(log.with_suffix(".log.1"))
    log.write_text("new\n")
    # a day ahead, right after a rotation: what is left of the old file comes too
    assert await taken(one, now - 3600, now + 86400) == ["back", "new"]
    append(log.with_suffix(".log.1"), "late\n")
    assert await taken(one, now + 86400, now + 86402) == ["late"]
    assert await taken(one, now + 86402, now + 86402) == []


async def test_copytruncate_by_a_copy_and_a_truncation(log: Path, watch: Make) -> None:
    one = watch(log)
    await one.pull()
    for n in range(3):
        append(log, f"line {n}\n")
        assert await one.pull() == [f"line {n}"]
        log.with_suffix(f".log.{n}").write_bytes(log.read_bytes())
        os.truncate(log, 0)
        append(log, f"first after {n}\n")
        assert await one.pull() == [f"first after {n}"]


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

"""The run worker on real stores with real commands."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.config import Remediation as Settings
from aiops.model.lifecycle import IllegalTransition, RunState
from aiops.model.problem import EscalationReason, Run, Step
from aiops.plugin.load import HOUSE
from aiops.store import audit, holds, runs
from aiops.store.database import Database
from aiops.store.tables import run as run_table
from aiops.testing import eventually
from tests.engine.run_fixtures import CLOCK, POLL, Bench, check, playbook, shell

NAMED = EscalationReason


@pytest.fixture
def bench(db: Database, tmp_path: Path) -> Bench:
    return Bench(db, tmp_path)


async def appears(path: Path, within: float = 10.0) -> None:
    await eventually(path.exists, within)


async def test_repairs_proves_and_tells(bench: Bench) -> None:
    out = bench.folder / "out"
    run_id = bench.queue(
        playbook(
            shell(f"echo $FOREWARN_KEY >> {out}"), shell(f"echo two >> {out}"), verify=check(f"test -s {out}")
        )
    )
    async with bench.working():
        run = await bench.until(run_id)
    assert run.state is RunState.SUCCEEDED
    assert run.started <= run.ended
    assert bench.text("out") == f"{run_id}:one\ntwo\n"
    steps = bench.steps(run_id)
    assert [(s.number, s.phase, s.name, s.ok) for s in steps] == [
        (0, "step", "one", True),
        (1, "step", "two", True),
        (2, "verify", "verify", True),
    ]
    assert "passed 2 times in a row, of 2" in steps[-1].output
    (start,), (end,) = bench.starts(run_id), bench.ends(run_id)
    assert bench.heard == [start, end]
    assert (end.state, end.reason, end.dry_run) == (RunState.SUCCEEDED, None, False)
    with bench.db.read_only() as conn:
        trail = [(r["from_state"], r["to_state"]) for r in audit.of_problem(conn, run.problem_id)]
    assert trail == [
        ("", "queued"),
        ("queued", "running"),
        ("running", "verifying"),
        ("verifying", "succeeded"),
    ]


async def test_the_intent_is_in_the_store_before_the_act(bench: Bench) -> None:
    out = bench.folder / "out"
    run_id = bench.queue(playbook(shell(f"echo > {out}; sleep 0.4")))
    async with bench.working():
        await appears(out)
        (step,) = bench.steps(run_id)
        assert step.ok is None
        assert step.ended != step.ended
        assert "sleep 0.4" in step.plan
        await bench.until(run_id)


async def test_a_dry_run_writes_every_plan_and_does_nothing(bench: Bench) -> None:
    bench.settings = Settings(enabled=False)
    out = bench.folder / "out"
    touch = shell(f"touch {out}")
    left_out = touch[:-1] + ", when: 'problem.level > level.critical'}"
    run_id = bench.queue(playbook(touch, left_out, precheck=f"touch {out}", rollback=touch))
    async with bench.working():
        run = await bench.until(run_id)
    assert (run.state, run.dry_run) == (RunState.SUCCEEDED, True)
    assert not out.exists()
    steps = bench.steps(run_id)
    assert [s.phase for s in steps] == ["precheck", "step", "step", "verify", "rollback"]
    assert all(s.ok is None and s.output == "dry run" for s in steps)
    assert "left out" in steps[2].plan
    (end,) = bench.ends(run_id)
    assert not bench.starts(run_id)
    assert (end.dry_run, end.reason) == (True, None)
    assert end.text.startswith("dry run: would run /bin/sh -c")


@pytest.mark.parametrize(
    ("kwargs", "state", "reason", "text"),
    [
        ({"precheck": "exit 1"}, RunState.FAILED, NAMED.PRECHECK_FAILED, "exit status 1"),
        (
            {"one": "echo gone wrong; exit 3"},
            RunState.FAILED,
            NAMED.STEP_FAILED,
            "one: exit status 3\ngone wrong",
        ),
        ({"verify": check("echo still down; exit 1")}, RunState.FAILED, NAMED.VERIFY_FAILED, "still down"),
        (
            {"one": "exit 1", "rollback": shell("true")},
            RunState.ROLLED_BACK,
            NAMED.STEP_FAILED,
            "; rolled back",
        ),
        (
            {"one": "exit 1", "rollback": shell("exit 9")},
            RunState.FAILED,
            NAMED.STEP_FAILED,
            "failed too: back",
        ),
        (
            {"verify": check("exit 1"), "rollback": shell("true")},
            RunState.ROLLED_BACK,
            NAMED.VERIFY_FAILED,
            "; rolled back",
        ),
        ({"precheck": "exit 1", "rollback": shell("true")}, RunState.FAILED, NAMED.PRECHECK_FAILED, "exit"),
    ],
)
async def test_what_fails_ends_with_its_reason(
    bench: Bench, kwargs: dict[str, str], state: RunState, reason: EscalationReason, text: str
) -> None:
    parts = dict(kwargs)
    step = shell(parts.pop("one", "true") + f"; echo >> {bench.folder / 'out'}")
    run_id = bench.queue(playbook(step, **parts))
    async with bench.working():
        run = await bench.until(run_id)
    (end,) = bench.ends(run_id)
    assert (run.state, end.state, end.reason) == (state, state, reason)
    assert text in end.text
    assert end.text.endswith("look at the web journal")
    assert run.reason.startswith(reason.value)
    if "precheck" in kwargs:
        assert not bench.text("out")
        assert [s.phase for s in bench.steps(run_id)] == ["precheck"]


async def test_verification_wants_passes_in_a_row(bench: Bench) -> None:
    count = bench.folder / "out"
    flaky = check(f"echo x >> {count}; test $(wc -l < {count}) -ne 2")
    run_id = bench.queue(playbook(shell("true"), verify=flaky))
    async with bench.working():
        assert (await bench.until(run_id)).state is RunState.SUCCEEDED
    assert bench.text("out").count("x") == 4


async def test_a_step_is_tried_again_as_it_asks(bench: Bench) -> None:
    count = bench.folder / "out"
    step = shell(
        f"echo $FOREWARN_KEY >> {count}; test $(wc -l < {count}) -ge 3", retry="{times: 2, wait: 10ms}"
    )
    run_id = bench.queue(playbook(step))
    async with bench.working():
        assert (await bench.until(run_id)).state is RunState.SUCCEEDED
    assert bench.text("out") == f"{run_id}:one\n" * 3


@pytest.mark.parametrize(("idempotent", "times"), [("false", 1), ("true", 3)])
async def test_a_step_that_may_have_acted_is_repeated_only_when_harmless(
    bench: Bench, idempotent: str, times: int
) -> None:
    step = shell(
        f"echo x >> {bench.folder / 'out'}; sleep 5",
        timeout="100ms",
        retry="{times: 2, wait: 10ms}",
        idempotent=idempotent,
    )
    run_id = bench.queue(playbook(step))
    async with bench.working():
        await bench.until(run_id)
    assert bench.text("out").count("x") == times
    assert bench.ends(run_id)[0].reason is NAMED.STEP_FAILED


async def test_one_target_is_never_held_by_two(bench: Bench) -> None:
    out = bench.folder / "out"
    step = shell(f"echo begin >> {out}; sleep 0.1; echo end >> {out}")
    same = [bench.queue(playbook(step, name=f"fix-{n}"), n) for n in (1, 2, 3)]
    async with bench.working():
        for run_id in same:
            assert (await bench.until(run_id)).state is RunState.SUCCEEDED
    assert bench.text("out") == "begin\nend\n" * 3


async def test_other_targets_run_side_by_side_up_to_the_limit(bench: Bench) -> None:
    bench.settings = Settings(enabled=True, parallel=2)
    live = bench.folder / "live"
    live.mkdir()
    step = shell(f"touch {live}/$$; ls {live} | wc -l >> {bench.folder / 'out'}; sleep 0.3; rm {live}/$$")
    all_of = [bench.queue(playbook(step, name=f"fix-{n}", target=f"svc/{n}"), n) for n in (1, 2, 3, 4)]
    async with bench.working():
        for run_id in all_of:
            await bench.until(run_id)
    assert max(map(int, bench.text("out").split())) == 2


async def test_the_store_itself_refuses_a_second_holder(bench: Bench) -> None:
    first, second = (bench.queue(playbook(shell("true"), name=f"fix-{n}"), n) for n in (1, 2))
    for run_id, refused in ((first, False), (second, True)):
        run = bench.run(run_id)
        run.state, run.started = RunState.RUNNING, 1.0
        with bench.db.begin() as conn:
            if refused:
                with pytest.raises(runs.RunChanged, match="another run holds svc/web"):
                    runs.save(conn, run, RunState.QUEUED, 1.0)
            else:
                runs.save(conn, run, RunState.QUEUED, 1.0)


async def test_a_queued_run_waits_for_the_cool_down_and_acts_only_if_it_still_fires(bench: Bench) -> None:
    step = shell(f"echo x >> {bench.folder / 'out'}")
    first, second = (bench.queue(playbook(step, cooldown="600ms"), n) for n in (1, 2))
    async with bench.working():
        await bench.until(first)
        await asyncio.sleep(0.2)
        assert bench.run(second).state is RunState.QUEUED
        bench.firing = False
        ended = await bench.until(second)
    assert ended.state is RunState.EXPIRED
    assert ended.reason == "the problem resolved before the run began"
    assert bench.ends(second)[0].reason is None
    assert bench.text("out") == "x\n"


async def test_a_run_that_rests_is_looked_at_once_a_poll(bench: Bench) -> None:
    first, second = (bench.queue(playbook(shell("true"), cooldown="1m"), n) for n in (1, 2))
    async with bench.working():
        await bench.until(first)
        bench.asked.clear()
        await asyncio.sleep(0.5)
        assert bench.run(second).state is RunState.QUEUED
        assert len(bench.asked) <= 0.5 / POLL + 1


async def test_a_run_that_was_queued_does_not_act_once_switched_off(bench: Bench) -> None:
    run_id = bench.queue(playbook(shell(f"touch {bench.folder / 'out'}")))
    bench.settings = Settings(enabled=False)
    async with bench.working():
        ended = await bench.until(run_id)
    assert ended.state is RunState.EXPIRED
    assert bench.ends(run_id)[0].reason is NAMED.REFUSED_BY_GUARD
    assert not (bench.folder / "out").exists()


async def test_nothing_is_done_before_it_is_approved(bench: Bench) -> None:
    run_id = bench.queue(playbook(shell(f"touch {bench.folder / 'out'}"), autonomy="approve"))
    async with bench.working():
        await asyncio.sleep(0.2)
        assert bench.run(run_id).state is RunState.AWAITING_APPROVAL
        assert not (bench.folder / "out").exists()
        await bench.db.run(runs.approve, run_id, "ada", CLOCK.now())
        bench.wake.set()
        run = await bench.until(run_id)
    assert (run.state, run.approved_by) == (RunState.SUCCEEDED, "ada")
    assert (bench.folder / "out").exists()
    with bench.db.read_only() as conn:
        trail = [(r["actor"], r["reason"]) for r in audit.of_problem(conn, run.problem_id)]
    assert ("ada", "approved by ada") in trail
    with bench.db.begin() as conn, pytest.raises(IllegalTransition):
        runs.approve(conn, run_id, "ada", CLOCK.now())


@pytest.mark.parametrize("decide", [runs.refuse, runs.cancel])
async def test_a_refused_run_is_told_and_does_nothing(
    bench: Bench, decide: Callable[[Connection, int, str, float], Run]
) -> None:
    run_id = bench.queue(playbook(shell(f"touch {bench.folder / 'out'}"), autonomy="approve"))
    async with bench.working():
        await asyncio.sleep(0.1)
        await bench.db.run(decide, run_id, "ada", CLOCK.now())
        bench.wake.set()
        run = await bench.until(run_id)
        await asyncio.sleep(0.2)
    (end,) = bench.ends(run_id)
    assert run.state is RunState.EXPIRED
    assert end.reason is (NAMED.APPROVAL_REFUSED if decide is runs.refuse else NAMED.BY_HAND)
    assert "ada" in end.text
    assert not (bench.folder / "out").exists()


async def test_an_approval_that_nobody_gives_expires(bench: Bench) -> None:
    bench.settings = Settings(enabled=True, approval_timeout=0.3)
    run_id = bench.queue(playbook(shell("true"), autonomy="approve"))
    async with bench.working():
        run = await bench.until(run_id)
    assert run.state is RunState.EXPIRED
    assert run.ended - run.queued >= 0.3
    assert bench.ends(run_id)[0].reason is NAMED.APPROVAL_EXPIRED


async def test_a_problem_that_resolves_while_it_waits_for_approval_ends_the_run(bench: Bench) -> None:
    run_id = bench.queue(playbook(shell("true"), autonomy="approve"))
    bench.firing = False
    async with bench.working():
        run = await bench.until(run_id)
    assert (run.state, bench.ends(run_id)[0].reason) == (RunState.EXPIRED, None)


async def test_a_run_keeps_to_the_revision_it_was_queued_with(bench: Bench) -> None:
    run_id = bench.queue(playbook(shell(f"echo old > {bench.folder / 'out'}")))
    bench.books["fix"] = playbook(shell(f"echo new > {bench.folder / 'out'}"))
    async with bench.working():
        await bench.until(run_id)
    assert bench.text("out") == "old\n"


async def test_a_revision_that_is_lost_ends_the_run(bench: Bench) -> None:
    run_id = bench.queue(playbook(shell("true")))
    bench.books.clear()
    with bench.db.begin() as conn:
        conn.execute(run_table.update().values(revision="f" * 64))
    async with bench.working():
        run = await bench.until(run_id)
    assert (run.state, bench.ends(run_id)[0].reason) == (RunState.EXPIRED, NAMED.REFUSED_BY_GUARD)


async def test_a_drained_worker_ends_its_step_and_the_next_one_goes_on(bench: Bench) -> None:
    out = bench.folder / "out"
    run_id = bench.queue(playbook(shell(f"echo one >> {out}; sleep 0.3"), shell(f"echo two >> {out}")))
    async with bench.working():
        await appears(out)
    assert bench.run(run_id).state is RunState.RUNNING
    assert [(s.name, s.ok) for s in bench.steps(run_id)] == [("one", True)]
    async with bench.working():
        assert (await bench.until(run_id)).state is RunState.SUCCEEDED
    assert bench.text("out") == "one\ntwo\n"


def left_behind(bench: Bench, run_id: int, **values: object) -> None:
    """The run as a process leaves it that dies in its first step."""
    run = bench.run(run_id)
    run.state, run.started = RunState.RUNNING, CLOCK.now()
    act = bench.books["fix"].acts("step")[0].build({"problem": bench.context()})
    step = Step(run_id, 0, "one", "step", act.plan(), CLOCK.now())
    for name, value in values.items():
        setattr(step, name, value)
    with bench.db.begin() as conn:
        runs.save(conn, run, RunState.QUEUED, run.started)
        runs.intend(conn, step)


@pytest.mark.parametrize(
    ("more", "state", "done"),
    [
        ({"idempotent": "true"}, RunState.SUCCEEDED, True),
        ({}, RunState.INTERRUPTED, False),
        ({"never_retry": "true"}, RunState.INTERRUPTED, False),
    ],
)
async def test_a_step_cut_off_by_a_crash(
    bench: Bench, more: dict[str, str], state: RunState, done: bool
) -> None:
    run_id = bench.queue(
        playbook(shell(f"touch {bench.folder / 'out'}", **more), rollback=shell("touch undone"))
    )
    left_behind(bench, run_id)
    async with bench.working():
        run = await bench.until(run_id)
    assert (run.state, (bench.folder / "out").exists()) == (state, done)
    (end,) = bench.ends(run_id)
    assert end.reason is (None if done else NAMED.INTERRUPTED)
    assert not [s for s in bench.steps(run_id) if s.phase == "rollback"]
    async with bench.working():
        await asyncio.sleep(0.2)
    assert bench.run(run_id).ended == run.ended


async def test_a_step_whose_plan_has_changed_is_not_repeated(bench: Bench) -> None:
    run_id = bench.queue(playbook(shell("true", idempotent="true")))
    left_behind(bench, run_id, plan="something else")
    async with bench.working():
        assert (await bench.until(run_id)).state is RunState.INTERRUPTED


async def test_a_problem_that_resolved_before_anything_was_done_is_left_alone(bench: Bench) -> None:
    run_id = bench.queue(playbook(shell(f"touch {bench.folder / 'out'}", idempotent="true")))
    left_behind(bench, run_id, phase="precheck", name="precheck")
    bench.firing = False
    async with bench.working():
        run = await bench.until(run_id)
    assert run.reason == "the problem resolved before anything was done"
    assert not (bench.folder / "out").exists()


async def test_an_end_that_was_not_heard_is_told_once_more(bench: Bench) -> None:
    """Of a worker where nobody keeps the problems, or that dies before they take notice."""
    run_id = bench.queue(playbook(shell("true")))
    elsewhere = bench.worker(hears=lambda: False)
    task = asyncio.create_task(elsewhere.run())
    await eventually(lambda: bench.run(run_id).state is RunState.SUCCEEDED)
    elsewhere.stop()
    await task
    assert bench.heard == []
    with bench.db.read_only() as conn:
        assert [state for state, _ in runs.untold(conn)] == [RunState.RUNNING, RunState.SUCCEEDED]
    async with bench.working():
        await bench.until(run_id)
        await asyncio.sleep(0.3)
    assert (len(bench.starts(run_id)), len(bench.ends(run_id))) == (1, 1)
    with bench.db.read_only() as conn:
        assert runs.untold(conn) == []


@pytest.mark.parametrize(
    ("idempotent", "state", "times"), [("true", RunState.SUCCEEDED, 2), ("false", RunState.INTERRUPTED, 1)]
)
async def test_kill_minus_nine_in_the_middle_of_a_step(
    bench: Bench, db_url: str, idempotent: str, state: RunState, times: int
) -> None:
    out = bench.folder / "out"
    script = f"echo $FOREWARN_KEY >> {out}; test $(wc -l < {out}) -gt 1 || sleep 8"
    run_id = bench.queue(playbook(shell(script, idempotent=idempotent), shell(f"echo two >> {out}")))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.engine.crash_worker", db_url, cwd=HOUSE
    )
    await appears(out, within=30)
    assert process.pid > 1
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    assert bench.run(run_id).state is RunState.RUNNING
    async with bench.working():
        run = await bench.until(run_id)
    assert run.state is state
    assert bench.text("out") == f"{run_id}:one\n" * times + ("two\n" if times == 2 else "")
    with bench.db.read_only() as conn:
        assert conn.execute(sa.select(sa.func.count()).select_from(run_table)).scalar_one() == 1


async def test_a_store_that_is_away_for_a_while_loses_and_doubles_nothing(bench: Bench) -> None:
    if not bench.db.is_sqlite:
        pytest.skip("a missing table is a lasting fault to PostgreSQL, a passing one to SQLite")
    out = bench.folder / "out"
    run_id = bench.queue(playbook(shell(f"echo one >> {out}; sleep 0.2"), shell(f"echo two >> {out}")))
    async with bench.working():
        await appears(out)
        with bench.db.begin() as conn:
            conn.exec_driver_sql("ALTER TABLE step RENAME TO step_away")
        await asyncio.sleep(0.6)
        assert bench.text("out") == "one\n"
        with bench.db.begin() as conn:
            conn.exec_driver_sql("ALTER TABLE step_away RENAME TO step")
        run = await bench.until(run_id)
    assert run.state is RunState.SUCCEEDED
    assert bench.text("out") == "one\ntwo\n"


async def test_a_hold_stops_what_has_not_begun_and_before_the_next_step(bench: Bench) -> None:
    out = bench.folder / "out"

    def hold(playbook_: str = "") -> holds.Hold:
        with bench.db.begin() as conn:
            return holds.create(conn, playbook=playbook_, reason="by hand", by="ada", at=CLOCK.now())

    book = playbook(shell(f"echo one >> {out}; sleep 0.3"), shell(f"echo two >> {out}"), name="fix-a")
    first = bench.queue(book, 1)
    async with bench.working():
        await appears(out)
        held = hold()
        run = await bench.until(first)
        assert run.state is RunState.FAILED
        assert "all remediation is on hold by ada: by hand" in run.reason
        assert out.read_text() == "one\n"
        second = bench.queue(playbook(shell(f"echo three >> {out}"), name="fix-b"), 2)
        bench.wake.set()
        refused = await bench.until(second)
        assert (refused.state, refused.started == refused.started) == (RunState.EXPIRED, False)
        with bench.db.begin() as conn:
            assert holds.lift(conn, held.id, by="ada", at=CLOCK.now()) is not None
        hold("fix-c")
        third = bench.queue(playbook(shell(f"echo four >> {out}"), name="fix-d"), 3)
        bench.wake.set()
        assert (await bench.until(third)).state is RunState.SUCCEEDED
    assert out.read_text() == "one\nfour\n"
    with bench.db.read_only() as conn:
        assert [one.playbook for one in holds.listed(conn)] == ["fix-c"]
        assert len(holds.listed(conn, lifted=True)) == 2

"""Steps that keep what they found, through the worker and the store: for later steps, and after a restart."""

from pathlib import Path

import pytest

from aiops.config import Remediation as Settings
from aiops.model.lifecycle import RunState
from aiops.store.database import Database
from tests.engine.run_fixtures import Bench, check, playbook, shell


@pytest.fixture
def bench(db: Database, tmp_path: Path) -> Bench:
    return Bench(db, tmp_path)


def keeps(script: str) -> str:
    return shell(script, register="found")


async def test_a_later_step_uses_what_an_earlier_one_found(bench: Bench) -> None:
    out = bench.folder / "out"
    given = "{{ found.stdout | trim }}"
    write = f'{{action: command, argv: [/bin/sh, -c, \'printf %s "$1" > {out}\', x, "{given}"]}}'
    never = shell(f"touch {bench.folder / 'never'}", when='"found.status != 0"', register="other")
    proof = check(f"test -s {out}")
    run_id = bench.queue(playbook(keeps('echo "a; b \\$(id)"'), write, never, verify=proof))
    async with bench.working():
        run = await bench.until(run_id)
    assert run.state is RunState.SUCCEEDED, run.reason
    assert out.read_text() == "a; b $(id)"
    first, _, third, _ = bench.steps(run_id)
    assert first.data is not None
    assert (first.data["done"], first.data["ok"], first.data["status"]) == (True, True, 0)
    assert third.data == {"done": False, "ok": False, "output": "", "cut": False}
    assert not (bench.folder / "never").exists()


async def test_a_run_that_is_taken_up_again_knows_what_was_found_before(bench: Bench) -> None:
    out, gate = bench.folder / "out", bench.folder / "gate"
    slow = shell(f"while [ ! -e {gate} ]; do sleep 0.02; done", idempotent="true")
    write = shell(f"echo written > {out}", when='"found.stdout.startsWith(\\"yes\\")"')
    run_id = bench.queue(playbook(keeps("echo yes"), slow, write))
    async with bench.working() as worker:
        await bench.until(run_id, RunState.RUNNING)
        while len(bench.steps(run_id)) < 2:
            await bench.db.read(lambda _: None)
        worker.stop()
        gate.touch()
    assert bench.run(run_id).state is RunState.RUNNING
    async with bench.working():
        run = await bench.until(run_id)
    assert (run.state, bench.text("out")) == (RunState.SUCCEEDED, "written\n"), run.reason


async def test_a_dry_run_tells_what_hangs_on_an_answer_that_it_does_not_ask_for(bench: Bench) -> None:
    bench.settings = Settings(enabled=False)
    run_id = bench.queue(
        playbook(keeps("echo yes"), shell("touch x", when='"found.ok"'), rollback=shell("true"))
    )
    async with bench.working():
        run = await bench.until(run_id)
    assert run.state is RunState.SUCCEEDED
    assert bench.steps(run_id)[1].plan == "command, by what found will tell"


async def test_what_the_found_cannot_answer_stops_the_run(bench: Bench) -> None:
    run_id = bench.queue(playbook(keeps("echo yes"), shell("touch x", when='"found.nothing > 3"')))
    async with bench.working():
        run = await bench.until(run_id)
    assert run.state is RunState.FAILED
    assert "two: 'found.nothing > 3'" in run.reason

"""Leases of runs: who lives keeps his own, who is silent is taken over from, and who was is refused."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import Field

from aiops.config import Remediation as Settings
from aiops.core.brakes import BlastRadius, Brakes, Storm
from aiops.engine.attempt import probe_until
from aiops.engine.clock import SystemClock
from aiops.engine.tenure import Tenure
from aiops.model.lifecycle import RunState
from aiops.model.problem import Run
from aiops.plugin import Action, Outcome
from aiops.store import audit, leases, runs
from aiops.store.database import Database
from aiops.testing import FakeClock, eventually
from tests.engine.run_fixtures import CLOCK, Bench, playbook, shell


@pytest.fixture
def bench(db: Database, tmp_path: Path) -> Bench:
    return Bench(db, tmp_path)


async def begun(bench: Bench, tenure: Tenure, number: int = 1) -> Run:
    """A run that `tenure` has begun."""
    book = playbook(shell("true"), name=f"fix-{number}", target=f"svc/{number}")
    run = bench.run(bench.queue(book, number))
    run.state, run.started = RunState.RUNNING, CLOCK.now()
    await tenure.begin(run, RunState.QUEUED, CLOCK.now())
    return run


async def test_a_lease_is_taken_over_once_it_has_run_out_and_never_before(bench: Bench) -> None:
    first, second = Tenure(bench.db, CLOCK, 0.4), Tenure(bench.db, CLOCK, 0.4)
    run = await begun(bench, first)
    with pytest.raises(leases.LeaseLost, match=f"carried out by {first.owner}"):
        await second.take(run, CLOCK.now())
    assert await bench.db.read(leases.free, second.owner) == set()
    await asyncio.sleep(0.5)
    assert await bench.db.read(leases.free, second.owner) == {run.id}
    await second.take(run, CLOCK.now())
    with bench.db.read_only() as conn:
        reasons = [row["reason"] for row in audit.of_problem(conn, run.problem_id)]
    assert f"taken over by {second.owner} from {first.owner}, of which nothing was heard" in reasons


async def test_a_lease_that_is_renewed_is_kept(bench: Bench) -> None:
    first, second = Tenure(bench.db, CLOCK, 0.8), Tenure(bench.db, CLOCK, 0.8)
    run = await begun(bench, first)
    lost: list[int] = []
    beat = asyncio.create_task(first.keep(lost.append))
    for _ in range(4):
        await asyncio.sleep(0.4)
        with pytest.raises(leases.LeaseLost):
            await second.take(run, CLOCK.now())
    beat.cancel()
    assert lost == []


async def test_who_was_taken_over_from_can_neither_write_nor_be_sure(bench: Bench) -> None:
    ghost, heir = Tenure(bench.db, CLOCK, 0.2), Tenure(bench.db, CLOCK, 5.0)
    run = await begun(bench, ghost)
    await asyncio.sleep(0.3)
    await heir.take(run, CLOCK.now())
    with pytest.raises(leases.LeaseLost):
        await ghost.be_sure(run.id)
    run.state, run.ended = RunState.SUCCEEDED, CLOCK.now()
    with pytest.raises(leases.LeaseLost):
        await ghost.within(run.id, runs.save, run, RunState.RUNNING, CLOCK.now())
    assert bench.run(run.id).state is RunState.RUNNING
    await heir.within(run.id, runs.save, run, RunState.RUNNING, CLOCK.now())
    assert bench.run(run.id).state is RunState.SUCCEEDED


async def test_it_is_told_what_it_has_lost_but_not_what_has_ended(bench: Bench) -> None:
    ghost, heir = Tenure(bench.db, CLOCK, 0.2), Tenure(bench.db, CLOCK, 5.0)
    gone, ended = await begun(bench, ghost), await begun(bench, ghost, 2)
    await asyncio.sleep(0.3)
    await heir.take(gone, CLOCK.now())
    ended.state, ended.ended = RunState.SUCCEEDED, CLOCK.now()
    await bench.db.run(runs.save, ended, RunState.RUNNING, CLOCK.now())
    lost: list[int] = []
    beat = asyncio.create_task(ghost.keep(lost.append))
    await eventually(lambda: bool(lost))
    beat.cancel()
    assert set(lost) == {gone.id}


async def test_clocks_that_disagree_take_nothing_over(bench: Bench) -> None:
    """Leases are kept by the store's clock."""
    fast = SystemClock()
    fast.now = lambda: CLOCK.now() + 3600  # type: ignore[method-assign]
    first, second = Tenure(bench.db, CLOCK, 5.0), Tenure(bench.db, fast, 5.0)
    run = await begun(bench, first)
    assert await bench.db.read(leases.free, second.owner) == set()
    with pytest.raises(leases.LeaseLost):
        await second.take(run, fast.now())


async def test_a_frozen_worker_is_taken_over_from_and_acts_no_more(bench: Bench) -> None:
    """It stands still for longer than its lease, between the steps, and finds its run in other hands."""
    out = bench.folder / "out"
    one = f"echo one >> {out}; sleep 0.3"
    run_id = bench.queue(playbook(shell(one, idempotent="true"), shell(f"echo two >> {out}")))
    ghost = bench.worker(lease=0.3, hears=lambda: False)  # the problems are kept beside the other

    async def frozen(lost: Callable[[int], None]) -> None:
        await asyncio.sleep(3600)

    ghost.tenure.keep = frozen  # type: ignore[method-assign]
    acting = asyncio.create_task(ghost.run())
    await eventually(out.exists)
    await asyncio.sleep(0.1)
    async with bench.working():
        await bench.until(run_id, RunState.SUCCEEDED, within=60)
        await asyncio.sleep(0.3)
    ghost.stop()
    await acting
    assert out.read_text().count("two") == 1
    assert bench.run(run_id).state is RunState.SUCCEEDED
    assert len(bench.ends(run_id)) == 1


async def test_what_a_stopped_worker_leaves_is_free_at_once(bench: Bench) -> None:
    first, second = Tenure(bench.db, CLOCK, 60.0), Tenure(bench.db, CLOCK, 60.0)
    run = await begun(bench, first)
    await first.let_go()
    await second.take(run, CLOCK.now())


async def test_two_workers_share_the_runs_and_do_each_once(bench: Bench) -> None:
    blast, storm = BlastRadius(targets=99), Storm(problems=99)
    bench.settings = Settings(enabled=True, brakes=Brakes(blast_radius=blast, storm=storm))
    out = bench.folder / "out"
    step = shell(f"echo $FOREWARN_KEY >> {out}; sleep 0.05")
    every = [bench.queue(playbook(step, name=f"fix-{n}", target=f"svc/{n}"), n) for n in range(8)]
    async with bench.working() as a, bench.working() as b:
        for run_id in every:
            assert (await bench.until(run_id, within=60)).state is RunState.SUCCEEDED
    assert a.tenure.owner != b.tenure.owner
    assert sorted(out.read_text().split()) == sorted(f"{run_id}:one" for run_id in every)


class Late(Action):
    """Its effect shows only at the `shows`-th look."""

    shows: int
    looks: list[str] = Field(default_factory=list)

    @property
    def target(self) -> str:
        return "late"

    def plan(self) -> str:
        return "be late"

    async def run(self, key: str) -> Outcome:
        return Outcome(True)

    async def probe(self, key: str) -> bool | None:
        self.looks.append(key)
        return len(self.looks) >= self.shows


@pytest.mark.parametrize(("shows", "answer"), [(1, True), (3, True), (99, False)])
async def test_a_probe_that_says_no_is_asked_until_it_is_too_late(shows: int, answer: bool) -> None:
    clock, action = FakeClock(0.0), Late(shows=shows)
    asking = asyncio.create_task(probe_until(action, "1:one", clock, 2.0))
    for _ in range(12):
        await clock.advance(0.25)
    assert await asyncio.wait_for(asking, 1) is answer
    assert len(action.looks) == min(shows, 5)

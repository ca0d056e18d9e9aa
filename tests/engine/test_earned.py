"""Earned autonomy and uplift in the store: each run counts once, a failure at once, a person first."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from aiops.config import Remediation as Settings
from aiops.core.playbook import Earning
from aiops.engine.trust import weigh
from aiops.engine.uplift import measure
from aiops.model.autonomy import Autonomy, Standing
from aiops.model.lifecycle import RunState
from aiops.model.problem import Run
from aiops.store import autonomy, runs
from aiops.store.database import Database
from aiops.store.tables import audit
from aiops.store.tables import run as run_table
from tests.engine.run_fixtures import CLOCK, Bench, playbook, shell

EARN = Earning.model_validate({"from": "approve", "after": 2})


@pytest.fixture
def bench(db: Database, tmp_path: Path) -> Bench:
    return Bench(db, tmp_path, settings=Settings.model_validate({"enabled": True}))


def weighed(bench: Bench, earn: Earning = EARN) -> Standing | None:
    with bench.db.begin() as conn:
        weigh(conn, bench.books, earn, CLOCK.now())
        return autonomy.get(conn, "fix", "web")


async def ran(bench: Bench, script: str, number: int) -> Run:
    """An approved run, as it ended."""
    run_id = bench.queue(playbook(shell(script), autonomy="auto"), number)
    with bench.db.begin() as conn:
        conn.execute(run_table.update().where(run_table.c.id == run_id).values(approved_by="ada"))
    async with bench.working():
        return await bench.until(run_id)


async def test_each_run_counts_once_and_what_moved_is_in_the_trail(bench: Bench) -> None:
    await ran(bench, "true", 1)
    assert weighed(bench) == weighed(bench)
    standing = weighed(bench)
    assert standing is not None
    assert (standing.level, standing.streak) == (Autonomy.APPROVE, 1)
    await ran(bench, "true", 2)
    standing = weighed(bench)
    assert standing is not None
    assert (standing.level, standing.streak) == (Autonomy.AUTO, 0)
    with bench.db.read_only() as conn:
        moved = sa.select(audit.c.from_state, audit.c.to_state).where(audit.c.entity == "autonomy")
        assert [tuple(row) for row in conn.execute(moved)] == [("approve", "auto")]
        assert autonomy.levels(conn) == {("fix", "web"): Autonomy.AUTO}
        assert not autonomy.wanting(conn)


async def test_what_failed_no_longer_lets_a_queued_run_begin_by_itself(bench: Bench) -> None:
    bench.settings = Settings.model_validate({"enabled": True, "brakes": {"blast_radius": {"targets": 9}}})
    first = bench.queue(playbook(shell("exit 1"), autonomy="auto"), 1)
    second = bench.queue(playbook(shell(f"touch {bench.folder / 'out'}"), autonomy="auto"), 2)
    async with bench.working():
        assert (await bench.until(first)).state is RunState.FAILED
        ended = await bench.until(second)
    assert (ended.state, ended.started == ended.started) == (RunState.EXPIRED, False)
    assert "fix may only approve for web by now" in ended.reason
    assert not (bench.folder / "out").exists()


async def test_a_person_fixes_the_level_and_lets_it_go(bench: Bench) -> None:
    given = {"by": "ana", "at": CLOCK.now()}
    with bench.db.begin() as conn:
        autonomy.pin(conn, "fix", "web", Autonomy.AUTO, note="for the night", **given)  # type: ignore[arg-type]
    await ran(bench, "exit 1", 1)
    standing = weighed(bench)
    assert standing is not None
    assert (standing.level, standing.pinned_by, standing.streak) == (Autonomy.AUTO, "ana", 0)
    with bench.db.begin() as conn:
        assert autonomy.unpin(conn, "fix", "web", **given) is not None  # type: ignore[arg-type]
        assert autonomy.unpin(conn, "fix", "web", **given) is None  # type: ignore[arg-type]
    await ran(bench, "exit 1", 2)
    standing = weighed(bench)
    assert standing is not None
    assert standing.level is Autonomy.APPROVE


async def test_uplift_is_measured_from_what_is_stored(bench: Bench) -> None:
    done = await ran(bench, "true", 1)
    dry = bench.add_problem(2)
    other = Run(dry, "fix", done.revision, "svc/web", queued=CLOCK.now(), service="web")
    with bench.db.begin() as conn:
        runs.insert(conn, other, "")
        bench.books["fix"] = playbook(shell("true"), autonomy="auto")
        whole, web = measure(conn, bench.books.values(), CLOCK.now() - 3600)
    assert (whole.service, web.service) == ("", "web")
    assert sorted((one.acted, one.verified) for one in web.courses) == [(False, False), (True, True)]
    found = web.history(1.0, CLOCK.now() + 10)
    assert (found.acted.of, found.left.of, found.left.healed) == (1, 1, 0)

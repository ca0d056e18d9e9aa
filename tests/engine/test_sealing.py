"""`forewarn doctor` on `store_keys`, and `forewarn db seal`: what is under which key, on both databases."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from aiops.cli.doctor import look
from aiops.cli.finding import Finding, Health
from aiops.model.problem import Problem, Run
from aiops.store import problems, runs, sealing, vault
from aiops.store.database import Database
from aiops.store.tables import step
from tests.engine.test_cli import forewarn
from tests.engine.test_doctor import config_of
from tests.engine.test_vault import PLAIN, bodies, put, raw, text_of

ALL = 1000


@pytest.fixture(autouse=True)
def _without() -> Iterator[None]:
    yield
    vault.use([])


def survey(db: Database, *keys: str) -> dict[int | None, int]:
    """Of all columns together."""
    with db.read_only() as conn:
        found = sealing.survey(conn, keys, ALL)
    return {place: sum(each[place] for each in found.values()) for place in (None, -1, 0, 1)}


def put_steps(db: Database, *datas: object) -> None:
    """A run of the playbook that `put` has put, and what its steps have registered."""
    one = Problem("fw-1", opened=1.0, updated=1.0)
    with db.begin() as conn:
        problems.save_problems(conn, [one])
        run = runs.insert(conn, Run(one.id, "p", "r1", "t", dry_run=False), PLAIN)
        made = {"run_id": run.id, "name": "s", "phase": "step", "plan": "", "started": 1.0}
        conn.execute(step.insert(), [made | {"number": n, "data": data} for n, data in enumerate(datas)])


def test_every_value_is_told_by_the_key_that_opens_it(db: Database) -> None:
    put(db, "r1")
    vault.use(["old"])
    put(db, "r2")
    vault.use(["new", "old"])
    put(db, "r3")
    put_steps(db, {"a": 1}, None, [2])
    assert survey(db, "new", "old") == {None: 2, -1: 0, 0: 4, 1: 2}
    assert survey(db, "new") == {None: 2, -1: 2, 0: 4, 1: 0}
    assert survey(db) == {None: 2, -1: 6, 0: 0, 1: 0}


def test_sealing_anew_leaves_all_under_the_first_key_and_changes_no_value(db: Database) -> None:
    put(db, "r1")
    put_steps(db, {"a": "open-sesame"}, None, [2])
    vault.use(["old"])
    put(db, "r2")
    vault.use(["new", "old"])
    put(db, "r3")
    assert sealing.seal_anew(db, ["new", "old"]) == {None: 4, 1: 2}
    assert survey(db, "new") == {None: 0, -1: 0, 0: 8, 1: 0}
    assert sealing.seal_anew(db, ["new", "old"]) == {}
    vault.use(["new"])
    assert b"sesame" not in raw(db)
    assert [text_of(db, one) for one in ("r1", "r2", "r3")] == [PLAIN] * 3
    assert bodies(db) == [b"line with open-sesame"] * 3
    with db.read_only() as conn:
        registered = list(conn.scalars(sa.select(step.c.data).order_by(step.c.id)))
    assert registered == [{"a": "open-sesame"}, None, [2]]


def test_what_no_key_opens_stays_as_it_is(db: Database) -> None:
    vault.use(["lost"])
    put(db, "r1")
    before = raw(db)
    vault.use(["new"])
    put(db, "r2")
    assert sealing.seal_anew(db, ["new"]) == {sealing.LOCKED: 2}
    assert raw(db).startswith(before[:60])
    vault.use(["lost"])
    assert text_of(db, "r1") == PLAIN


def told(file: Path) -> list[Finding]:
    return [one for one in look(file, None, here=True) if one.what == "store keys"]


def test_the_doctor_says_what_is_wrong_with_the_keys(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("old", "new"):
        monkeypatch.setenv(f"KEY_{name}", name)
    url = db.url.render_as_string(hide_password=False)

    def asked(*keys: str) -> list[tuple[Health, str]]:
        given = [{"env": f"KEY_{key}"} for key in keys]
        return [(one.health, one.said) for one in told(config_of(tmp_path, store=url, store_keys=given))]

    assert asked() == [(Health.OK, "none, and nothing is sealed")]
    assert asked("new") == [(Health.OK, "nothing to seal yet")]
    put(db, "r1")
    assert asked("new") == [(Health.WARN, "2 values are not sealed: they are older than the keys")]
    vault.use(["old"])
    put(db, "r2")
    locked = "2 values of spool.body and playbook_revision.text are sealed, and "
    ((health, said),) = asked()
    assert (health, set(said.split())) == (Health.FAIL, set(f"{locked}`store_keys` is empty".split()))
    found = asked("new")
    assert [one for one, _ in found] == [Health.FAIL, Health.WARN]
    assert "none of the keys opens them" in found[0][1]
    assert (Health.WARN, "key 2 of `store_keys` still opens 2 values") in asked("new", "old")
    done = forewarn("db", "seal", "--config", str(tmp_path / "forewarn.yaml"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"sealed": 2, "under_another_key": 2, "locked": 0}
    assert asked("new", "old") == [
        (Health.WARN, "key 2 of `store_keys` is not needed any more"),
        (Health.OK, "4 values, all under the first key"),
    ]
    assert asked("new") == [(Health.OK, "4 values, all under the first key")]


def test_sealing_without_a_key_says_what_is_missing(tmp_path: Path) -> None:
    done = forewarn("db", "seal", "--config", str(config_of(tmp_path)))
    assert done.returncode == 1
    assert "store_keys" in done.stderr

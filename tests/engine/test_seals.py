"""The audit trail's chain on both databases: nothing sealed is changed, removed or reordered unseen."""

import hashlib
import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from aiops.cli.app import app
from aiops.store import audit, seals
from aiops.store.database import Database
from aiops.store.tables import audit as trail
from aiops.store.tables import seal


@pytest.fixture
def sealed(db: Database) -> Database:
    """Ten rows, sealed in two goes, with words beyond ASCII."""
    for go in range(2):
        with db.begin() as conn:
            for n in range(5):
                audit.note(
                    conn,
                    at=go * 5.5 + n,
                    entity="run",
                    entity_id=n,
                    current="",
                    to="queued",
                    reason="Prüfung 检查",
                )
        with db.begin() as conn:
            assert seals.wanting(conn)
            assert seals.close(conn) == 5
            assert not seals.wanting(conn)
            assert seals.close(conn) == 0
    return db


def verdict(db: Database) -> seals.Verdict:
    with db.read_only() as conn:
        return seals.verify(conn)


def test_an_untouched_trail_is_intact(sealed: Database) -> None:
    found = verdict(sealed)
    assert (found.intact, found.sealed, found.unsealed, found.purged) == (True, 10, 0, 0)
    with sealed.begin() as conn:
        assert seals.knows(conn, found.chain)
        audit.note(conn, at=99.0, entity="run", entity_id=1, current="queued", to="running", reason="x")
    assert verdict(sealed).unsealed == 1
    assert verdict(sealed).chain == found.chain


@pytest.mark.parametrize("column", ["reason", "actor", "to_state", "entity_id"])
def test_a_changed_row_is_named(sealed: Database, column: str) -> None:
    with sealed.begin() as conn:
        conn.execute(trail.update().where(trail.c.id == 4).values({column: "other"}))
    assert verdict(sealed).changed == [4]
    assert not verdict(sealed).intact


def test_a_forged_seal_breaks_the_chain(sealed: Database) -> None:
    """Whoever changes a row and its digest would have to make every later seal anew."""
    with sealed.begin() as conn:
        conn.execute(trail.update().where(trail.c.id == 4).values(reason="other"))
        row = conn.execute(sa.select(trail).where(trail.c.id == 4)).mappings().one()
        conn.execute(seal.update().where(seal.c.audit_id == 4).values(digest=seals.digest_of(row)))
    found = verdict(sealed)
    assert found.changed == []
    assert found.broken == [4]


def test_a_removed_seal_breaks_the_chain(sealed: Database) -> None:
    with sealed.begin() as conn:
        conn.execute(seal.delete().where(seal.c.audit_id == 4))
    assert verdict(sealed).broken == [5]


def test_a_chain_made_anew_is_found_out_by_a_value_kept_elsewhere(sealed: Database) -> None:
    kept = verdict(sealed).chain
    with sealed.begin() as conn:
        conn.execute(trail.update().where(trail.c.id == 4).values(reason="other"))
        conn.execute(seal.delete())
        seals.close(conn, whole=True)
        assert seals.verify(conn).intact
        assert not seals.knows(conn, kept)


def test_what_retention_took_leaves_its_seal(sealed: Database) -> None:
    with sealed.begin() as conn:
        conn.execute(trail.delete().where(trail.c.id <= 3))
    found = verdict(sealed)
    assert (found.intact, found.purged, found.sealed) == (True, 3, 10)


def test_another_party_can_follow_the_export(sealed: Database) -> None:
    with sealed.read_only() as conn:
        lines = [json.loads(json.dumps(line)) for line in seals.export(conn)]
    chain = "0" * 64
    for line in lines:
        text = json.dumps(line["row"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(text.encode()).hexdigest() == line["digest"]
        chain = hashlib.sha256((chain + line["digest"]).encode()).hexdigest()
        assert chain == line["chain"]
    assert len(lines) == 10


def test_the_command_proves_and_finds_out(sealed: Database, tmp_path: Path) -> None:
    config = tmp_path / "forewarn.yaml"
    config.write_text(
        f"store: {sealed.engine.url.render_as_string(hide_password=False)}\nsources: [{{kind: host}}]\n"
    )
    run = CliRunner()
    good = run.invoke(app, ["audit", "verify", "-c", str(config)])
    assert good.exit_code == 0, good.output
    assert "10 rows sealed; chain" in good.output
    assert "intact" in good.output
    lost = run.invoke(app, ["audit", "verify", "-c", str(config), "--chain", "beef"])
    assert lost.exit_code == 1
    assert "beef is not among the seals" in lost.output
    assert len(run.invoke(app, ["audit", "export", "-c", str(config)]).output.splitlines()) == 10
    with sealed.begin() as conn:
        conn.execute(trail.update().where(trail.c.id == 4).values(reason="other"))
    bad = run.invoke(app, ["audit", "verify", "-c", str(config)])
    assert bad.exit_code == 1
    assert "audit row 4 is not what was sealed" in bad.output

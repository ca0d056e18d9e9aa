"""Schema migrations on both databases: from nothing, again, and against what a newer version left."""

import subprocess
import sys

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from aiops.store.database import Database, StoreError
from aiops.store.migrate import FOLDER, current, head, known, upgrade
from aiops.store.tables import metadata


def test_an_empty_database_gets_the_newest_schema(empty_db: Database) -> None:
    assert current(empty_db) == ""
    assert upgrade(empty_db) == ("", head())
    assert current(empty_db) == head()
    names = set(sa.inspect(empty_db.engine).get_table_names())
    assert names == set(metadata.tables) | {"alembic_version"}


def test_upgrading_again_changes_nothing(empty_db: Database) -> None:
    upgrade(empty_db)
    assert upgrade(empty_db) == (head(), head())


def test_the_migrations_end_at_what_the_tables_say(db: Database) -> None:
    # alembic cannot compare the defaults of SQLite's texts
    compared = {"compare_type": True, "compare_server_default": not db.is_sqlite}
    with db.read_only() as conn:
        context = MigrationContext.configure(conn, opts=compared)
        assert compare_metadata(context, metadata) == []


def test_the_files_of_migrations_bear_the_names_of_their_revisions() -> None:
    """Which is how a start knows, without loading Alembic, that there is nothing to do."""
    found = ScriptDirectory(str(FOLDER))
    assert known() == {script.revision for script in found.walk_revisions()}
    assert head() == found.get_current_head()


def test_a_start_that_has_nothing_to_migrate_does_without_alembic(db: Database) -> None:
    script = (
        "import sys; from aiops.store.database import Database; from aiops.store.migrate import upgrade; "
        "upgrade(Database(sys.argv[1])); sys.exit('alembic' in sys.modules)"
    )
    url = db.url.render_as_string(hide_password=False)
    subprocess.run([sys.executable, "-c", script, url], check=True, timeout=60)


def test_every_table_carries_its_team(db: Database) -> None:
    inspector = sa.inspect(db.engine)
    for name in metadata.tables:
        assert "team" in {column["name"] for column in inspector.get_columns(name)}, name


def test_a_schema_of_a_newer_version_is_refused_and_left_alone(db: Database) -> None:
    with db.begin() as conn:
        conn.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"schema 9999.*upgrade Forewarn"):
        upgrade(db)
    assert current(db) == "9999"


def test_a_migration_that_fails_midway_leaves_nothing(empty_db: Database) -> None:
    """A table stands in the way of the last one that is made."""
    with empty_db.begin() as conn:
        conn.exec_driver_sql("CREATE TABLE step (x INTEGER)")
    with pytest.raises(sa.exc.SQLAlchemyError):
        upgrade(empty_db)
    assert current(empty_db) == ""
    left = set(sa.inspect(empty_db.engine).get_table_names()) - {"alembic_version"}
    assert left == {"step"}
    with empty_db.begin() as conn:
        conn.exec_driver_sql("DROP TABLE step")
    assert upgrade(empty_db) == ("", head())


UPGRADE = """
import sys
from aiops.store.database import Database
from aiops.store.migrate import upgrade
upgrade(Database(sys.argv[1]))
"""


def test_two_processes_that_upgrade_at_once_leave_one_whole_schema(empty_db: Database) -> None:
    """One may fail, and is started again; the other goes through."""
    url = empty_db.url.render_as_string(hide_password=False)
    both = [subprocess.Popen([sys.executable, "-c", UPGRADE, url], stderr=subprocess.PIPE) for _ in range(2)]
    codes = []
    for process in both:
        process.communicate(timeout=60)
        codes.append(process.returncode)
    assert 0 in codes
    assert upgrade(empty_db) == (head(), head())
    with empty_db.read_only() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []

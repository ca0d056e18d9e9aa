"""The library's `unblock-postgresql` on a real server: whom it ends, by which rights, and whom it leaves."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.database import Postgres

PLAYBOOK = Path(__file__).parents[2] / "playbooks" / "library" / "unblock-postgresql.yaml"
ROLES = (
    "CREATE ROLE lib_app LOGIN",
    "CREATE ROLE lib_repair LOGIN IN ROLE pg_signal_backend, pg_read_all_stats",
    "CREATE TABLE lib_stock (left_over int)",
    "INSERT INTO lib_stock VALUES (10)",
    "GRANT ALL ON lib_stock TO lib_app",
)
GONE = ("DROP TABLE lib_stock", "DROP ROLE lib_app", "DROP ROLE lib_repair")
TAKE = "UPDATE lib_stock SET left_over = left_over - 1"


@pytest.fixture
def server(cluster: Postgres) -> Iterator[Postgres]:
    for statement in ROLES:
        cluster.execute(statement)
    yield cluster
    for statement in GONE:
        cluster.execute(statement)


def session(server: Postgres, user: str) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host="127.0.0.1", port=server.port, user=user, dbname="postgres", autocommit=user != "forewarn"
    )


def repair(server: Postgres) -> list[Any]:
    """What the step's statement ended, for sessions idle at all."""
    (step,) = yaml.safe_load(PLAYBOOK.read_text())["steps"]
    with session(server, "lib_repair") as conn:
        return conn.execute(step["end-idle-blockers"]["statement"].replace(":idle", "0").encode()).fetchall()


def blocked(server: Postgres, holder: psycopg.Connection[Any]) -> threading.Thread:
    """Somebody who waits for what `holder` holds."""
    holder.execute("BEGIN" if holder.autocommit else "SELECT 1")
    holder.execute(TAKE)

    def wait() -> None:
        with session(server, "lib_app") as conn:
            conn.execute(TAKE)

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    with session(server, "lib_repair") as conn:
        end = time.monotonic() + 20
        while not conn.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():
            assert time.monotonic() < end
            time.sleep(0.02)
    return waiter


def test_an_idle_blocker_is_ended_by_a_role_that_is_no_superuser(server: Postgres) -> None:
    holder = session(server, "lib_app")
    waiter = blocked(server, holder)
    assert len(repair(server)) == 1
    waiter.join(20)
    assert not waiter.is_alive()
    with pytest.raises(psycopg.OperationalError):
        holder.execute("SELECT 1")
    holder.close()


def test_a_superusers_session_is_left_and_breaks_nothing(server: Postgres) -> None:
    holder = session(server, "forewarn")
    waiter = blocked(server, holder)
    assert repair(server) == []
    holder.rollback()
    waiter.join(20)
    assert not waiter.is_alive()
    holder.close()

"""A session idle in its transaction holds a lock that others wait for: it alone is ended."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.database import Postgres, missing_postgres, postgres
from tests.e2e.chaos.gauges import Gauges
from tests.e2e.chaos.playbook import library
from tests.e2e.chaos.report import Report, report
from tests.e2e.chaos.world import world
from tests.e2e.servers import scrape_job

IDLE = 3.0
"""Seconds that a session may be idle in a transaction."""
SERIES = 'pg_stat_activity_max_tx_duration{state="idle in transaction"}'
LONGEST = """SELECT coalesce(max(extract(epoch FROM now() - xact_start)), 0)::float FROM pg_stat_activity
WHERE state = 'idle in transaction'"""
ENDED = "terminating connection due to administrator command"
ROLES = (
    "CREATE ROLE app LOGIN",
    "CREATE ROLE repair LOGIN IN ROLE pg_signal_backend, pg_read_all_stats",
    "CREATE TABLE stock (item int PRIMARY KEY, left_over int)",
    "INSERT INTO stock VALUES (1, 10)",
    "GRANT ALL ON stock TO app",
)
TAKE = "UPDATE stock SET left_over = left_over - 1 WHERE item = 1"


def run(folder: Path) -> Report:
    if why := missing_postgres():
        pytest.skip(why)
    with postgres() as cluster:
        for statement in ROLES:
            cluster.execute(statement)
        with measured(cluster) as gauges:
            playbook = unblock(folder, cluster.port)
            limit = {"name": "idle in transaction", "match": SERIES, "breach": {"above": IDLE}}
            jobs = [scrape_job("postgresql", gauges.address)]
            with world(folder, jobs, [SERIES], [playbook], limits=[limit]) as here, session(cluster) as idle:
                buyer = Buyer(cluster)
                here.strike(lambda: idle.execute(TAKE))
                buyer.start()
                here.sees("buyer served", lambda: buyer.served)
                here.reaches("resolved")
                here.told("resolved")
                buyer.join()
                problem = here.one_of_each()
                assert [r["state"] for r in problem["runs"]] == ["succeeded"]
                ended = cluster.log.read_text().count(ENDED)
                assert ended == 1, ended
                assert left_over(cluster) == 9, "the buyer's, and not the idle session's"
                return report(here, problem, {"sessions ended": ended, "buyers served": 1})


def unblock(folder: Path, port: int) -> Path:
    words = {"forewarn@127.0.0.1": f"repair@127.0.0.1:{port}"}
    path = library(folder, "unblock-postgresql", words)
    path.write_text(path.read_text().replace('"idle": 60', '"idle": 1'))
    return path


@contextmanager
def session(cluster: Postgres, autocommit: bool = False) -> Iterator[psycopg.Connection[Any]]:
    """Of the application. It may be ended from outside."""
    conn = psycopg.connect(host="127.0.0.1", port=cluster.port, user="app", dbname="postgres")
    conn.autocommit = autocommit
    try:
        yield conn
    finally:
        conn.close()


class Buyer(threading.Thread):
    """Waits for the lock."""

    def __init__(self, cluster: Postgres) -> None:
        super().__init__(daemon=True)
        self.served = False
        self._cluster = cluster

    def run(self) -> None:
        with session(self._cluster, autocommit=True) as conn:
            conn.execute(TAKE)
            self.served = True


def left_over(cluster: Postgres) -> int:
    with session(cluster) as conn:
        row = conn.execute("SELECT left_over FROM stock").fetchone()
        assert row
        return int(row[0])


@contextmanager
def measured(cluster: Postgres) -> Iterator[Gauges]:
    """What postgres_exporter tells of sessions, by its own statement."""
    where = f"host=127.0.0.1 port={cluster.port} user=repair dbname=postgres"
    with psycopg.connect(where, autocommit=True) as conn:

        def longest() -> float:
            row = conn.execute(LONGEST).fetchone()
            assert row
            return float(row[0])

        with Gauges({SERIES: longest}) as gauges:
            yield gauges

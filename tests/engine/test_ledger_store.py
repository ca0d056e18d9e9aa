"""The ledger's rows on both databases."""

from aiops.core.ledger import Entry, Outcome
from aiops.model.lifecycle import AlertState, ProblemState, RunState
from aiops.model.problem import Mark, Problem, Run, Verdict
from aiops.model.series import labels_of
from aiops.model.signal import Alert, AlertKind
from aiops.store import alerts, ledger, problems, runs, ties
from aiops.store.database import Database


def test_rows_tell_first_anomaly_repair_and_order(db: Database) -> None:
    alert = Alert(AlertKind.ANOMALY, labels_of({"__name__": "x"}), 90.0, "adaptive", state=AlertState.FIRING)
    alert.fired = 95.0
    one = Problem("fw-1", 100.0, alerts=[alert])
    one.breach_expected, one.resolved, one.state = 900.0, 300.0, ProblemState.RESOLVED
    two = Problem("fw-2", 200.0, alerts=[])
    two.breached = 260.0
    one.updated, two.updated, alert.updated = 300.0, 260.0, 95.0
    with db.begin() as conn:
        problems.save_problems(conn, [one, two])
        alerts.save_alerts(conn, [(alert, one.id)])
        run = runs.insert(conn, Run(one.id, "fix", "r", "t", dry_run=False), "playbook: fix")
        for to in (RunState.RUNNING, RunState.VERIFYING, RunState.SUCCEEDED):
            was, run.state = run.state, to
            runs.save(conn, run, was, 250.0)
    with db.begin() as conn:
        found = [Entry.of(row) for row in ledger.rows(conn, 0.0, 10)]
        assert [entry.key for entry in found] == ["fw-2", "fw-1"]
        assert (found[0].outcome, found[0].lead) == (Outcome.WARNED, 60.0)
        assert (found[1].outcome, found[1].first_anomaly) == (Outcome.AVERTED, 90.0)
        assert [row["key"] for row in ledger.rows(conn, 150.0, 10)] == ["fw-2"]
        assert len(ledger.rows(conn, 0.0, 1)) == 1
        assert [row["first_anomaly"] for row in ledger.rows(conn, 0.0, 10, 1)] == [None, None]
        assert [row["first_anomaly"] for row in ledger.rows(conn, 0.0, 10, 2)] == [None, 90.0]


def test_a_page_is_false_until_something_bears_it_out(db: Database) -> None:
    names = ("open", "over", "breached", "marked true", "marked false", "taken back")
    made = [
        Problem(f"fw-{n}", 100.0 + n, name, team="web" if n == 1 else "default")
        for n, name in enumerate(names)
    ]
    verdicts = [(3, Verdict.TRUE), (4, Verdict.FALSE), (5, Verdict.TRUE), (5, Verdict.FALSE)]
    with db.begin() as conn:
        for one in made:
            one.updated = 200.0
            if one.title != "open":
                one.resolved, one.state = 200.0, ProblemState.RESOLVED
            if one.title == "breached":
                one.breached = 150.0
            problems.save_problems(conn, [one])
        for at, (number, verdict) in enumerate(verdicts):
            ties.judge(conn, made[number], Mark(verdict), 300.0 + at, "sre")
        assert ledger.unconfirmed(conn, 0.0) == {"web": 1, "default": 2}
        assert ledger.unconfirmed(conn, 104.5) == {"default": 1}

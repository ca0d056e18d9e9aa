"""The story of a problem: every transition, delivery and run step, in one order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiops.store.audit import ACTOR
from aiops.web.console.words import plain, tone

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. `at`: epoch s; `what`: whose line it is, with its address `href` (either may be empty)."""

    at: float
    tone: str
    what: str
    href: str
    state: str
    by: str
    text: str


def entries(problem: Row) -> list[Entry]:
    """The latest first; `problem` as `whole_problem` gives it."""
    out = [_of_audit(row) for row in problem["timeline"]]
    out += [_of_step(run, step) for run in problem["runs"] for step in run["steps"]]
    # stable: what was noted later at one moment stays later
    return sorted(out, key=lambda one: one.at)[::-1]


def _of_audit(row: Row) -> Entry:
    moved = row["from_state"] != row["to_state"]
    entity, ident = row["entity"], row["entity_id"]
    rooms = {"alert": "/alerts/", "run": "/runs/", "delivery": "/deliveries/"}
    return Entry(
        at=row["at"],
        tone=tone(row["to_state"]) if moved else "quiet",
        what="" if entity == "problem" else f"{plain(entity)} {ident}",
        href=f"{rooms[entity]}{ident}" if entity in rooms else "",
        state=plain(row["to_state"]) if moved else "",
        by="" if row["actor"] == ACTOR else row["actor"],
        text=row["reason"],
    )


def _of_step(run: Row, step: Row) -> Entry:
    done = {None: "begun", True: "done", False: "failed"}[step["ok"]]
    planned = step["ok"] is None and (run["dry_run"] or step["ended"] is not None)
    return Entry(
        at=step["ended"] or step["started"],
        tone="quiet" if planned else {None: "run", True: "good", False: "bad"}[step["ok"]],
        what=f"{plain('run')} {run['id']}",
        href=f"/runs/{run['id']}",
        state=f"{_step_name(step)} {plain('planned' if planned else done)}",
        by="",
        text=step["plan"],
    )


def _step_name(step: Row) -> str:
    phase, name = step["phase"], step["name"]
    return plain(name) if phase == name else f"{plain(phase)} {name}"

"""Problems, runs and times in the words that the console shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiops.core.words import duration

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Due:
    """The time that matters now: its ``figure``, what the figure ``means``, and how sure it is."""

    figure: str
    means: str
    range: str = ""


def rough(seconds: float) -> str:
    """One unit, for glances: ``40 s``, ``12 min``, ``3 h``, ``2 d``."""
    seconds = abs(seconds)
    for unit, size, until in (("s", 1, 90), ("min", 60, 5400), ("h", 3600, 129_600)):
        if seconds < until:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def ago(at: float | None, now: float) -> str:
    """``12 min ago``, ``in 3 h``."""
    if at is None:
        return ""
    if abs(now - at) < 1:
        return "now"
    return f"{rough(now - at)} ago" if at < now else f"in {rough(at - now)}"


def due(problem: Row, now: float) -> Due:
    """What stands in a problem's time column."""
    if problem["state"] == "resolved":
        return Due(rough((problem["resolved"] or now) - problem["opened"]), "open in all")
    if problem["stage"] == "active":
        return Due(rough(now - (problem["breached"] or problem["opened"])), "users affected")
    expected = problem["breach_expected"]
    if expected is None:
        return Due(rough(now - problem["opened"]), "since first sign")
    if expected <= now:
        return Due("due now", "forecast breach", interval(problem, now))
    return Due(f"~{rough(expected - now)}", "to breach", interval(problem, now))


def interval(row: Row, now: float) -> str:
    """``8 min to 20 min``: when the breach may come, at the earliest and at the latest."""
    early, late = row["breach_earliest"], row["breach_latest"]
    if early is None or late is None:
        return ""
    first = "now" if early <= now else rough(early - now)
    return f"{first} to {rough(late - now)}" if late > now else ""


def headline(problem: Row, now: float) -> str:
    """The problem's standing in one sentence."""
    opened, breached = problem["opened"], problem["breached"]
    if problem["state"] == "resolved":
        took = duration((problem["resolved"] or now) - opened)
        reached = "; users noticed" if problem["stage"] == "active" else " before users noticed"
        return f"Resolved after {took}{reached}."
    if problem["stage"] == "active":
        since = duration(now - (breached or opened))
        return f"Users have been affected for {since}{foreseen(problem)}."
    expected = problem["breach_expected"]
    if expected is None:
        return f"Unusual for {duration(now - opened)}. Users are not affected so far."
    span = interval(problem, now)
    when = f"in about {duration(expected - now)}" if expected > now else "any moment now"
    return f"Predicted to breach {when}{f' ({span})' if span else ''}. Users are not affected so far."


def foreseen(problem: Row) -> str:
    """How long before the breach the problem was opened."""
    if problem["breached"] is None:
        return ""
    lead = problem["breached"] - problem["opened"]
    return f", foreseen {duration(lead)} ahead" if lead >= 1 else ", not foreseen"


_RUNNING = {
    "queued": "waiting for its turn",
    "awaiting_approval": "awaits approval",
    "running": "running",
    "verifying": "verifying the repair",
    "succeeded": "repaired and verified",
    "failed": "failed",
    "rolled_back": "rolled back",
    "expired": "nobody approved in time",
    "interrupted": "interrupted",
}


def run_state(run: Row) -> str:
    """A run's state in words; a dry run says that nothing was done."""
    if run["dry_run"] and run["state"] == "succeeded":
        return "dry run: planned, not done"
    said = _RUNNING.get(run["state"], plain(run["state"]))
    return f"dry run {said}" if run["dry_run"] else said


def doing(problem: Row, run: Row | None, now: float = 0.0) -> tuple[str, str]:
    """(what is being done, by what): the last column of the list."""
    snoozed = problem.get("snoozed_until")
    if snoozed is not None and snoozed > now:
        return "snoozed", f"wakes {ago(snoozed, now)}"
    if run is not None and problem["state"] != "escalated":
        return run_state(run), run["playbook"]
    if problem["state"] == "escalated":
        return "asked a person", problem["escalation"] or ""
    if problem["acknowledged"] is not None:
        return "a person looks at it", problem["assignee"]
    return "nothing yet", "no playbook fits"


_ACRONYMS = frozenset(
    {"api", "cpu", "db", "dns", "gc", "http", "https", "io", "jvm", "rpc", "sql", "tcp", "tls"}
)


def sentence(text: str) -> str:
    """With a capital at its beginning; a first word that is an acronym in capitals."""
    first, space, rest = text.partition(" ")
    return (first.upper() if first in _ACRONYMS else first[:1].upper() + first[1:]) + space + rest


def shown_labels(labels: Mapping[str, str]) -> list[tuple[str, str]]:
    """Labels as chips: all but the metric's name."""
    return [(name, value) for name, value in dict(labels).items() if name != "__name__"]


def metric(labels: Mapping[str, str]) -> str:
    return dict(labels).get("__name__", "")


_TONES = {
    "open": "warn",
    "remediating": "run",
    "escalated": "bad",
    "resolved": "good",
    "firing": "bad",
    "pending": "warn",
    "active": "bad",
    "expired": "quiet",
    "due": "run",
    "sent": "good",
    "dead": "bad",
    "awaiting_approval": "warn",
    "running": "run",
    "verifying": "run",
    "succeeded": "good",
    "failed": "bad",
    "rolled_back": "bad",
    "interrupted": "bad",
}


def tone(state: str) -> str:
    """Which of the five tones of the palette a state has."""
    return _TONES.get(state, "quiet")


def plain(state: str) -> str:
    """``awaiting_approval`` -> ``awaiting approval``."""
    return "SLI" if state == "sli" else state.replace("_", " ")

"""Problems, runs and times in the words that the console shows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiops.core import words as core_words
from aiops.web.language import gettext as _
from aiops.web.language import noted

Row = Mapping[str, Any]
_FAST = "\u00a0"
"""A space at which no line ends."""
_FIGURE = re.compile(r"(?<=[~<>]) (?=\d)|(?<=\d) (?=(?:%|(?:[KMGTP]i)?B|ms|s|min|h|d)(?!\w)|[\u4e00-\u9fff])")


@dataclass(frozen=True, slots=True)
class Due:
    """The time that matters now: its ``figure``, what the figure ``means``, and how sure it is."""

    figure: str
    means: str
    range: str = ""


def together(text: str) -> str:
    """`text` with every number on one line with its unit: ``> 99 %``, ``3 h``."""
    return _FIGURE.sub(_FAST, text)


def rough(seconds: float) -> str:
    """One unit, for glances: ``40 s``, ``12 min``, ``3 h``, ``2 d``."""
    seconds = abs(seconds)
    for unit, size, until in (("s", 1, 90), ("min", 60, 5400), ("h", 3600, 129_600)):
        if seconds < until:
            return f"{seconds / size:.0f} {_(unit)}"
    return f"{seconds / 86400:.0f} {_('d')}"


_UNITS = (noted("ms"), noted("s"), noted("min"), noted("h"), noted("d"))


def lasting(seconds: float) -> str:
    """Two units at most: ``1 min 40 s``."""
    parts = core_words.duration(seconds).split(" ")
    return " ".join(_(part) if part in _UNITS else part for part in parts)


def ago(at: float | None, now: float) -> str:
    """``12 min ago``, ``in 3 h``."""
    if at is None:
        return ""
    if abs(now - at) < 1:
        return _("now")
    said = _("%(time)s ago") if at < now else _("in %(time)s")
    return said % {"time": rough(now - at)}


def due(problem: Row, now: float) -> Due:
    """What stands in a problem's time column; its range wraps between the chance and the span only."""
    if problem["state"] == "resolved":
        return Due(together(rough((problem["resolved"] or now) - problem["opened"])), _("open in all"))
    if problem["stage"] == "active":
        return Due(together(rough(now - (problem["breached"] or problem["opened"]))), _("users affected"))
    expected = problem["breach_expected"]
    if expected is None:
        return Due(together(rough(now - problem["opened"])), _("since first sign"))
    parts = filter(None, (likely(problem), interval(problem, now)))
    span = ", ".join(part.replace(" ", _FAST) for part in parts)
    if expected <= now:
        return Due(_("due now"), _("forecast breach"), span)
    return Due(together(f"~{rough(expected - now)}"), _("to breach"), span)


def likely(row: Row) -> str:
    """``72 % likely``: that the breach comes at all within the horizon; empty where that is not known."""
    chance = row.get("breach_chance")
    return "" if chance is None else _("%(chance)s likely") % {"chance": core_words.percent(chance)}


def interval(row: Row, now: float) -> str:
    """``8 min to 20 min``: when the breach may come, at the earliest and at the latest."""
    early, late = row["breach_earliest"], row["breach_latest"]
    if early is None or late is None or late <= now:
        return ""
    first = _("now") if early <= now else rough(early - now)
    return _("%(from)s to %(to)s") % {"from": first, "to": rough(late - now)}


def headline(problem: Row, now: float) -> str:
    """The problem's standing in one sentence."""
    opened, breached = problem["opened"], problem["breached"]
    if problem["state"] == "resolved":
        took = {"time": lasting((problem["resolved"] or now) - opened)}
        if problem["stage"] == "active":
            return _("Resolved after %(time)s; users noticed.") % took
        return _("Resolved after %(time)s before users noticed.") % took
    if problem["stage"] == "active":
        return _affected(problem, lasting(now - (breached or opened)))
    expected = problem["breach_expected"]
    if expected is None:
        lasts = {"time": lasting(now - opened)}
        return _("Unusual for %(time)s. Users are not affected so far.") % lasts
    span = interval(problem, now)
    span = f" ({span})" if span else ""
    if problem.get("breach_chance") is not None and problem.get("breach_within") is not None:
        within = {"likely": likely(problem), "time": lasting(problem["breach_within"])}
        span += _(", %(likely)s within %(time)s") % within
    if expected <= now:
        return _("Predicted to breach any moment now%(span)s. Users are not affected so far.") % {
            "span": span
        }
    when = {"time": lasting(core_words.coarse(expected - now)), "span": span}
    return _("Predicted to breach in about %(time)s%(span)s. Users are not affected so far.") % when


def _affected(problem: Row, since: str) -> str:
    """For how long, and how long before that the problem was opened."""
    if problem["breached"] is None:
        return _("Users have been affected for %(time)s.") % {"time": since}
    lead = problem["breached"] - problem["opened"]
    if lead < 1:
        return _("Users have been affected for %(time)s, not foreseen.") % {"time": since}
    told = {"time": since, "lead": lasting(lead)}
    return _("Users have been affected for %(time)s, foreseen %(lead)s ahead.") % told


_RUNNING = {
    "queued": noted("waiting for its turn"),
    "awaiting_approval": noted("awaits approval"),
    "running": noted("running"),
    "verifying": noted("verifying the repair"),
    "succeeded": noted("repaired and verified"),
    "failed": noted("failed"),
    "rolled_back": noted("rolled back"),
    "expired": noted("nobody approved in time"),
    "interrupted": noted("interrupted"),
}


def run_state(run: Row) -> str:
    """A run's state in words; a dry run says that nothing was done."""
    if run["dry_run"] and run["state"] == "succeeded":
        return _("dry run: planned, not done")
    known = _RUNNING.get(run["state"], run["state"].replace("_", " "))
    said = _(known)
    return _("dry run %(state)s") % {"state": said} if run["dry_run"] else said


def doing(problem: Row, run: Row | None, now: float = 0.0) -> tuple[str, str]:
    """(what is being done, by what): the last column of the list."""
    snoozed = problem.get("snoozed_until")
    if snoozed is not None and snoozed > now:
        return _("snoozed"), _("wakes %(when)s") % {"when": ago(snoozed, now)}
    if run is not None and problem["state"] != "escalated":
        return run_state(run), run["playbook"]
    if problem["state"] == "escalated":
        return _("asked a person"), problem["escalation"] or ""
    if problem["acknowledged"] is not None:
        return _("a person looks at it"), problem["assignee"]
    return _("nothing yet"), _("no playbook fits")


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
    return "SLI" if state == "sli" else _(state.replace("_", " ")) if state else ""

"""The ticket as data: one JSON body, whole in every message, so that a reader needs no earlier one.

Version 1. Times are RFC 3339 in UTC; what is not known is null; no key is ever left out, new ones may come.

    version      1
    reason       why it is sent: opened, breached, updated, remediating, escalated, resolved, reopened
    said         when
    why          the change in words
    key          correlation key: the same in every message about the problem, different for every problem
    problem      its number in Forewarn
    title        one line
    summary      plain text: what is wrong, since when, what users feel or will, what was done
    severity     info, minor, major, critical
    stage        predicted (users do not notice yet), active
    state        open, remediating, escalated, resolved
    team, assignee, labels {name: value}
    opened, breached, resolved            times
    breach       {earliest, expected, latest, chance, within_seconds}: when users are expected to notice, and
                 how likely that is within so many seconds (0 to 1); null when not foreseen
    lead_seconds from opening to breach; null while not breached
    escalation   why a person is asked; null when none is
    cause        {known, because, found, ranked: [{component, share, reasons, counterfactual}]}, the likeliest
                 first, at most 5; not known: the evidence is thin; null before it was looked for
    evidence     [{text, metric, kind, rule, severity, state, labels, since, score, observed, expected, lower,
                 upper, bound, log}], the most telling first, at most 20; numbers are in the metric's own unit
                 log: {pattern, template, lines, lines_per_second, lines_per_second_before}, of log lines
                 only; without secrets
    evidence_total   how many there are
    timeline     [{at, entity, from, to, by, text}], oldest first, the last 30: what happened, what was done
    related      [{how, problem, key, title, note, tickets: [{sink, ref, url}]}]: merged into, took in,
                 split from, gave, related
    similar      [{problem, key, title, score, because, fix}]: of the past, the most alike first, at most 5
    approval     {run, playbook, target, plan, needs, given, by, asked_by, expires, link}: the run that waits
                 for approval, and the link by which this ticket's readers decide; null when none waits
    links        {problem: URL of its page in the console, approval: that link}; empty when the console's
                 address is not known
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from aiops.core import log_shown, words
from aiops.core.notify import Notice
from aiops.model.cause import Causes
from aiops.model.lifecycle import AlertState, ProblemState, Stage
from aiops.model.problem import Problem
from aiops.model.series import NAME
from aiops.model.signal import Alert

VERSION = 1

MOST_EVIDENCE = 20
MOST_TIMELINE = 30
MOST_CAUSES = 5
IN_SUMMARY = 5
LONGEST = 2000
"""Characters of any one text: a playbook's output may be as long as it likes."""

_NUMBERS = ("score", "observed", "expected", "lower", "upper", "bound")
_TOLD_OF = ("problem", "run")


def body(notice: Notice, console: str = "", timeline: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The message's body, as above. The problem must be stored: its number is in the link.

    `console`: base URL of the console, without a slash at the end. `timeline`: the problem's rows of the
    audit trail (``at, actor, entity, from_state, to_state, reason``), oldest first.
    """
    problem = notice.problem
    told = [row for row in timeline if row["entity"] in _TOLD_OF][-MOST_TIMELINE:]
    alerts = sorted(problem.alerts, key=_telling, reverse=True)
    return {
        "version": VERSION,
        "reason": notice.reason.value,
        "said": moment(notice.at),
        "why": _short(notice.why),
        "key": problem.key,
        "problem": problem.id,
        "title": _short(problem.title),
        "summary": summary(problem, notice.at, told),
        **_standing(problem),
        "cause": _cause(problem.causes),
        "evidence": [_evidence(alert) for alert in alerts[:MOST_EVIDENCE]],
        "evidence_total": len(alerts),
        "timeline": [_happening(row) for row in told],
        # the store knows of others: `aiops.core.ticket_ties` and `ticket_approval` fill these in
        "related": [],
        "similar": [],
        "approval": None,
        "links": {"problem": f"{console}/problems/{problem.id}"} if console else {},
    }


def summary(problem: Problem, now: float, timeline: Sequence[Mapping[str, Any]] = ()) -> str:
    """What a person would write: a few sentences, then the evidence and what was done, a line each."""
    lines = [f"{_sentence(problem.title)} {_since(problem, now)}", _users(problem, now)]
    lines += _likely(problem.causes)
    alerts = sorted(problem.alerts, key=_telling, reverse=True)
    lines += ["", "Evidence:"] if alerts else []
    for alert in alerts[:IN_SUMMARY]:
        lines += [f"- {words.of_alert(alert)}{_cleared(alert)}", *log_shown.in_text(alert)]
    if len(alerts) > IN_SUMMARY:
        lines.append(f"- and {len(alerts) - IN_SUMMARY} more")
    done = [row for row in timeline if row["entity"] == "run"]
    if done:
        lines += ["", "What was done:"]
        lines += [f"- {_clock(row['at'])} {row['to_state']}: {_short(row['reason'])}" for row in done]
    if problem.state is ProblemState.ESCALATED:
        lines += ["", f"A person is needed: {problem.reason}."]
    return "\n".join(lines)


def moment(at: float) -> str | None:
    """RFC 3339 in UTC, to the millisecond; None for NaN."""
    if not math.isfinite(at):
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _standing(problem: Problem) -> dict[str, Any]:
    foreseen = math.isfinite(problem.breach_expected)
    return {
        "severity": problem.severity.value,
        "stage": problem.stage.value,
        "state": problem.state.value,
        "team": problem.team,
        "assignee": problem.assignee,
        "labels": {name: value for name, value in problem.labels if name != NAME},
        "opened": moment(problem.opened),
        "breached": moment(problem.breached),
        "resolved": moment(problem.resolved),
        "breach": {
            "earliest": moment(problem.breach_earliest),
            "expected": moment(problem.breach_expected),
            "latest": moment(problem.breach_latest),
            "chance": _number(problem.breach_chance),
            "within_seconds": _number(problem.breach_within),
        }
        if foreseen
        else None,
        "lead_seconds": _number(problem.lead_seconds),
        "escalation": problem.escalation.value if problem.escalation else None,
    }


def _cause(causes: Causes | None) -> dict[str, Any] | None:
    if causes is None:
        return None
    return {
        "known": causes.known,
        "because": causes.because,
        "found": moment(causes.at),
        "ranked": [
            {
                "component": one.component,
                "share": round(one.share, 3),
                "reasons": [_short(reason) for reason in one.reasons],
                "counterfactual": _short(one.counterfactual),
            }
            for one in causes.ranked[:MOST_CAUSES]
        ],
    }


def _likely(causes: Causes | None) -> list[str]:
    """The likely cause in a few lines, or that none is known."""
    if causes is None:
        return []
    if causes.lead is None:
        return ["", f"Likely cause: unknown; {causes.because}."]
    lead = causes.lead
    lines = ["", f"Likely cause: {lead.component}; {causes.because}."]
    lines += [f"- {_short(reason)}" for reason in lead.reasons]
    if lead.counterfactual:
        lines.append(f"- it {lead.counterfactual}")
    others = [one.component for one in causes.ranked[1:IN_SUMMARY] if one.reasons]
    return [*lines, f"Next in line: {', '.join(others)}."] if others else lines


def _evidence(alert: Alert) -> dict[str, Any]:
    return {
        "text": words.of_alert(alert),
        "metric": alert.metric,
        "kind": alert.kind.value,
        "rule": alert.rule,
        "severity": alert.severity.value,
        "state": alert.state.value,
        "labels": {name: value for name, value in alert.labels if name != NAME},
        "since": moment(alert.started),
        **{name: _number(float(getattr(alert, name))) for name in _NUMBERS},
        "log": log_shown.in_body(alert),
    }


def _happening(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "at": moment(row["at"]),
        "entity": row["entity"],
        "from": row["from_state"],
        "to": row["to_state"],
        "by": row["actor"],
        "text": _short(row["reason"]),
    }


def _since(problem: Problem, now: float) -> str:
    if problem.state is ProblemState.RESOLVED:
        lasted = words.duration(problem.resolved - problem.opened)
        return f"Resolved at {_clock(problem.resolved)} after {lasted}: {problem.reason}."
    started = min((a.started for a in problem.alerts), default=problem.opened)
    return f"Since {_clock(started)}, for {words.duration(max(0.0, now - started))} now."


def _users(problem: Problem, now: float) -> str:
    """What users feel, or when they will."""
    if problem.stage is Stage.ACTIVE and math.isfinite(problem.breached):
        lead = problem.lead_seconds
        seen = f", {words.duration(lead)} after this problem was opened" if lead > 0 else ""
        verb = "noticed" if problem.state is ProblemState.RESOLVED else "notice"
        return f"Users {verb} since {_clock(problem.breached)}{seen}."
    if problem.state is ProblemState.RESOLVED:
        return "Users did not notice."
    if not math.isfinite(problem.breach_expected):
        return "Users do not notice yet."
    left = words.duration(max(0.0, problem.breach_expected - now))
    span = ""
    if math.isfinite(problem.breach_earliest) and math.isfinite(problem.breach_latest):
        span = f" (between {_clock(problem.breach_earliest)} and {_clock(problem.breach_latest)})"
    text = f"Users do not notice yet; the limit is expected to be crossed in {left}{span}."
    if math.isfinite(problem.breach_chance) and math.isfinite(problem.breach_within):
        within = words.duration(problem.breach_within)
        text += f" It is {words.percent(problem.breach_chance)} likely within {within}."
    return text


def _cleared(alert: Alert) -> str:
    return " (cleared)" if alert.state is AlertState.RESOLVED else ""


def _telling(alert: Alert) -> tuple[bool, int, float, float]:
    return alert.state is AlertState.FIRING, alert.severity.level, alert.peak, -alert.started


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _sentence(text: str) -> str:
    text = _short(text) or "Something is wrong"
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None

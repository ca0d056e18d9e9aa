"""A ticket's summary in another language than English, from its data (`aiops.core.ticket`).

Free text stays as it was said: reasons of causes, what a playbook printed, log lines.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from aiops.core import words
from aiops.model.series import NAME, labels_of

Translate = Callable[[str], str]
"""English text -> the same in a language."""

IN_SUMMARY = 5


def english(text: str) -> str:
    return text


def title_of(body: Mapping[str, Any], tr: Translate) -> str:
    """One line: the most telling evidence; the problem's own title where that is not of a known form."""
    evidence = body["evidence"]
    return _evidence(evidence[0], tr) if evidence else str(body["title"])


def summary_of(body: Mapping[str, Any], now: float, tr: Translate) -> str:
    """What `aiops.core.ticket` says in English."""
    lines = [_standing(body, now, tr), _users(body, now, tr), *_cause(body["cause"], tr)]
    lines += ["", tr("Evidence:")] if body["evidence"] else []
    for one in body["evidence"][:IN_SUMMARY]:
        cleared = " " + tr("(cleared)") if one["state"] == "resolved" else ""
        lines.append(f"- {_evidence(one, tr)}{cleared}")
    if body["evidence_total"] > IN_SUMMARY:
        lines.append("- " + tr("and {count} more").format(count=body["evidence_total"] - IN_SUMMARY))
    done = [one for one in body["timeline"] if one["entity"] == "run"]
    lines += ["", tr("What was done:")] if done else []
    lines += [f"- {_clock(one['at'])} {tr(one['to'])}: {one['text']}" for one in done]
    if body["state"] == "escalated":
        lines += ["", tr("A person is needed: {reason}.").format(reason=tr(body["escalation"] or ""))]
    return "\n".join(lines + _others(body, tr) + approval_lines(body.get("approval"), tr))


def approval_lines(approval: Mapping[str, Any] | None, tr: Translate) -> list[str]:
    """What waits for approval: what it would do, and until when it waits."""
    if approval is None:
        return []
    text = tr("{playbook} on {target} waits for approval until {end}, {given} of {needs} given; it would:")
    said = text.format(
        playbook=approval["playbook"],
        target=approval["target"],
        end=_clock(approval["expires"] or ""),
        given=len(approval["given"]),
        needs=approval["needs"],
    )
    return ["", said, *(f"- {step}" for step in approval["plan"])]


def _standing(body: Mapping[str, Any], now: float, tr: Translate) -> str:
    title = title_of(body, tr)
    if body["state"] == "resolved" and body["resolved"]:
        lasted = _duration(_seconds(body["resolved"]) - _seconds(body["opened"]), tr)
        text = tr("{title}. Resolved at {end} after {lasted}: {reason}.")
        return text.format(title=title, end=_clock(body["resolved"]), lasted=lasted, reason=tr(body["why"]))
    start = min((one["since"] for one in body["evidence"] if one["since"]), default=body["opened"])
    lasted = _duration(max(0.0, now - _seconds(start)), tr)
    return tr("{title}. Since {start}, for {lasted} now.").format(
        title=title, start=_clock(start), lasted=lasted
    )


def _users(body: Mapping[str, Any], now: float, tr: Translate) -> str:
    over = body["state"] == "resolved"
    if body["breached"]:
        start = _clock(body["breached"])
        if over:
            return tr("Users noticed since {start}.").format(start=start)
        if not body["lead_seconds"]:
            return tr("Users notice since {start}.").format(start=start)
        text = tr("Users notice since {start}, {lead} after this problem was opened.")
        return text.format(start=start, lead=_duration(body["lead_seconds"], tr))
    if over:
        return tr("Users did not notice.")
    breach = body["breach"]
    if not breach:
        return tr("Users do not notice yet.")
    left = _duration(max(0.0, _seconds(breach["expected"]) - now), tr)
    if not (breach["earliest"] and breach["latest"]):
        text = tr("Users do not notice yet; the limit is expected to be crossed in {left}.")
        return text.format(left=left) + _likely(breach, tr)
    text = tr(
        "Users do not notice yet; the limit is expected to be crossed in {left} "
        "(between {earliest} and {latest})."
    )
    said = text.format(left=left, earliest=_clock(breach["earliest"]), latest=_clock(breach["latest"]))
    return said + _likely(breach, tr)


def _likely(breach: Mapping[str, Any], tr: Translate) -> str:
    """How likely the breach is, where that is known."""
    if breach.get("chance") is None or breach.get("within_seconds") is None:
        return ""
    within = _duration(breach["within_seconds"], tr)
    return tr(" It is {chance} likely within {within}.").format(
        chance=words.percent(breach["chance"]), within=within
    )


def _cause(cause: Mapping[str, Any] | None, tr: Translate) -> list[str]:
    if cause is None:
        return []
    if not cause["known"] or not cause["ranked"]:
        return ["", tr("Likely cause: unknown.")]
    lead, *others = cause["ranked"]
    lines = ["", tr("Likely cause: {component}.").format(component=lead["component"])]
    lines += [f"- {reason}" for reason in lead["reasons"]]
    names = ", ".join(one["component"] for one in others if one["reasons"])
    return [*lines, tr("Next in line: {components}.").format(components=names)] if names else lines


def _others(body: Mapping[str, Any], tr: Translate) -> list[str]:
    lines: list[str] = []
    text = tr("problem {number}: {title}")
    for heading, key in (("Related:", "related"), ("Similar before:", "similar")):
        rows = body.get(key) or []
        lines += ["", tr(heading)] if rows else []
        for row in rows[:IN_SUMMARY]:
            fix = tr("what ended it: {fix}").format(fix=row["fix"]) if row.get("fix") else ""
            said = text.format(number=row["problem"], title=row["title"])
            lines.append(f"- {said}{'; ' if fix else ''}{fix}")
    return lines


def _evidence(one: Mapping[str, Any], tr: Translate) -> str:
    metric, name = str(one["metric"]), words.subject(labels_of({**one["labels"], NAME: one["metric"]}))
    known = {
        key: _number(one[key], metric, tr) for key in ("observed", "expected", "lower", "upper", "bound")
    }
    kind = {
        "limit": "{name} is {seen}, past its limit of {bound}",
        "forecast": "{name} is {seen} and will cross {bound}",
        "sli": "users notice: {rule} is {seen}, its objective is {bound}",
        "burn": "{rule} has spent {spent} of its error budget",
        "silence": "{name} stopped reporting",
        "anomaly": "{name} is {seen}, expected {low} to {high}",
    }.get(one["kind"])
    if kind is None:
        return str(one["text"])
    if one["kind"] == "anomaly" and (one["lower"] is None or one["upper"] is None):
        kind = "{name} is {seen}, expected about {expected}"
    return tr(kind).format(
        name=name,
        rule=one["rule"],
        seen=known["observed"],
        spent=_number(one["observed"], "ratio", tr),
        low=known["lower"],
        high=known["upper"],
        bound=known["bound"],
        expected=known["expected"],
    )


def _number(value: float | None, metric: str, tr: Translate) -> str:
    if value is None:
        return tr("no value")
    text = words.number(value, metric)
    return _units(text, tr) if metric.endswith("seconds") else text


def _duration(seconds: float, tr: Translate) -> str:
    return _units(words.duration(seconds), tr) if math.isfinite(seconds) else ""


def _units(text: str, tr: Translate) -> str:
    return re.sub(r"(?<=\d) (?:d|h|min|s)\b", lambda m: tr(m[0]), text)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _clock(moment: str) -> str:
    """As in the English summary: ``2026-01-01 00:00:00 UTC``."""
    return f"{moment[:10]} {moment[11:19]} UTC"

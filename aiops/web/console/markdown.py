"""A problem as Markdown, to be pasted into a chat or a review."""

import re
from collections.abc import Mapping
from typing import Any

from aiops.core.words import number
from aiops.web.console.timeline import entries
from aiops.web.console.words import headline, metric, plain, shown_labels
from aiops.web.language import gettext as _
from aiops.web.language import ngettext
from aiops.web.sentences import told
from aiops.web.times import stamp

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#])")
LINES = 40
"""Of the timeline, the latest."""


def problem_text(problem: Mapping[str, Any], now: float, url: str) -> str:
    """`problem` as `whole_problem` gives it; `url` leads to its page."""
    lines = [
        f"# {_safe(told(problem['title']))}",
        "",
        f"{headline(problem, now)} [{_('Problem %(id)s') % {'id': problem['id']}}]({url})",
        "",
    ]
    facts = {
        _("State"): ", ".join(plain(problem[one]) for one in ("state", "stage", "severity")),
        _("Opened"): stamp(problem["opened"]),
        _("Users notice since"): stamp(problem["breached"]),
        _("Breach foreseen"): stamp(problem["breach_expected"]) if problem["breached"] is None else "",
        _("Resolved"): stamp(problem["resolved"]),
        _("Assigned to"): problem["assignee"],
        _("Labels"): ", ".join(f"{name}={value}" for name, value in shown_labels(problem["labels"])),
        _("Tickets"): ", ".join(f"{one['ref']} in {one['sink']}" for one in problem["tickets"]),
    }
    lines += [f"- **{name}:** {_safe(value)}" for name, value in facts.items() if value]
    lines += _causes(problem["causes"])
    lines += ["", f"## {_('Evidence')}", ""] + [f"- {_evidence(one)}" for one in problem["alerts"]]
    if (left := problem["alerts_in_all"] - len(problem["alerts"])) > 0:
        lines.append(f"- {ngettext('%(num)s more alert', '%(num)s more alerts', left) % {'num': left}}")
    if problem["similar"]:
        lines += ["", f"## {_('Similar before')}", ""]
        lines += [
            f"- #{one['id']} {_safe(told(one['title']))} ({one['score']:.0%}: {_safe(told(one['because']))})"
            + (f"; {_('Ended')}: {_safe(told(one['fix']))}" if one["fix"] else "")
            for one in problem["similar"]
        ]
    lines += ["", f"## {_('Timeline')}", ""]
    for entry in entries(problem)[:LINES][::-1]:
        said = " ".join(filter(None, (entry.what, entry.state, entry.by)))
        lines.append(
            f"- {stamp(entry.at)} {_safe(f'{said}: {told(entry.text)}' if said else told(entry.text))}"
        )
    return "\n".join(lines) + "\n"


def _causes(causes: Mapping[str, Any] | None) -> list[str]:
    if causes is None:
        return []
    lines = ["", f"## {_('Likely cause')}", ""]
    if not causes["known"]:
        return [*lines, f"{_('Unknown')}: {_safe(told(causes['because']))}"]
    for one in causes["ranked"][:3]:
        reasons = "; ".join(map(told, one["reasons"]))
        if reasons:
            lines.append(f"1. **{_safe(one['component'])}**: {_safe(reasons)}")
    return lines


def _evidence(alert: Mapping[str, Any]) -> str:
    name = metric(alert["labels"]) or alert["rule"]
    seen = "" if alert["observed"] is None else f" {number(alert['observed'], name)}"
    why = told(alert["reason"] or alert["rule"])
    return _safe(f"{name}{seen} ({plain(alert['kind'])}, {plain(alert['state'])}): {why}")


def _safe(text: str) -> str:
    """Nothing that somebody else wrote becomes a heading, a link or markup."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))

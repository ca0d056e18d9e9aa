"""How one sink wants its tickets: language, texts of one's own, and fields that may not be empty.

`dress` adds to the body of `aiops.core.ticket`:

    queue        where in the sink's system, as the route says; empty for its own
    gathered     titles of problems that this ticket stands for as well, since a storm brought too many
    missing      fields that are required and yet empty
    plots        [{title, metric, bound, times, observed, lower, upper}] of the most telling evidence
    text         what a person reads, when a template says it; else empty
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiops.core.templates import MAX_VALUE, BadTemplate, render
from aiops.core.ticket_words import Translate, english, summary_of, title_of
from aiops.core.told import Notice

log = logging.getLogger("aiops.ticket")

LISTED = 20
"""Titles of gathered problems in a summary."""


@dataclass(frozen=True, slots=True)
class Style:
    """Of one sink. `title` and `text` are templates over `problem`, the body; empty for the usual."""

    title: str = ""
    text: str = ""
    translate: Translate = english
    defaults: Mapping[str, str] = field(default_factory=dict)
    """Path in the body, such as ``labels.service`` -> what stands there when it is empty."""
    required: Sequence[str] = ()
    """Paths that are reported as missing when they are empty."""


PLAIN = Style()


def dress(
    body: dict[str, Any], notice: Notice, style: Style = PLAIN, plots: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """`body` as the notice's sink is to get it. Never fails: a template that does is left out, and logged."""
    tr = style.translate
    made = {
        **body,
        "queue": notice.queue,
        "gathered": list(notice.gathered),
        "plots": list(plots),
        "text": "",
    }
    if tr is not english:
        made["title"], made["summary"] = title_of(body, tr), summary_of(body, notice.at, tr)
    for path, value in style.defaults.items():
        _fill(made, path.split("."), value)
    made["missing"] = [path for path in style.required if not _found(made, path.split("."))]
    made["title"] = _storm_title(str(made["title"]) or f"Problem {body['problem']}", notice, tr)
    made["summary"] = "\n".join([str(made["summary"]), *_more(made, tr)])
    made["title"] = _rendered(style.title, made, "title") or made["title"]
    made["text"] = _rendered(style.text, made, "text")
    if made["missing"]:
        log.warning("the ticket of problem %s lacks %s", body["problem"], ", ".join(made["missing"]))
    return made


def _storm_title(title: str, notice: Notice, tr: Translate) -> str:
    if notice.gathered:
        text = tr("Storm: {count} problems more, the first of them: {title}")
        return text.format(count=len(notice.gathered), title=title)
    if notice.gathers:
        return tr("Storm: further problems are gathered here, the first of them: {title}").format(title=title)
    return title


def _more(body: Mapping[str, Any], tr: Translate) -> list[str]:
    lines: list[str] = []
    if titles := body["gathered"]:
        text = tr("This ticket stands for {count} problems more of the same storm:")
        lines += ["", text.format(count=len(titles)), *(f"- {title}" for title in titles[:LISTED])]
        if len(titles) > LISTED:
            lines.append("- " + tr("and {count} more").format(count=len(titles) - LISTED))
    if body["missing"]:
        text = tr("Not known, though it should be: {fields}.")
        lines += ["", text.format(fields=", ".join(body["missing"]))]
    return lines


def _rendered(template: str, body: Mapping[str, Any], what: str) -> str:
    if not template:
        return ""
    try:
        return render(template, {"problem": _within(body)}).strip()
    except BadTemplate as why:
        log.warning("the %s of a ticket of problem %s is the usual one: %s", what, body["problem"], why)
        return ""


def _within(value: Any) -> Any:
    """A copy in which no text is longer than a template may see."""
    if isinstance(value, str):
        return value if len(value) <= MAX_VALUE else value[: MAX_VALUE - 1] + "…"
    if isinstance(value, Mapping):
        return {key: _within(inner) for key, inner in value.items() if key != "plots"}
    return [_within(inner) for inner in value] if isinstance(value, list) else value


def _found(body: Mapping[str, Any], path: Sequence[str]) -> Any:
    found: Any = body
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _fill(body: dict[str, Any], path: Sequence[str], value: str) -> None:
    """`value` at `path` when there is nothing; the blocks on the way are copied, since the body is shared."""
    if _found(body, path):
        return
    for name in path[:-1]:
        inner = body.get(name)
        body[name] = dict(inner) if isinstance(inner, Mapping) else {}
        body = body[name]
    body[path[-1]] = value

"""What a ticket says of a run that waits for approval, and the link by which its readers decide.

`with_approval` fills in the body's ``approval``:

    approval     {run, playbook, target, plan, needs, given, by, asked_by, expires, link}: the run that waits,
                 what each of its steps would do, how many have to approve, who has and who may (empty:
                 anybody who may act), who asked for it by hand, until when it waits, and the link for this
                 ticket's readers; null when no run waits
"""

from collections.abc import Mapping
from typing import Any

from aiops.core.ticket import moment
from aiops.core.ticket_words import approval_lines, english


def with_approval(body: dict[str, Any], waiting: Mapping[str, Any] | None) -> dict[str, Any]:
    """`body` of `aiops.core.ticket` with what waits for approval; `waiting` as the store gives it."""
    if waiting is None:
        return body
    approval = {**waiting, "expires": moment(waiting["expires"]), "link": None}
    lines = approval_lines(approval, english)
    return body | {"approval": approval, "summary": "\n".join([body["summary"], *lines])}


def with_link(body: dict[str, Any], link: str) -> dict[str, Any]:
    """`body` as it is sent: the link in its approval, its links and its texts. It is never stored so."""
    approval = {**body["approval"], "link": link}
    line = f"Approve or refuse: {link}"
    made = body | {"approval": approval, "links": {**body["links"], "approval": link}}
    made["summary"] = f"{body['summary']}\n{line}"
    if body.get("text"):
        made["text"] = f"{body['text']}\n{line}"
    return made

"""What a ticket says of other problems: those tied to this one, and those of the past that were like it."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiops.core import words

IN_SUMMARY = 3


def with_others(
    body: dict[str, Any], tied: Sequence[Mapping[str, Any]], alike: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """`body` of `aiops.core.ticket`, with ``related``, ``similar``, and a few lines more in its summary.

    Rows as the store gives them: `tied` with ``how, id, key, title, note, tickets``; `alike` with ``id, key,
    title, score, because, fix, opened, resolved``.
    """
    related = [{name: row[name] for name in ("how", "key", "title", "note", "tickets")} for row in tied]
    similar = [{name: row[name] for name in ("key", "title", "score", "because", "fix")} for row in alike]
    for made, rows in ((related, tied), (similar, alike)):
        for one, row in zip(made, rows, strict=True):
            one["problem"] = row["id"]
    lines = _tied(tied) + _alike(alike)
    text = "\n".join([body["summary"], *lines]) if lines else body["summary"]
    return body | {"summary": text, "related": related, "similar": similar}


def _tied(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return []
    lines = ["", "Related:"]
    for row in rows:
        refs = ", ".join(f"{one['ref']} in {one['sink']}" for one in row["tickets"])
        lines.append(f"- {row['how']} problem {row['id']}: {row['title']}{f' ({refs})' if refs else ''}")
    return lines


def _alike(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return []
    lines = ["", "Similar before:"]
    for row in rows[:IN_SUMMARY]:
        took = row["resolved"] - row["opened"] if row["resolved"] is not None else None
        ended = (
            f"; over after {words.duration(took)}: {row['fix']}" if took is not None and row["fix"] else ""
        )
        lines.append(f"- problem {row['id']}, {row['score']:.0%} alike ({row['because']}){ended}")
    return lines

"""Rows of the past that stand beside its problems and alerts: what was told, tried and said."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from tests.bench.console_past import NOW, SERVICES, SPAN, Past

Rows: TypeAlias = Iterator[tuple[str, str, Iterable[tuple[Any, ...]]]]
"""(table, its columns, rows)."""


def told(past: Past) -> Rows:
    """Three deliveries a problem, each tried once; one in 300 was given up."""
    body = json.dumps({"title": "request duration", "text": "what the ticket system was told " * 30})
    every = range(past.problems * 3)

    def when(n: int) -> float:
        return float(past.opened[n // 3]) + 5 * (n % 3)

    yield (
        "delivery",
        "id problem_id sink seq reason body message_id state attempts said due sent",
        (
            (
                *(n + 1, n // 3 + 1, "itsm", n % 3 + 1, ("opened", "updated", "resolved")[n % 3], body),
                *(f"msg-{n}", "dead" if n % 300 == 0 else "sent", 1, when(n), when(n)),
                None if n % 300 == 0 else when(n) + 0.2,
            )
            for n in every
        ),
    )
    yield (
        "attempt",
        "delivery_id at seconds ok error",
        ((n + 1, when(n), 0.1, n % 300 > 0, "") for n in every),
    )
    columns = "problem_id sink ref url state created updated"
    yield (
        "ticket",
        columns,
        (
            (i + 1, "itsm", f"INC{i:07d}", f"https://itsm.example/{i}", "open", past.opened[i], NOW)
            for i in range(past.problems)
        ),
    )


def tried(past: Past) -> Rows:
    """A run on every third problem; the last twenty wait for a person."""
    runs = range(past.problems // 3)
    text = "playbook: restart\nmatch: 'true'\nsteps:\n  - go: {action: command, argv: [/bin/true]}\n"
    yield "playbook_revision", "revision playbook text seen", [("r1", "restart", text, NOW - SPAN)]
    yield (
        "run",
        "id problem_id playbook revision target state autonomy dry_run queued started ended reason",
        (_run(past, n, n >= len(runs) - 20) for n in runs),
    )
    yield (
        "step",
        "run_id number name phase plan started ended ok output",
        (
            (
                n + 1,
                k,
                "go",
                ("precheck", "step", "verify")[k],
                "command /bin/true",
                NOW,
                NOW,
                True,
                "done\n" * 20,
            )
            for n in runs
            for k in range(3)
        ),
    )


def _run(past: Past, n: int, waits: bool) -> tuple[Any, ...]:
    at = float(past.opened[3 * n]) + 30
    state = "awaiting_approval" if waits else ("succeeded", "succeeded", "failed")[n % 3]
    ended = None if waits else at + 20
    row = (n + 1, 3 * n + 1, "restart", "r1", past.service(3 * n), state, "approve", False)
    return (*row, at, None if waits else at + 2, ended, "" if waits else "verified")


def said(past: Past) -> Rows:
    """Causes, likeness, marks, changes, log patterns, silences."""
    every = range(past.problems)
    ranked = [
        {
            "component": f"c{k}",
            "score": 3.0 - k,
            "share": 0.5,
            "reasons": ["began first"] * 3,
            "counterfactual": "",
        }
        for k in range(5)
    ]
    yield (
        "cause",
        "problem_id at known because ranked",
        ((i + 1, past.opened[i], True, "c0 began first", json.dumps(ranked)) for i in every),
    )
    yield (
        "likeness",
        "problem_id other_id score because",
        (
            (i + 1, i + 1 - k * SERVICES, 1 / k, "same service")
            for i in every
            for k in (1, 2, 3)
            if i >= k * SERVICES
        ),
    )
    yield (
        "mark",
        "problem_id problem_key verdict note made made_by evidence",
        (
            (i + 1, f"fw-{i}", "true" if i % 50 else "false", "", past.opened[i], "ana", "{}")
            for i in every[::25]
        ),
    )
    yield (
        "change",
        "time kind title source labels detail",
        ((float(past.opened[i]), "deploy", f"deploy {i}", "ci", "{}", "{}") for i in every[::10]),
    )
    yield (
        "log_template",
        "name text level lines first_seen last_seen",
        (
            (f"t{n}", f"connection {n} to <*> refused after <*> ms", "error", n, NOW - SPAN, NOW)
            for n in range(20_000)
        ),
    )
    yield (
        "silence",
        "match starts ends reason created_by created",
        (
            (f'{{service="s{n}"}}', NOW - SPAN, NOW + 60 if n % 20 == 0 else NOW - 60, "works", "ana", NOW)
            for n in range(1000)
        ),
    )

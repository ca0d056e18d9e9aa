"""What the console draws and tells, without a server: maps, bars, timelines, Markdown."""

import math
import re
from typing import Any

from aiops.core.topology import Topology
from aiops.web.console.bars import lead_bars
from aiops.web.console.map import BOX, MOST, STEP_X, drawn, neighbourhood
from aiops.web.console.markdown import problem_text
from aiops.web.console.timeline import entries

NOW = 1_767_225_600.0
CALLS = [("proxy", "app"), ("app", "db"), ("app", "cache"), ("proxy", "static")]


def test_callers_stand_left_of_what_they_call() -> None:
    names = {name for call in CALLS for name in call}
    found = drawn(CALLS, names, {"db": ("critical", 4)}, ["app"])
    x = {node.name: node.x for node in found.nodes}
    assert all(x[callee] > x[caller] for caller, callee in CALLS)
    assert x["app"] - x["proxy"] == STEP_X
    (ill,) = [node for node in found.nodes if node.problem]
    assert (ill.name, ill.tone, ill.problem) == ("db", "critical", 4)
    assert [node.name for node in found.nodes if node.centre] == ["app"]
    assert all(node.x + BOX <= found.width and node.y <= found.height for node in found.nodes)
    assert len({(node.x, node.y) for node in found.nodes}) == len(found.nodes)


def test_cycles_are_drawn_and_end() -> None:
    found = drawn([("a", "b"), ("b", "c"), ("c", "a")], ["a", "b", "c"], {})
    assert len(found.nodes) == 3
    assert len(found.edges) == 3


def test_of_too_many_those_in_trouble_are_drawn() -> None:
    names = [f"n{i:03}" for i in range(MOST + 50)]
    found = drawn([(names[0], one) for one in names[1:]], names, {names[-1]: ("major", 1)})
    assert (len(found.nodes), found.left_out) == (MOST, 50)
    assert names[-1] in {node.name for node in found.nodes}


def test_the_neighbourhood_of_what_stands_alone_is_nothing() -> None:
    assert neighbourhood(Topology(CALLS), ["elsewhere"], {}) is None
    found = neighbourhood(Topology(CALLS), ["db", "elsewhere"], {})
    assert found is not None
    assert {node.name for node in found.nodes} == {"db", "app", "proxy", "cache"}


def test_lead_times_fall_into_their_bars() -> None:
    assert lead_bars([]) == []
    assert lead_bars([math.nan]) == []
    bars = {bar.name: bar.count for bar in lead_bars([0.0, 0.0, 45.0, 299.0, 7200.0, 1e6, math.nan])}
    assert bars == {
        "silent": 2,
        "< 1 min": 1,
        "1-5 min": 1,
        "5-15 min": 0,
        "15-30 min": 0,
        "30-60 min": 0,
        "1-4 h": 1,
        "4-24 h": 0,
        "> 1 d": 1,
    }


def row(
    at: float, entity: str, to: str, reason: str, was: str = "", actor: str = "forewarn"
) -> dict[str, Any]:
    return {
        "at": at,
        "entity": entity,
        "entity_id": "7",
        "from_state": was,
        "to_state": to,
        "reason": reason,
        "actor": actor,
    }


def a_problem() -> dict[str, Any]:
    step = {
        "name": "restart",
        "phase": "step",
        "plan": "restart nginx",
        "started": NOW + 20,
        "ended": NOW + 22,
    }
    return {
        "id": 4,
        "title": "load <b>is</b> *high*",
        "state": "open",
        "stage": "predicted",
        "severity": "major",
        "opened": NOW,
        "breached": None,
        "breach_expected": None,
        "breach_earliest": None,
        "breach_latest": None,
        "resolved": None,
        "assignee": "ana",
        "labels": {"service": "web"},
        "tickets": [],
        "causes": None,
        "alerts": [
            {
                "labels": {"__name__": "load"},
                "rule": "r",
                "observed": 3.0,
                "kind": "anomaly",
                "state": "firing",
                "reason": "",
            }
        ],
        "alerts_in_all": 3,
        "similar": [
            {
                "id": 2,
                "title": "load",
                "score": 0.83,
                "because": "same metric load",
                "fix": "playbook restart",
            }
        ],
        "timeline": [
            row(NOW, "problem", "open", "load is high", "new"),
            row(NOW + 30, "delivery", "sent", "opened", "due"),
            row(NOW + 40, "problem", "open", "looking | at it", "open", "ana"),
        ],
        "runs": [{"id": 7, "dry_run": False, "steps": [step | {"ok": True}]}],
    }


def test_transitions_deliveries_and_steps_are_one_story() -> None:
    told = [(one.at - NOW, one.what, one.state, one.by) for one in entries(a_problem())]
    assert told == [
        (40, "", "", "ana"),
        (30, "delivery 7", "sent", ""),
        (22, "run 7", "step restart done", ""),
        (0, "", "open", ""),
    ]


def test_markdown_tells_it_and_takes_no_markup_from_others() -> None:
    text = problem_text(a_problem(), NOW + 60, "http://x/problems/4")
    assert text.startswith("# load \\<b\\>is\\</b\\> \\*high\\*\n")
    assert "[Problem 4](http://x/problems/4)" in text
    assert "- #2 load (83%: same metric load); Ended: playbook restart" in text
    assert "\n- 2 more alerts\n" in text
    assert "ana: looking \\| at it" in text
    assert re.search(r"2026-01-01 00:00:22 UTC run 7 step restart done: restart nginx", text)

"""Sessions whose counts are unlike those of the others."""

import json
import random
from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError

from aiops.config.models import Logs as Settings
from aiops.core.log_evidence import witnesses
from aiops.core.log_sessions import LEAST, MOST, Open, SessionKeys, Sessions
from aiops.core.logs import Logs
from aiops.model.frame import Lines
from aiops.model.series import NAME, SeriesIndex, labels_of
from aiops.model.signal import Alert, AlertKind, Severity, Signal

SHOP = labels_of({"service": "shop"})
A_DAY = 8640.0


def learnt(sessions: int = 600) -> Sessions:
    made, rng = Sessions(6, A_DAY), random.Random(4)
    for n in range(sessions):
        lines = Counter({1: 1, 2: rng.randint(2, 4), **({3: 1} if n % 5 == 0 else {})})
        made.take({f"s{n}": Open(SHOP, n, lines)})
        assert [one.score for one in made.end(n + 6)] in ([], [0.0])
    return made


def test_a_session_of_far_too_many_lines_stands_out_by_itself_and_is_not_learnt() -> None:
    made = learnt()
    for n in (700, 701):
        made.take({f"bad{n}": Open(SHOP, n, Counter({1: 1, 2: 60}))})
        (found,) = made.end(n + 6)
        assert (found.key, found.labels, found.ident, found.observed) == (f"bad{n}", SHOP, 2, 60.0)
        assert found.expected == pytest.approx(3.0, rel=0.1)
        assert found.score > 12
        assert found.odd


def test_a_number_that_few_sessions_had_is_odd_and_no_more() -> None:
    made = learnt()
    made.take(
        {"usual": Open(SHOP, 700, Counter({1: 1, 2: 3})), "odd": Open(SHOP, 700, Counter({1: 1, 2: 6}))}
    )
    assert {one.key: (one.odd, one.score) for one in made.end(706)} == {
        "usual": (False, 0.0),
        "odd": (True, 0.0),
    }


def test_nothing_is_said_before_enough_sessions_are_known() -> None:
    made = learnt(LEAST - 1)
    made.take({"bad": Open(SHOP, 700, Counter({2: 500}))})
    assert made.end(706) == []


def test_a_session_goes_on_until_it_was_idle_and_there_are_at_most_so_many() -> None:
    made = learnt()
    made.take({"long": Open(SHOP, 700, Counter({2: 30}))})
    assert made.end(705) == []
    made.take({"long": Open(SHOP, 705, Counter({2: 30}))})
    assert made.end(710) == []
    assert [one.observed for one in made.end(711)] == [60.0]
    made.take({str(n): Open(SHOP, 800, Counter({1: 1})) for n in range(MOST + 3)})
    assert [one.key for one in made.end(801)] == ["0", "1", "2"]


def test_merged_templates_are_counted_together_and_a_snapshot_holds_all() -> None:
    made = learnt()
    made.take({"open": Open(SHOP, 700, Counter({1: 1, 3: 2}))})
    made.forget(3, 1)
    again = Sessions(6, A_DAY)
    again.restore(json.loads(json.dumps(made.snapshot())))
    assert again.snapshot() == made.snapshot()
    (one,), (other,) = made.end(706), again.end(706)
    assert one == other
    assert not any(3 in session[3] for session in made.snapshot()["open"])


def test_the_key_is_the_last_group_of_the_pattern_or_all_of_it() -> None:
    steps = np.array([5.0, 6.0, 7.0])
    text = ["put blk_-12 to a", "nothing here", "put blk_-12 to b"]
    for pattern, key in ((r"blk_-?\d+", "blk_-12"), (r"blk_(-?\d+)", "-12")):
        found = SessionKeys(pattern).of(SHOP, steps, [1, 2, 3], text)
        assert found == {key: Open(SHOP, 7, Counter({1: 1, 3: 1}))}
    assert SessionKeys("").of(SHOP, steps, [1, 2, 3], text) == {}
    with pytest.raises(ValidationError, match="bad regular expression"):
        Settings.model_validate({"session": "("})


def signals_of(logs: Logs, until: float) -> list[Signal]:
    logs.commit("shop", until)
    return [signal for row in logs.close("shop", until) for signal in row.signals]


def test_sessions_in_lines_become_findings_with_the_pattern_and_no_secrets() -> None:
    settings = Settings.model_validate({"session": r"job=(\S+)", "warm_up_lines": 10, "warm_up_time": "10s"})
    logs, rng = Logs(SeriesIndex(), settings.miner, settings), random.Random(1)
    found: list[Signal] = []
    for step in range(450):
        now = 1e9 + step * 10
        text = [f"INFO job={step}{x} step {n} done" for x in "abcdef" for n in range(rng.randint(1, 3))]
        if step == 400:
            text += [f"INFO job=ann@example.com step {n} done" for n in range(80)]
        if 420 <= step < 440:  # odd ones, none of which says much, and no more lines than ever
            text = [f"INFO job={step}{x} step {n} done" for x in "ab" for n in range(6)]
        logs.take("shop", Lines(SHOP, np.full(len(text), now), text))
        found += signals_of(logs, now + 10)
    alone = [signal for signal in found if signal.rule == "odd session"]
    assert [(s.kind, s.severity, s.observed, dict(s.labels)[NAME]) for s in alone] == [
        (AlertKind.LOG, Severity.MINOR, 80.0, "log_session_lines")
    ]
    assert dict(alone[0].labels)["session"] == "***@***"
    assert alone[0].examples[0] == "INFO job=<*> step <*> done"
    assert alone[0].expected == pytest.approx(2.0, rel=0.2)
    assert "burst of odd sessions" in {signal.rule for signal in found}
    alerts = [Alert(s.kind, s.labels, 0.0, s.rule, source="shop") for s in found]
    assert witnesses(alerts) == 1

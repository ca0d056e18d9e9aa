"""Which bursts and anomalies of a log source's rates are told of, and how much they prove together."""

import json

import numpy as np
import pytest

from aiops.core.log_bursts import LINGER, Bursts, Key, Voices
from aiops.core.log_evidence import stream_of, witnesses
from aiops.core.log_source import ERRORS, TOTAL
from aiops.model.series import NAME, labels_of
from aiops.model.signal import Alert, AlertKind

WEB, DB = labels_of({"service": "web"}), labels_of({"service": "db"})
RNG = np.random.default_rng(5)


def alert(metric: str, source: str = "logs", **labels: str) -> Alert:
    return Alert(AlertKind.LOG, labels_of({NAME: metric, "service": "web", **labels}), 0.0, source=source)


def test_alerts_on_one_stream_are_one_witness() -> None:
    stream = [
        alert("log_lines_per_second"),
        alert("log_error_lines_per_second"),
        alert("log_pattern_lines_per_second", template="t1"),
    ]
    assert witnesses(stream) == 1
    assert witnesses([*stream, alert("log_lines_per_second", source="other")]) == 2
    assert witnesses([*stream, alert("cpu_ratio"), alert("load")]) == 3
    assert witnesses([]) == 0
    assert stream_of(stream[2].labels) == WEB


def test_a_voice_stays_with_what_it_began_with_until_that_is_long_over() -> None:
    voices = Voices()
    one, two, other = (WEB, 1), (WEB, 2), (DB, 3)
    light, heavy = (False, True, 1.0), (False, True, 2.0)
    assert sorted(voices.choose({one: light, two: heavy, other: light})) == [(DB, 3), (WEB, 2)]
    assert voices.choose({one: (False, True, 9.0), two: heavy}) == [two]
    for _ in range(LINGER):
        assert voices.choose({one: heavy}) == []
    assert voices.choose({one: heavy}) == [one]


def test_what_is_grave_takes_the_word_from_what_is_not_and_never_from_what_is() -> None:
    voices = Voices()
    one, two, three = (WEB, 1), (WEB, 2), (WEB, 3)
    assert voices.choose({one: (False, True, 5.0)}) == [one]
    assert voices.choose({two: (True, True, 2.0)}) == [two]
    assert voices.choose({three: (True, True, 9.0)}) == []


def learnt(means: dict[Key, float], steps: int = 300) -> Bursts:
    bursts = Bursts(10.0)
    for key in means:
        bursts.watch(key)
    for _ in range(steps):
        assert bursts.step({key: float(RNG.poisson(mean)) for key, mean in means.items()}) == []
    return bursts


def test_what_counts_bear_out_is_credible_both_ways() -> None:
    means = {(WEB, TOTAL): 30.0, (WEB, ERRORS): 3.0, (WEB, 1): 0.05}
    bursts = learnt(means)
    # a single line of a rare template is a great change of its rate, and no evidence
    bursts.step({(WEB, TOTAL): 30.0, (WEB, ERRORS): 3.0, (WEB, 1): 1.0})
    assert bursts.credible == set()
    for _ in range(3):
        bursts.step({(WEB, TOTAL): 55.0, (WEB, ERRORS): 3.0})
    assert bursts.credible == {(WEB, TOTAL)}
    silent = learnt(means)
    for _ in range(2):
        silent.step({(WEB, TOTAL): 4.0})
    assert (WEB, TOTAL) in silent.credible


def test_a_burst_says_how_many_lines_there_were_and_how_many_were_due() -> None:
    key = (WEB, 7)
    bursts = learnt({key: 5.0})
    found = [bursts.step({key: 40.0}) for _ in range(3)][-1]
    (burst,) = found
    assert burst.key == key
    assert 5 * burst.expected < burst.observed <= 40
    assert burst.expected == pytest.approx(5.0, rel=0.2)
    assert burst.score > bursts.bar()


def test_a_dropped_template_leaves_the_others_as_they_were() -> None:
    keys: list[Key] = [(WEB, TOTAL), (WEB, 1), (DB, 1), (DB, 2)]
    bursts = learnt(dict.fromkeys(keys, 4.0), 100)
    bursts.drop(1)
    assert bursts.rows == {(WEB, TOTAL): 0, (DB, 2): 1}
    again = Bursts(10.0)
    again.restore(json.loads(json.dumps(bursts.snapshot())))
    assert again.rows == bursts.rows
    loud: dict[Key, float] = {(WEB, TOTAL): 4.0, (DB, 2): 90.0}
    assert [b.key for b in again.step(loud)] == [b.key for b in bursts.step(loud)] == [(DB, 2)]


def test_the_more_rates_are_watched_the_higher_the_bar() -> None:
    few, many = learnt({(WEB, 1): 4.0}, 1), learnt({(WEB, n): 4.0 for n in range(100)}, 1)
    assert many.bar() == pytest.approx(few.bar() + 2)
    assert 5.5 < few.bar() < 6.5

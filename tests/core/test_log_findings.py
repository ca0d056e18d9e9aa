"""From lines to findings: news, bursts, silence; what is committed, and what a restart brings back."""

import json
import random
from typing import Any

import numpy as np

from aiops.config.models import Logs as Settings
from aiops.core.log_groups import grouped
from aiops.core.log_surge import Surges, tail
from aiops.core.logs import Logs
from aiops.model.frame import Lines
from aiops.model.series import NAME, SeriesIndex, labels_of
from aiops.model.signal import Alert, AlertKind, Severity, Signal

WEB = labels_of({"service": "web", "filename": "/var/log/web.log"})
START, EVERY = 1.0e9, 10.0


class Stand:
    """One log source that is read step by step."""

    def __init__(self, **settings: Any) -> None:
        made = Settings.model_validate({"warm_up_lines": 100, "warm_up_time": "60s"} | settings)
        self.index = SeriesIndex()
        self.logs = Logs(self.index, made.miner, made)
        self.settings = made
        self.now = START
        self.rng = random.Random(3)
        self.rates: dict[str, float] = {}

    def usual(self, lines: int = 10) -> list[str]:
        return [
            f"GET /items/{self.rng.randrange(9999)} 200 in {self.rng.randrange(90)} ms" for _ in range(lines)
        ]

    def step(self, text: list[str], labels: Any = WEB) -> list[Signal]:
        self.logs.take("web", Lines(labels, np.full(len(text), self.now + 5), text))
        return self.end()

    def end(self) -> list[Signal]:
        self.now += EVERY
        self.logs.commit("web", self.now)
        found: list[Signal] = []
        for row in self.logs.close("web", self.now):
            assert row.frame.times[0] == self.now
            self.rates = {
                dict(self.index.labels(slot))[NAME]: value
                for slot, value in zip(row.frame.slots.tolist(), row.frame.values[0].tolist(), strict=True)
            }
            found += row.signals
        return found

    def learn(self, steps: int = 100) -> None:
        for _ in range(steps):
            assert self.step(self.usual(self.rng.randint(7, 13))) == []


def test_a_grave_pattern_never_seen_is_major_and_shows_its_lines_without_secrets() -> None:
    stand = Stand()
    stand.learn()
    (signal,) = stand.step([*stand.usual(), "ERROR cannot reach db-7: password=hunter2 rejected"])
    assert (signal.kind, signal.rule, signal.severity) == (AlertKind.LOG, "new log pattern", Severity.MAJOR)
    assert signal.fires
    assert signal.examples == (
        "ERROR cannot reach <*>: password=*** rejected",
        "ERROR cannot reach db-7: password=*** rejected",
    )
    assert dict(signal.labels)["service"] == "web"
    assert (signal.observed, signal.expected) == (0.1, 0.0)
    # its rate is a series from now on
    assert stand.rates["log_pattern_lines_per_second"] == 0.1


def test_a_pattern_stays_news_until_it_was_quiet_for_the_hold() -> None:
    stand = Stand(hold="60s")
    stand.learn()
    line = "ERROR the disk is gone"
    assert [len(stand.step([*stand.usual(), line])) for _ in range(3)] == [1, 1, 1]
    assert [len(stand.step(stand.usual())) for _ in range(8)] == [1] * 6 + [0, 0]
    assert stand.step([*stand.usual(), line]) == []


def test_before_the_warm_up_nothing_is_news() -> None:
    assert Stand(warm_up_lines=1000).step(["ERROR the disk is gone"]) == []
    late = Stand(warm_up_lines=0, warm_up_time="1h")
    late.learn(50)
    assert late.step(["ERROR the disk is gone"]) == []


def test_a_variant_of_a_known_trouble_is_only_minor() -> None:
    stand = Stand()
    stand.step(["ERROR lookup of alpha failed today"])
    stand.learn()
    found = stand.step(["ERROR lookup of beta failed today"])
    assert [signal.severity for signal in found] in ([], [Severity.MINOR])


def test_a_burst_of_errors_stands_out_and_is_not_learnt() -> None:
    stand = Stand()
    for n in range(200):
        stand.step([*stand.usual(), *["ERROR the queue is full"] * (n % 20 == 0)])
    found = stand.step([*stand.usual(), *["ERROR the queue is full"] * 40])
    rules = {signal.rule: signal for signal in found}
    burst = rules["burst of errors"]
    assert burst.severity is Severity.MAJOR
    assert burst.examples[0] == "ERROR the queue is full"
    assert burst.observed > 20 * burst.expected
    assert dict(burst.labels)[NAME] == "log_error_lines_per_second"


def test_a_chatty_stream_that_falls_silent_is_told_and_a_sparse_one_is_not() -> None:
    stand = Stand()
    sparse = labels_of({"service": "cron"})
    for n in range(200):
        if n % 30 == 0:
            stand.logs.take("web", Lines(sparse, np.array([stand.now + 1]), ["cron ran"]))
        stand.step(stand.usual())
    found = [signal for _ in range(20) for signal in stand.end()]
    assert {(s.rule, dict(s.labels)["service"]) for s in found} == {("log silence", "web")}
    assert {(signal.severity, signal.kind) for signal in found} == {(Severity.MAJOR, AlertKind.SILENCE)}
    assert all(signal.rule != "log silence" for signal in stand.step(stand.usual()))


def test_time_jumped_over_is_no_silence() -> None:
    stand = Stand()
    stand.learn(150)
    stand.now += 3600
    assert stand.end() == []
    assert stand.step(stand.usual()) == []


def test_what_was_not_committed_does_not_count_after_a_restart() -> None:
    stand = Stand()
    stand.learn()
    line = "ERROR the disk is gone"
    stand.logs.take("web", Lines(WEB, np.array([stand.now + 5]), [line]))
    saved = json.loads(json.dumps(stand.logs.snapshot()))
    again = Stand()
    again.now = stand.now
    again.logs.restore(saved)
    assert json.loads(json.dumps(again.logs.snapshot())) == saved
    # the source gives the line again: it is news once, and counted once
    (signal,) = again.step([line])
    assert signal.rule == "new log pattern"
    assert again.rates["log_pattern_lines_per_second"] == 0.1


def test_lines_of_several_steps_in_one_batch_are_counted_in_theirs_and_late_ones_now() -> None:
    stand = Stand()
    stand.step(["a line"])
    times = np.array([stand.now - 500, stand.now + 1, stand.now + 11, stand.now + 9999])
    stand.logs.take("web", Lines(WEB, times, ["one", "two", "three", "four"]))
    stand.now += 20
    stand.logs.commit("web", stand.now)
    rows = list(stand.logs.close("web", stand.now + 10))
    slot = stand.index.find(labels_of((*WEB, (NAME, "log_lines_per_second"))))
    totals = [row.frame.values[0, list(row.frame.slots).index(slot)] * EVERY for row in rows]
    assert totals == [2.0, 1.0, 1.0]


def test_merged_templates_share_one_history() -> None:
    stand = Stand()
    stand.learn()
    stand.step([f"worker {name} took the lease" for name in ("ant", "bee", "cat", "dog", "eel")])
    stand.step([f"worker {name} took the lease" for name in ("fox", "gnu", "hen")])
    saved = stand.logs.snapshot()
    assert len(saved["miner"]["patterns"]) == 2
    assert {ident for ident, *_ in saved["sources"]["web"]["novelty"]["known"]} == {
        pattern[0] for pattern in saved["miner"]["patterns"]
    }


def test_an_anomaly_of_a_rate_shows_the_lines() -> None:
    stand = Stand()
    stand.learn()
    slot = next(
        s
        for s, labels in stand.index.items()
        if ("template", "gone") not in labels and dict(labels).get("template")
    )
    alert = Alert(AlertKind.ANOMALY, stand.index.labels(slot), stand.now)
    stand.logs.illustrate([alert])
    assert alert.examples[0] == "GET <*> <*> in <*>"
    assert len(alert.examples) == 4


def test_a_stack_trace_is_one_event_named_by_its_error() -> None:
    java = [
        "ERROR request failed",
        "java.io.IOException: x",
        "\tat a.B.c(B.java:1)",
        "Caused by: java.net.E: no",
        "\t... 3 more",
    ]
    python = [
        "Traceback (most recent call last):",
        '  File "a.py", line 1, in f',
        "    f()",
        "ValueError: bad 7",
        "next line",
    ]
    starts, gists, whole = grouped([*java, *python])
    assert gists == [
        "ERROR request failed",
        "java.io.IOException: x | Caused by: java.net.E: no",
        "Traceback (most recent call last): | ValueError: bad 7",
        "next line",
    ]
    assert starts == [0, 1, 5, 9]
    assert whole[2] == "\n".join(python[:4])
    assert grouped(["a", "b"]) == ([0, 1], ["a", "b"], ["a", "b"])


def test_the_tail_is_a_bound_on_the_true_probability() -> None:
    from scipy.stats import nbinom, poisson

    for mean in (0.3, 4.0, 60.0):
        for total in (mean * 2 + 3, mean * 5 + 9):
            bound = tail(np.array([total]), np.array([mean]), np.array([mean]))[0]
            assert bound <= -np.log10(poisson.sf(np.ceil(total) - 1, mean)) + 1e-9
            variance = 3 * mean
            wide = tail(np.array([total]), np.array([mean]), np.array([variance]))[0]
            p = mean / variance
            size = mean * p / (1 - p)
            assert wide <= -np.log10(nbinom.sf(np.ceil(total) - 1, size, p)) + 1e-9
            assert wide < bound
        for few in (0.0, mean / 4):
            bound = tail(np.array([few]), np.array([mean]), np.array([mean]))[0]
            assert bound <= -np.log10(poisson.cdf(np.floor(few), mean)) + 1e-9


def test_surges_learn_a_new_level_after_a_while_and_survive_a_restart() -> None:
    rng = np.random.default_rng(2)
    one = Surges(3)
    one.grow(2)
    scores = [one.step(rng.poisson((2.0, 50.0)).astype(float)).score for _ in range(500)]
    assert np.max(scores) < 9
    other = Surges(3)
    other.restore(json.loads(json.dumps(one.snapshot())))
    high = [one.step(rng.poisson((40.0, 50.0)).astype(float)).score for _ in range(1500)]
    assert high[2][0] > 9
    assert high[-1][0] < 9
    assert other.step(np.array([40.0, 50.0])).score[0] > 9


def test_a_burst_is_told_once_though_lines_errors_and_a_template_surge() -> None:
    stand = Stand()
    for _ in range(150):
        stand.step([*stand.usual(), *["WARN lookup took long"] * 3, "INFO cache refreshed"])
    found = [
        stand.step([*stand.usual(), *["WARN lookup took long"] * 60, "INFO cache refreshed"])
        for _ in range(4)
    ]
    rules = [[signal.rule for signal in signals] for signals in found]
    assert rules[-1] == ["burst of a log pattern"]
    assert {dict(s.labels)["template"] for signals in found for s in signals} == {
        dict(found[-1][0].labels)["template"]
    }


def test_an_anomaly_of_a_rate_is_believed_when_the_counts_bear_it_out() -> None:
    stand = Stand()
    stand.learn(150)
    series = labels_of((*WEB, (NAME, "log_lines_per_second")))
    anomaly = Signal(series, AlertKind.ANOMALY, "adaptive", True, Severity.MAJOR, 1.0, 9.0)
    stand.step(stand.usual(5))
    assert stand.logs.believed("web", [anomaly]) == []
    for _ in range(10):
        # half of the lines are no silence: such a change is for the detectors of series to see
        assert stand.step(stand.usual(5)) == []
    assert stand.logs.believed("web", [anomaly]) == [anomaly]


def test_an_event_that_is_read_in_two_parts_is_one() -> None:
    java = [
        "ERROR request failed",
        "\tat a.B.c(B.java:1)",
        "Caused by: java.net.E: no",
        "\t... 3 more",
        "INFO on",
    ]
    python = [
        "Traceback (most recent call last):",
        '  File "a.py", line 1, in f',
        "ValueError: bad",
        "INFO on",
    ]
    for event in (java, python):
        for cut in range(1, len(event)):
            stand = Stand()
            for part in (event[:cut], event[cut:]):
                stand.logs.take("web", Lines(WEB, np.full(len(part), stand.now + 1), part))
            stand.end()
            assert stand.rates["log_lines_per_second"] * EVERY == 2.0, (event[0], cut)


def test_a_stream_that_begins_inside_an_event_is_counted() -> None:
    stand = Stand()
    stand.step(["\tat a.B.c(B.java:1)", "INFO on"])
    assert stand.rates["log_lines_per_second"] * EVERY == 2.0

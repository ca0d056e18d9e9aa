"""Exposition text and OpenMetrics: what a page gives, by which rule, and what is refused where."""

from typing import Any

import numpy as np
import prometheus_client as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics import exposition as openmetrics

from aiops.model.series import Labels, SeriesIndex, labels_of
from aiops.wire import WireError
from aiops.wire._numbers import number
from aiops.wire.exposition import Exposition
from aiops.wire.intake import Intake, Limits

T = 1_760_000_000.0


class Target:
    """An index, an intake and a decoder, and what a page gives by label set."""

    def __init__(self, **settings: Any) -> None:
        self.index = SeriesIndex()
        self.intake = Intake(self.index, resolution=0.001, **settings)
        self.decoder = Exposition(self.intake)

    def page(self, text: str, at: float = T, open_metrics: bool = False) -> dict[Labels, float]:
        frame, self.count = self.decoder.decode(text.encode(), at, open_metrics)
        if frame is None:
            return {}
        assert frame.times.tolist() == [at]
        assert len(set(frame.slots.tolist())) == len(frame.slots)
        slots, values = frame.slots.tolist(), frame.values[0].tolist()
        return {self.index.labels(slot): value for slot, value in zip(slots, values, strict=True)}

    def names(self, text: str, at: float = T, open_metrics: bool = False) -> dict[str, float]:
        return {
            dict(labels)["__name__"]: value for labels, value in self.page(text, at, open_metrics).items()
        }


PAGE = """# HELP up Whether it answers: {a "quoted" help}.
# TYPE up gauge
up 1
temperature{room="a, \\"b\\" } \\\\ \\n",floor="2"} -3.5e-1 1760000000000
 spaced { a = "1" , } 7

# a comment
{"dotted.name",a="x"} 4
empty_labels{} +5
"""


def test_a_page_is_read_as_it_is_written() -> None:
    one = Target()
    for tick in range(3):
        got = one.page(PAGE.replace("1760000000000", str(1760000000000 + tick * 15000)), T + 15 * tick)
        assert got == {
            labels_of({"__name__": "up"}): 1.0,
            labels_of({"__name__": "temperature", "room": 'a, "b" } \\ \n', "floor": "2"}): -0.35,
            labels_of({"__name__": "spaced", "a": "1"}): 7.0,
            labels_of({"__name__": "dotted.name", "a": "x"}): 4.0,
            labels_of({"__name__": "empty_labels"}): 5.0,
        }
    assert one.count == len(one.index) == 5


def test_types_outweigh_names_and_names_tell_where_there_is_none() -> None:
    text = """# TYPE odd counter
odd {v}
# TYPE level_total gauge
level_total {v}
# TYPE quoted_name untyped
jobs_total {v}
# TYPE "dotted.c" counter
{{"dotted.c"}} {v}
"""
    one = Target()
    one.page(text.format(v=100))
    got = one.names(text.format(v=150), T + 10)
    assert got == {"odd": 5.0, "level_total": 150.0, "jobs_total": 5.0, "dotted.c": 5.0}


def registry() -> tuple[pc.CollectorRegistry, Any]:
    """Every kind of metric that prometheus-client has, and a function that lets 10 s pass."""
    found = pc.CollectorRegistry()
    requests = pc.Counter("requests", "r", ["path"], registry=found)
    size = pc.Gauge("size_total", "s", registry=found)
    latency = pc.Histogram("latency", "l", buckets=[0.1, 0.5], registry=found)
    summary = pc.Summary("took", "t", registry=found)
    pc.Info("build", "b", registry=found).info({"version": "1"})
    pc.Enum("state", "s", states=["up", "down"], registry=found).state("up")

    def work() -> None:
        requests.labels('/a"b\\').inc(50)
        size.set(7)
        for k in range(100):
            latency.observe(0.05 if k % 2 else 0.3)
        summary.observe(20)

    work()
    return found, work


@pytest.mark.parametrize("open_metrics", [False, True])
def test_what_prometheus_client_writes(open_metrics: bool) -> None:
    found, work = registry()
    write = openmetrics.generate_latest if open_metrics else pc.generate_latest
    one = Target()
    one.page(write(found).decode(), T, open_metrics)
    work()
    got = one.page(write(found).decode(), T + 10, open_metrics)
    named = {
        (labels.pop("__name__"), *labels.values()): value
        for labels, value in ((dict(labels), value) for labels, value in got.items())
        if not labels["__name__"].endswith("_created")
    }
    assert named == pytest.approx(
        {
            ("requests_total", '/a"b\\'): 5.0,
            ("size_total",): 7.0,
            ("latency", "0.5"): 0.1,
            ("latency", "0.9"): 0.42,
            ("latency", "0.99"): 0.492,
            ("latency_count",): 10.0,
            ("latency_sum",): 1.75,
            ("took_count",): 0.1,
            ("took_sum",): 2.0,
            ("build_info", "1"): 1.0,
            ("state", "up"): 1.0,
            ("state", "down"): 0.0,
        }
    )
    if open_metrics:
        assert not any(dict(labels)["__name__"].endswith("_created") for _, labels in one.index.items())


def test_exemplars_units_and_times_in_seconds() -> None:
    text = """# TYPE a_seconds counter
# UNIT a_seconds seconds
a_seconds_total{x="1"} 17 1760000000.5 # {trace_id="abc # 1"} 0.67 1520879607.789
# EOF
"""
    one = Target()
    assert one.page(text, T, True) == {}
    assert list(one.page(text.replace("17 1760000000.5", "18 1760000001"), T + 2, True).values()) == [2.0]


def test_a_gaugehistogram_is_no_counter() -> None:
    text = '# TYPE g gaugehistogram\ng_bucket{le="1"} 5\ng_bucket{le="+Inf"} 9\ng_gcount 9\n# EOF\n'
    one = Target()
    assert one.names(text, T, True) == one.names(text, T + 10, True) == {"g_gcount": 9.0}


def test_samples_with_a_time_of_their_own_are_taken_once_and_old_ones_never() -> None:
    one = Target()
    text = "a 1 1759999990000\nb 2 1759999000000\nc 3\n"
    assert one.names(text) == {"a": 1.0, "c": 3.0}
    assert one.names(text, T + 15) == {"c": 3.0}
    assert one.intake.tally.duplicate == 1


def test_a_series_that_stands_twice_counts_once() -> None:
    assert Target().names("a 1\na 2\n") == {"a": 1.0}
    assert Target().names("a 1 1760000000000\na 2 1760000000001\n") == {"a": 1.0}


@pytest.mark.parametrize(
    ("clash", "expected"),
    [
        ("ours", {"job": "ours", "a": "1"}),
        ("rename", {"job": "ours", "exported_job": "theirs", "a": "1"}),
        ("theirs", {"job": "theirs", "a": "1"}),
    ],
)
def test_labels_that_clash_with_the_targets(clash: Any, expected: dict[str, str]) -> None:
    one = Target(extra={"job": "ours"}, clash=clash)
    got = one.page('m{job="theirs",a="1"} 1\nplain{job=""} 2\n')
    assert list(got) == [
        labels_of({"__name__": "m"} | expected),
        labels_of({"__name__": "plain", "job": "ours"}),
    ]
    doubled = Target(extra={"job": "ours"}, clash=clash)
    assert doubled.page('m{a="1",a="2"} 1\n') == {}
    assert doubled.intake.tally.refused == 1


def test_another_order_and_lost_lines_change_nothing() -> None:
    one = Target()
    chance = np.random.default_rng(0)
    lines = [f'm{k % 7}{{k="{k}"}} {k}' for k in range(300)]
    for tick in range(20):
        shown = chance.permutation(lines)[: 300 - 10 * tick] if tick % 2 else lines
        got = one.page("\n".join(shown) + "\n", T + tick)
        assert {dict(labels)["k"]: value for labels, value in got.items()} == {
            line.split('"')[1]: float(line.split()[1]) for line in shown
        }
    assert len(one.intake.tracks) == 300


def test_series_beyond_the_cap_are_not_taken_and_the_others_go_on() -> None:
    one = Target(limits=Limits(series=2))
    text = "a 1\nb 2\nc 3\n"
    assert one.names(text) == one.names(text, T + 15) == {"a": 1.0, "b": 2.0}
    assert one.count == 3


@pytest.mark.parametrize(
    ("text", "words", "at"),
    [
        ("<html>\n", "without a value", 6),
        ("<html> 1\n", "no metric name or label", 0),
        ("a 1\nb\n", "without a value", 5),
        ("a 1\nb x\n", "without a value", 5),
        ("a 1\nb 1 yesterday\n", "no time", 7),
        ("a 1\nb 1 2 3\n", "no time", 7),
        ("a 1\nb 12", "cut off", 8),
        ('a{b="1} 2\n', "do not end", 0),
        ('a{b="1"\n', "do not end", 0),
        ("a{b=1} 2\n", "no metric name or label", 4),
        ('a{9="1"} 2\n', "no metric name or label", 2),
        ('a{b="1"c="2"} 2\n', "no metric name or label", 7),
        ('a{b "1"} 2\n', "no metric name or label", 4),
        ("a\x00 1\n", "a NUL", 1),
        ("a 1 99999999999999999999999\n", "no time", 3),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_nothing_is_taken(text: str, words: str, at: int) -> None:
    one = Target()
    with pytest.raises(WireError, match=words) as caught:
        one.page(text)
    assert caught.value.offset == at
    assert len(one.index) == len(one.intake.tracks) == 0
    assert one.names("a 1\n") == {"a": 1.0}


def test_no_utf_8_is_refused() -> None:
    with pytest.raises(WireError, match="byte 4: no UTF-8"):
        Target().decoder.decode(b'a{b="\xff"} 1\n'[1:], T)


def test_a_page_of_openmetrics_that_was_cut_is_told_by_its_missing_end() -> None:
    with pytest.raises(WireError, match="no # EOF"):
        Target().page("a 1\n", T, True)


def parsed(text: str) -> tuple[float, int]:
    return number(np.frombuffer(text.encode() + bytes(64), np.uint8), 0, len(text))  # type: ignore[return-value]


@settings(max_examples=500, deadline=None)
@given(st.floats(-1e308, 1e308), st.sampled_from(["{!r}", "{:.3f}", "{:e}", "{:.20g}"]))
def test_numbers_are_read_to_the_last_places(value: float, form: str) -> None:
    text = form.format(value)
    found, end = parsed(text)
    assert end == len(text)
    assert found == pytest.approx(float(text), rel=1e-15, abs=1e-323)


names = st.text(st.sampled_from("abc_:9"), min_size=1, max_size=5).filter(lambda name: not name[0].isdigit())
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
sets = st.dictionaries(names, texts, max_size=4)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(names, sets, min_size=1, max_size=6), st.booleans())
def test_all_that_can_be_written_is_read(series: dict[str, dict[str, str]], twice: bool) -> None:
    def line(name: str, labels: dict[str, str]) -> str:
        escaped = (
            (key, value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
            for key, value in labels.items()
        )
        return name + "{" + ",".join(f'{key}="{value}"' for key, value in escaped) + "} 1\n"

    one = Target()
    text = "".join(line(name, labels) for name, labels in series.items())
    for tick in range(1 + twice):
        got = one.page(text, T + tick)
    assert set(got) == {labels_of({"__name__": name} | labels) for name, labels in series.items()} or any(
        name.endswith(("_total", "_count", "_sum")) for name in series
    )


@settings(max_examples=300, deadline=None)
@given(st.data(), st.booleans())
def test_no_mutation_of_a_page_does_more_than_be_refused(data: st.DataObject, open_metrics: bool) -> None:
    raw = bytearray((PAGE + "# EOF\n").encode())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    one = Target()
    offset = 0
    try:
        one.decoder.decode(bytes(raw), T, open_metrics)
    except WireError as bad:
        offset = bad.offset
    assert 0 <= offset <= len(raw)

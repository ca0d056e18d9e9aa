"""The Prometheus source on exact samples and on every way of failing; on real servers in tests/e2e."""

import ssl
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from aiops.model.frame import Frame
from aiops.model.series import Labels, SeriesIndex, labels_of
from aiops.plugin import Connector, Fatal, NotConnected, Retryable
from aiops.plugin.load import load
from connectors._prometheus_grid import Last, Raw, place
from tests.prometheus_api import PrometheusApi

T0 = 1_700_000_010.0  # a multiple of 15
NAN = float("nan")


@pytest.fixture
def api() -> Iterator[PrometheusApi]:
    with PrometheusApi() as running:
        yield running


def source(api: PrometheusApi, **fields: Any) -> Connector:
    defaults: dict[str, Any] = {"name": "prod", "url": api.url, "select": ['{job="a"}'], "every": "15s"}
    made = load("connectors", "prometheus", Connector).model_validate(defaults | fields)
    made.open(SeriesIndex())
    return made


async def pull(one: Connector, since: float, until: float) -> list[Frame]:
    frames = [f async for f in one.pull(since, until)]
    assert all(isinstance(f, Frame) for f in frames)
    return frames  # type: ignore[return-value]


def only(frames: list[Frame]) -> tuple[list[float], list[float]]:
    """Times after T0 and values of the one series."""
    times = np.concatenate([f.times for f in frames]) - T0
    return times.tolist(), np.concatenate([f.values[:, 0] for f in frames]).tolist()


async def test_steps_lie_on_multiples_within_the_span(api: PrometheusApi) -> None:
    api.add({"__name__": "g", "job": "a"}, [(T0 + 15 * i + 3, float(i)) for i in range(-5, 20)])
    one = source(api)
    times, values = only(await pull(one, T0 + 1, T0 + 50))
    assert (times, values) == ([15, 30, 45], [0, 1, 2])
    assert await pull(one, T0 + 50, T0 + 59.9) == []
    assert only(await pull(one, T0 + 59.9, T0 + 60)) == ([60], [3])
    await one.close()


async def test_a_stopped_series_is_gone_at_the_next_step(api: PrometheusApi) -> None:
    """Plain query_range would draw it on for five minutes."""
    api.add({"__name__": "g", "job": "a"}, [(T0 + 3, 1.0), (T0 + 18, 2.0), (T0 + 78, 3.0)])
    _, values = only(await pull(source(api), T0, T0 + 90))
    np.testing.assert_array_equal(values, [1, 2, NAN, NAN, NAN, 3])


async def test_staleness_marks_and_infinities_are_no_samples(api: PrometheusApi) -> None:
    api.add({"__name__": "g", "job": "a"}, [(T0 + 3, NAN), (T0 + 18, float("inf")), (T0 + 33, 1.0)])
    _, values = only(await pull(source(api), T0, T0 + 45))
    np.testing.assert_array_equal(values, [NAN, NAN, 1])


async def test_late_sample_shows_at_the_next_point_once(api: PrometheusApi) -> None:
    """A sample bears the start of its scrape and is stored when that ends, after we asked."""
    samples = [(T0 + 14.9, 1.0)]
    api.add({"__name__": "g", "job": "a"}, samples)
    one = source(api)
    assert only(await pull(one, T0, T0 + 15))[1] == [1]
    samples.append((T0 + 29.9, 2.0))
    late = samples.pop()
    np.testing.assert_array_equal(only(await pull(one, T0 + 15, T0 + 30))[1], [NAN])
    samples.append(late)
    assert only(await pull(one, T0 + 30, T0 + 45))[1] == [2]
    assert await pull(one, T0 + 45, T0 + 60) == []


async def test_counter_rates_resets_and_gaps(api: PrometheusApi) -> None:
    api.add(
        {"__name__": "x_total", "job": "a"},
        [(T0 - 12, 100), (T0 + 3, 130), (T0 + 18, 15), (T0 + 33, 45), (T0 + 393, 100), (T0 + 408, 115)],
    )
    one = source(api)
    got: list[float] = []
    for i in range(28):
        frames = await pull(one, T0 + 15 * i, T0 + 15 * i + 15)
        got += only(frames)[1] if frames else [NAN]
    expected = [NAN] * 28
    expected[0] = 2.0  # (130 - 100) / 15: the first pull looks back for a base
    expected[1] = 1.0  # restarted from 0: 15 / 15
    expected[2] = 2.0
    expected[26] = NAN  # 360 s without a sample: too long for a rate
    expected[27] = 1.0
    np.testing.assert_allclose(got, expected)


async def test_rate_spans_the_real_samples_and_all_between(api: PrometheusApi) -> None:
    """Three scrapes a step, a reset among them, and a missed scrape."""
    samples = [(T0 + 5 * i, 10.0 * i) for i in range(4)] + [(T0 + 20, 4.0), (T0 + 25, 14.0), (T0 + 30, 24.0)]
    api.add({"__name__": "x_count", "job": "a"}, [*samples, (T0 + 60, 54.0)])
    _, values = only(await pull(source(api), T0, T0 + 60))
    np.testing.assert_allclose(values, [2, 24 / 15, NAN, 30 / 30])


async def test_asked_again_the_same_span_answers_the_same(api: PrometheusApi) -> None:
    api.add({"__name__": "x_total", "job": "a"}, [(T0 + 15 * i - 2, 30.0 * i) for i in range(40)])
    one = source(api)
    await pull(one, T0, T0 + 60)
    first = only(await pull(one, T0 + 60, T0 + 120))
    assert only(await pull(one, T0 + 60, T0 + 120)) == first
    assert first[1] == [2.0] * 4


async def test_a_failed_pull_forgets_what_it_had_seen(api: PrometheusApi) -> None:
    api.add({"__name__": "x_total", "job": "a"}, [(T0 + 15 * i - 2, 30.0 * i) for i in range(40)])
    one = source(api, max_points=2)
    await pull(one, T0, T0 + 15)
    stream = one.pull(T0 + 15, T0 + 75)
    await anext(stream)
    api.fail.append((503, {"Retry-After": "7"}, b"busy"))
    with pytest.raises(Retryable) as caught:
        await anext(stream)
    assert caught.value.after == 7
    assert only(await pull(one, T0 + 15, T0 + 75)) == ([30, 45, 60, 75], [2.0] * 4)


async def test_long_spans_are_asked_in_parts(api: PrometheusApi) -> None:
    api.add({"__name__": "g", "job": "a"}, [(T0 + 15 * i, float(i)) for i in range(100)])
    frames = await pull(source(api, max_points=40), T0, T0 + 15 * 99)
    assert [len(f.times) for f in frames] == [40, 40, 19]
    assert only(frames)[1] == list(map(float, range(1, 100)))


async def test_past_is_coarse_then_fine(api: PrometheusApi) -> None:
    day = 86400.0
    api.add({"__name__": "x_total", "job": "a"}, [(T0 + 60 * i, 120.0 * i) for i in range(1441)])
    frames = [f async for f in source(api, every="60s").past(T0, T0 + day)]
    times = np.concatenate([f.times for f in frames])
    values = np.concatenate([f.values[:, 0] for f in frames])
    assert (np.diff(times) > 0).all()
    steps = np.diff(times)
    assert set(np.round(steps[:200])) == {300}
    assert (np.round(steps[-119:]) == 60).all()
    assert times[-1] <= T0 + day
    np.testing.assert_allclose(values[np.isfinite(values)], 2.0)
    assert np.isfinite(values).mean() > 0.98


async def test_past_leaves_live_pulling_alone(api: PrometheusApi) -> None:
    api.add({"__name__": "x_total", "job": "a"}, [(T0 + 15 * i, 30.0 * i) for i in range(50)])
    one = source(api)
    await pull(one, T0, T0 + 60)
    assert [f async for f in one.past(T0, T0 + 600)]
    assert only(await pull(one, T0 + 60, T0 + 75)) == ([75], [2.0])


async def test_queries_are_named_and_taken_as_they_are(api: PrometheusApi) -> None:
    api.add({"__name__": "x_total", "job": "a"}, [(T0 + 15, 7.0), (T0 + 30, 9.0)])
    one = source(
        api,
        select=[],
        labels={"env": "e"},
        queries=[{"name": "y_total", "query": "x_total", "labels": {"l": "m"}}],
    )
    frame = (await pull(one, T0, T0 + 30))[0]
    assert frame.values[:, 0].tolist() == [7, 9]
    assert api.requests[-1][1].endswith("/query_range")
    assert one._index.labels(int(frame.slots[0])) == labels_of(  # type: ignore[attr-defined]
        {"__name__": "y_total", "l": "m", "env": "e", "job": "a"}
    )
    await pull(one, T0 + 30, T0 + 45)
    assert api.requests[-1][1].endswith("/query")


async def test_series_found_twice_have_one_slot(api: PrometheusApi) -> None:
    api.add({"__name__": "g", "job": "a"}, [(T0 + 15, 1.0)])
    frame = (await pull(source(api, select=['{job="a"}', "g"]), T0, T0 + 15))[0]
    assert len(frame.slots) == 1


async def test_too_many_series_are_cut_the_same_way_each_time(
    api: PrometheusApi, caplog: pytest.LogCaptureFixture
) -> None:
    for name in "dbca":
        api.add({"__name__": name, "job": "a"}, [(T0 + 15, 1.0), (T0 + 30, 1.0)])
    one = source(api, max_series=2)
    for until in (T0 + 15, T0 + 30):
        frame = (await pull(one, until - 15, until))[0]
        names = [dict(one._index.labels(int(s)))["__name__"] for s in frame.slots]  # type: ignore[attr-defined]
        assert sorted(names) == ["a", "b"]
        api.series.reverse()
    assert caplog.text.count("4 series, of which 2 (max_series)") == 1


async def test_server_warnings_are_logged_once(api: PrometheusApi, caplog: pytest.LogCaptureFixture) -> None:
    api.warnings = ["one store is down"]
    one = source(api)
    await pull(one, T0, T0 + 15)
    await pull(one, T0 + 15, T0 + 30)
    assert caplog.text.count("one store is down") == 1


async def test_nothing_to_ask_is_fatal(api: PrometheusApi) -> None:
    with pytest.raises(Fatal, match="select or queries"):
        await pull(source(api, select=[]), T0, T0 + 15)


@pytest.mark.parametrize(
    ("answer", "kind", "words", "after"),
    [
        ((429, {"Retry-After": "30"}, b""), Retryable, "429", 30.0),
        (
            (
                503,
                {"Retry-After": "Wed, 21 Oct 2015 07:28:10 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"},
                b"",
            ),
            Retryable,
            "503",
            None,
        ),
        ((500, {}, b'{"status":"error","error":"disk gone"}'), Retryable, "disk gone", None),
        ((400, {}, b'{"status":"error","error":"1:7: parse error"}'), Fatal, "1:7: parse error", None),
        ((422, {}, b'{"status":"error","error":"too many samples"}'), Fatal, "too many samples", None),
        ((401, {}, b"no"), Fatal, "check the credentials", None),
        ((404, {}, b"<html>"), Fatal, "without /api/v1", None),
        ((200, {}, b'{"status":"success","data":{'), Retryable, "byte 28: not JSON", None),
        ((200, {}, b"<html>login</html>"), Retryable, "byte 0: not JSON", None),
        ((200, {"Content-Length": "999"}, b"{}"), NotConnected, "http://", None),
        ((302, {"Location": "http://127.0.0.2:1/"}, b""), Fatal, "redirects to http://127.0.0.2:1", None),
        ((302, {"Location": "https://127.0.0.1:1/"}, b""), NotConnected, "http://", None),
    ],
)
async def test_failures_are_classified(
    api: PrometheusApi, answer: Any, kind: type[Exception], words: str, after: float | None
) -> None:
    api.fail.append(answer)
    one = source(api)
    with pytest.raises(Retryable if kind is not Fatal else Fatal, match=words) as caught:
        await pull(one, T0, T0 + 15)
    assert type(caught.value) is kind
    if after is not None:
        assert isinstance(caught.value, Retryable)
        assert caught.value.after == after
    await one.close()


async def test_redirect_on_the_same_server_is_followed(api: PrometheusApi) -> None:
    api.fail.append((307, {"Location": "/prom/api/v1/query?stale=1"}, b""))
    api.add({"__name__": "g", "job": "a"}, [(T0 + 15, 1.0)])
    assert only(await pull(source(api), T0, T0 + 15))[1] == [1]
    assert api.requests[-1][1] == "/prom/api/v1/query"
    assert "stale" not in api.requests[-1][2]


async def test_endless_redirects_end(api: PrometheusApi) -> None:
    api.fail += [(302, {"Location": "/again"}, b"")] * 5
    with pytest.raises(Fatal, match="more than 3 times"):
        await pull(source(api), T0, T0 + 15)


async def test_credentials_and_headers(
    api: PrometheusApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    one = source(api, bearer={"file": str(token)}, headers={"X-Scope-OrgID": "team-a"})
    await pull(one, T0, T0 + 15)
    assert api.requests[-1][3]["authorization"] == "Bearer first"
    assert api.requests[-1][3]["x-scope-orgid"] == "team-a"
    token.write_text("rotated")
    await pull(one, T0 + 15, T0 + 30)
    assert api.requests[-1][3]["authorization"] == "Bearer rotated"
    monkeypatch.setenv("PROM_PASSWORD", "geheim")
    await pull(source(api, basic={"username": "u", "password": {"env": "PROM_PASSWORD"}}), T0, T0 + 15)
    assert api.requests[-1][3]["authorization"] == "Basic dTpnZWhlaW0="
    monkeypatch.delenv("PROM_PASSWORD")
    with pytest.raises(Fatal, match="PROM_PASSWORD"):
        await pull(source(api, basic={"username": "u", "password": {"env": "PROM_PASSWORD"}}), T0, T0 + 15)


async def test_proxies_are_honoured(api: PrometheusApi, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", api.url)
    api.add({"__name__": "g", "job": "a"}, [(T0 + 15, 1.0)])
    one = source(api, url="http://prometheus.invalid:9090")
    assert only(await pull(one, T0, T0 + 15))[1] == [1]
    assert api.requests[-1][3]["host"] == "prometheus.invalid:9090"


async def test_long_queries_are_posted(api: PrometheusApi) -> None:
    api.add({"__name__": "g", "job": "a"}, [(T0 + 15, 1.0)])
    long = '{job=~"' + "|".join(["a", *("x" * 30 for _ in range(60))]) + '"}'
    assert only(await pull(source(api, select=[long]), T0, T0 + 15))[1] == [1]
    assert api.requests[-1][0] == "POST"


async def test_tls_files_that_are_not_there(api: PrometheusApi, tmp_path: Path) -> None:
    with pytest.raises(Fatal, match=r"nowhere\.pem"):
        await pull(source(api, tls={"ca": str(tmp_path / "nowhere.pem")}), T0, T0 + 15)


def test_tls_without_verification() -> None:
    from connectors._prometheus_http import Tls

    assert Tls(verify=False).context().verify_mode == ssl.CERT_NONE
    assert Tls().context().verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"url": "prometheus:9090"}, "expected a URL"),
        ({"url": "http://u:p@prometheus:9090"}, "not into the URL"),
        ({"select": ["up{"]}, "column"),
        ({"basic": {"username": "u", "password": "plain"}}, "by reference"),
        (
            {"bearer": {"env": "A"}, "basic": {"username": "u", "password": {"env": "B"}}},
            "either basic or bearer",
        ),
        ({"queries": [{"name": "no good", "query": "1"}]}, "pattern"),
        ({"max_points": 20000}, "11000"),
    ],
)
def test_bad_configuration_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        load("connectors", "prometheus", Connector).model_validate({"url": "http://p:9090"} | fields)


# --- the grid against a naive oracle


def naive(
    samples: dict[Labels, list[tuple[float, float]]], grid: list[float], step: float, gap: float
) -> dict[Labels, list[float]]:
    """One series and one point at a time, from all samples ever."""
    found: dict[Labels, list[float]] = {}
    for labels, all_ in samples.items():
        kept = [s for s in all_ if np.isfinite(s[1])]
        row = []
        for point in grid:
            new = [s for s in kept if point - step < s[0] <= point]
            old = [s for s in kept if s[0] <= point - step]
            if not new:
                row.append(NAN)
            elif not dict(labels)["__name__"].endswith("_total"):
                row.append(new[-1][1])
            else:
                base = old[-1:] or new[:1]
                chain = base + (new if old else new[1:])
                rise = sum(b[1] - a[1] if b[1] >= a[1] else b[1] for a, b in pairwise(chain))
                span = chain[-1][0] - chain[0][0]
                row.append(rise / span if 0 < span <= gap else NAN)
        found[labels] = row
    return found


_samples = st.lists(
    st.tuples(st.integers(0, 400), st.one_of(st.integers(0, 50).map(float), st.just(NAN))),
    max_size=25,
    unique_by=lambda s: s[0],
).map(lambda s: [(float(t) / 4, v) for t, v in sorted(s)])


@given(st.lists(_samples, min_size=1, max_size=4), st.booleans(), st.sampled_from([30.0, 1000.0]))
def test_grid_equals_the_oracle(many: list[list[tuple[float, float]]], counter: bool, gap: float) -> None:
    name = "x_total" if counter else "x"
    samples = {labels_of({"__name__": name, "n": str(i)}): one for i, one in enumerate(many)}
    step, last = 10.0, Last()
    got: dict[Labels, list[float]] = {labels: [] for labels in samples}
    for first in (10.0, 50.0):  # two pulls, the second on what the first remembers
        grid = np.arange(first, first + 40, step)
        window = {k: [s for s in v if s[0] > first - step - 20] for k, v in samples.items()}
        raw = Raw(
            list(window),
            np.cumsum([0] + [len(v) for v in window.values()]),
            np.array([t for v in window.values() for t, _ in v]),
            np.array([x for v in window.values() for _, x in v]),
        )
        for labels, row in zip(raw.labels, place(raw, first - step, grid, last, gap, True).T, strict=True):
            got[labels] += row.tolist()
    expected = naive(samples, list(np.arange(10.0, 90.0, step)), step, gap)
    for labels in samples:
        np.testing.assert_allclose(got[labels], expected[labels], err_msg=str(samples[labels]))

"""The Prometheus source on exact samples; on real servers in tests/e2e."""

from collections.abc import Iterator

import numpy as np
import pytest

from aiops.model.frame import Frame
from aiops.model.series import labels_of
from aiops.plugin import Fatal, Retryable
from tests.prometheus_api import PrometheusApi, pull, source

T0 = 1_700_000_010.0  # a multiple of 15
NAN = float("nan")


@pytest.fixture
def api() -> Iterator[PrometheusApi]:
    with PrometheusApi() as running:
        yield running


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
    assert [len(f.times) for f in frames] == [4, 16, 40, 39]
    assert only(frames)[1] == list(map(float, range(1, 100)))


async def test_parts_shrink_where_samples_are_dense(
    api: PrometheusApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 scrapes a step: what counts is the samples of an answer, not the steps asked for."""
    monkeypatch.setattr("connectors.prometheus._CELLS", 300)
    api.add({"__name__": "x_total", "job": "a"}, [(T0 + 0.25 * i, 0.5 * i) for i in range(2400)])
    frames = await pull(source(api), T0, T0 + 585)
    assert max(len(f.times) for f in frames[1:]) == 4
    times, values = only(frames)
    assert len(times) == len(set(times)) == 39
    np.testing.assert_allclose(values, 2.0)


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


async def test_sli_query_gives_its_record_or_nothing(
    api: PrometheusApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.add({"__name__": "g", "job": "b"}, [(T0 + 15, 7.0)])
    one = source(api, select=[], labels={"env": "e"})
    record = labels_of({"__name__": "sli", "sli": "checkout"})
    one.watch(record, "g")
    frame = (await pull(one, T0, T0 + 15))[0]
    assert one._index.labels(int(frame.slots[0])) == record  # type: ignore[attr-defined]
    assert frame.values.tolist() == [[7.0]]
    api.add({"__name__": "g", "job": "c"}, [(T0 + 15, 8.0)])
    assert await pull(one, T0, T0 + 15) == []
    assert "2 series; aggregate it" in caplog.text


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
    tally = one.tally()
    assert (tally["series"], tally["over_cap"] > 0) == (2, True)


async def test_server_warnings_are_logged_once(api: PrometheusApi, caplog: pytest.LogCaptureFixture) -> None:
    api.warnings = ["one store is down"]
    one = source(api)
    await pull(one, T0, T0 + 15)
    await pull(one, T0 + 15, T0 + 30)
    assert caplog.text.count("one store is down") == 1


async def test_nothing_to_ask_is_fatal(api: PrometheusApi) -> None:
    with pytest.raises(Fatal, match="select or queries"):
        await pull(source(api, select=[]), T0, T0 + 15)

"""Numbers, times and alerts as a person would say them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.core import words
from aiops.model.series import labels_of
from aiops.model.signal import Alert, AlertKind


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (0.0025, "2.5 ms"),
        (1.5, "1.5 s"),
        (40, "40 s"),
        (99.7, "1 min 40 s"),
        (100, "1 min 40 s"),
        (180, "3 min"),
        (3599.8, "1 h"),
        (7500, "2 h 5 min"),
        (7212, "2 h"),
        (90061, "1 d 1 h"),
        (-40, "-40 s"),
        (math.nan, "unknown"),
        (math.inf, "for ever"),
    ],
)
def test_durations_take_two_units_at_most(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


_SIZE = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


@given(st.floats(0.001, 1e9))
def test_a_duration_is_said_to_within_a_tenth(seconds: float) -> None:
    parts = words.duration(seconds).split()
    said = sum(float(n) * _SIZE[unit] for n, unit in zip(parts[::2], parts[1::2], strict=True))
    assert said == pytest.approx(seconds, rel=0.1)


@pytest.mark.parametrize(
    ("value", "metric", "said"),
    [
        (0.934, "host_memory_used_ratio", "93.4 %"),
        (0.0, "host_memory_used_ratio", "0 %"),
        (3 * 2**30, "process_resident_bytes", "3 GiB"),
        (1000, "process_resident_bytes", "1000 B"),
        (-2048, "process_resident_bytes", "-2 KiB"),
        (5 * 2**20, "host_network_bytes_per_second", "5 MiB/s"),
        (0.25, "probe_duration_seconds", "250 ms"),
        (1234567, "requests", "1,234,567"),
        (0.123456, "load", "0.1235"),
        (math.nan, "load", "no value"),
        (math.inf, "process_resident_bytes", "infinite"),
    ],
)
def test_numbers_take_the_unit_of_their_metric(value: float, metric: str, said: str) -> None:
    assert words.number(value, metric) == said


@given(st.floats(), st.sampled_from(["x", "x_bytes", "x_ratio", "x_seconds", "x_bytes_per_second"]))
def test_any_number_can_be_said(value: float, metric: str) -> None:
    assert words.number(value, metric)


def test_a_series_is_named_by_what_tells_it_from_its_siblings() -> None:
    labels = labels_of({"__name__": "host_disk_free_ratio", "mount": "/", "host": "h1", "__x__": "y"})
    assert words.subject(labels) == "disk free (mount /)"
    assert words.subject(()) == "a series"


def an_alert(kind: AlertKind, metric: str = "disk_free_ratio") -> Alert:
    alert = Alert(kind, labels_of({"__name__": metric, "service": "db"}), 1000.0, rule="checkout errors")
    alert.observed, alert.bound, alert.updated, alert.breach_expected = 0.04, 0.05, 1000.0, 1090.0
    alert.expected, alert.lower, alert.upper = 0.5, 0.45, 0.55
    return alert


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (AlertKind.FORECAST, "disk free (service db) is 4 % and will cross 5 % in about 90 s"),
        (AlertKind.LIMIT, "disk free (service db) is 4 %, past its limit of 5 %"),
        (AlertKind.SLI, "users notice: checkout errors is 4 %, its objective is 5 %"),
        (AlertKind.SILENCE, "disk free (service db) is 4 %, expected 45 % to 55 %: a fault of the watching"),
        (AlertKind.ANOMALY, "disk free (service db) is 4 %, expected 45 % to 55 %"),
    ],
)
def test_every_kind_of_alert_says_what_is_wrong(kind: AlertKind, said: str) -> None:
    assert words.of_alert(an_alert(kind)) == said


@pytest.mark.parametrize(
    ("left", "said"),
    [(90, "90 s"), (430, "7 min 10 s"), (1599, "27 min"), (9000, "2 h 30 min"), (37440, "10 h")],
)
def test_an_estimated_time_is_said_to_two_digits(left: float, said: str) -> None:
    alert = an_alert(AlertKind.FORECAST)
    alert.breach_expected = alert.updated + left
    assert words.of_alert(alert).endswith(f"in about {said}")


def test_a_forecast_that_came_true_is_said_in_the_present() -> None:
    alert = an_alert(AlertKind.FORECAST)
    alert.breach_expected = alert.updated
    assert words.of_alert(alert) == "disk free (service db) is 4 % and has crossed 5 %, as foreseen"


def test_a_band_that_is_not_known_or_has_no_width_is_one_number() -> None:
    alert = an_alert(AlertKind.ANOMALY)
    alert.lower = alert.upper = math.nan
    assert words.of_alert(alert).endswith("expected about 50 %")
    alert.lower = alert.upper = 0.5
    assert words.of_alert(alert).endswith("expected about 50 %")

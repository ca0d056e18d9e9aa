"""Numbers, times and alerts in the words that a person would use."""

import math

from aiops.model.series import NAME, Labels
from aiops.model.signal import Alert, AlertKind

_HIDDEN = {NAME, "host", "job", "source"}
_UNITS = {"bytes", "ratio", "seconds", "total"}
_ACRONYMS = {w: w.upper() for w in ("cpu", "rss", "tcp", "udp", "http", "oom", "dns", "tls")} | {"io": "I/O"}
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def number(value: float, metric: str = "") -> str:
    """`value` in the unit that the metric's name ends in, by Prometheus' naming rules."""
    if math.isnan(value):
        return "no value"
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    if "bytes" in metric:
        return _bytes(value) + ("/s" if "per_second" in metric or metric.endswith("_total") else "")
    if metric.endswith("ratio"):
        return f"{value * 100:.3g} %"
    if metric.endswith(("seconds", "_seconds_sum")):
        return duration(value)
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.4g}"


def _bytes(value: float) -> str:
    power = 0
    while abs(value) >= 1024 and power < len(_BINARY) - 1:
        value /= 1024
        power += 1
    return f"{value:.3g} {_BINARY[power]}" if abs(value) < 1000 else f"{value:.0f} {_BINARY[power]}"


def duration(seconds: float) -> str:
    """Two units at most: ``40 s``, ``1 min 40 s``, ``3 min``, ``2 h 5 min``, ``3 d 4 h``."""
    if math.isnan(seconds):
        return "unknown"
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    if math.isinf(seconds):
        return f"{sign}for ever"
    if seconds < 1:
        return f"{sign}{seconds * 1000:.3g} ms" if seconds else "0 s"
    if seconds < 99.5:
        return f"{sign}{seconds:.3g} s" if seconds < 10 else f"{sign}{seconds:.0f} s"
    seconds, parts = round(seconds), []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        parts.append(f"{count} {unit}" if count else "")
    first = next(place for place, part in enumerate(parts) if part)
    return sign + " ".join(filter(None, parts[first : first + 2]))


def coarse(seconds: float) -> float:
    """A time that is only estimated, to two digits: 26 min 39 s is 27 min, 10 h 24 min is 10 h."""
    for unit in (86400, 3600, 60):
        if abs(seconds) >= 10 * unit and math.isfinite(seconds):
            return float(round(seconds / unit) * unit)
    return seconds


def percent(chance: float) -> str:
    """A probability: never quite 0 or 100, which no forecast knows."""
    if chance > 0.99:
        return "> 99 %"
    return "< 1 %" if chance < 0.01 else f"{chance * 100:.0f} %"


def subject(labels: Labels) -> str:
    """What a series is about: its metric in words, and the labels that tell it from its siblings."""
    words = _spoken(dict(labels).get(NAME, ""))
    rest = [f"{k} {v}" for k, v in labels if k not in _HIDDEN and not k.startswith("__")]
    return f"{words} ({', '.join(rest)})" if rest else words


def _spoken(metric: str) -> str:
    """The metric's name as one would say it: without the unit, which stands with the number."""
    parts = [part for part in metric.replace(":", "_").split("_") if part]
    if len(parts) > 1 and parts[0] == "host":
        parts = parts[1:]
    while len(parts) > 1 and parts[-1] in _UNITS:
        parts = parts[:-1]
    return " ".join(_ACRONYMS.get(part, part) for part in parts) or "a series"


def of_alert(alert: Alert) -> str:
    """One line that says what is wrong."""
    name, metric = subject(alert.labels), alert.metric
    seen, bound = number(alert.observed, metric), number(alert.bound, metric)
    match alert.kind:
        case AlertKind.FORECAST:
            left = alert.breach_expected - alert.updated
            if left <= 0:
                return f"{name} is {seen} and has crossed {bound}, as foreseen"
            return f"{name} is {seen} and will cross {bound} in about {duration(coarse(left))}"
        case AlertKind.LIMIT:
            return f"{name} is {seen}, past its limit of {bound}"
        case AlertKind.SLI:
            return f"users notice: {alert.rule} is {seen}, its objective is {bound}"
        case AlertKind.BURN:
            return _of_budget(alert)
        case AlertKind.LOG:
            where = subject(tuple(pair for pair in alert.labels if pair[0] not in (NAME, "template")))
            pattern = f": {alert.examples[0]}" if alert.examples else ""
            return f"{alert.rule} in {where.removeprefix('a series').strip(' ()') or 'the logs'}{pattern}"
        case AlertKind.FOREIGN:
            return alert.examples[0] if alert.examples and alert.examples[0] else name
        case AlertKind.SILENCE:
            return _of_telemetry(alert)
        case _:
            return f"{name} is {seen}, expected {_band(alert, metric)}"


def _of_budget(alert: Alert) -> str:
    spent = number(alert.observed, "ratio")
    if alert.observed >= alert.bound:
        return f"users notice: {alert.rule} has spent {spent} of its error budget"
    text = f"{alert.rule} has spent {spent} of its error budget"
    left = alert.breach_expected - alert.updated
    return f"{text}, at this pace all of it in about {duration(coarse(left))}" if left > 0 else text


def _of_telemetry(alert: Alert) -> str:
    """What is wrong with the watching."""
    source = f"source {dict(alert.labels).get('source', '')}".strip()
    seen, bound = number(alert.observed, alert.metric), number(alert.bound, alert.metric)
    match alert.rule:
        case "silent source":
            return f"{source} has not answered for {seen}"
        case "new labels":
            return f"{source} sends {seen} new series within 10 min: what was learnt of the old is lost"
        case "clock":
            return f"samples of {source} are {seen} ahead of our clock, {bound} is borne"
        case "silent target":
            return f"{_place(alert.labels)} stopped reporting"
        case "log silence":
            where = subject(tuple(pair for pair in alert.labels if pair[0] != NAME)).strip(" ()")
            return f"no log lines come any more from {where.removeprefix('a series (')}"
    return (
        f"{subject(alert.labels)} is {seen}, expected {_band(alert, alert.metric)}: a fault of the watching"
    )


def _place(labels: Labels) -> str:
    named = dict(labels)
    shown = [named[name] for name in ("service", "job", "host", "instance") if named.get(name)]
    return " ".join(dict.fromkeys(shown)) or "a target"


def _band(alert: Alert, metric: str) -> str:
    if math.isnan(alert.lower) or math.isnan(alert.upper):
        return f"about {number(alert.expected, metric)}"
    low, high = number(alert.lower, metric), number(alert.upper, metric)
    return f"about {low}" if low == high else f"{low} to {high}"

"""What is asked of the console and of the API: every page, every list, every filter, from near and far."""

from aiops.model.series import fingerprint, labels_of
from aiops.web.api.paging import encode
from tests.bench.console_past import Past, labels_of_series

Kinds = dict[str, list[str]]
"""What it is -> addresses of that kind, which are asked in turn."""


def pages(past: Past, series: int, last_alert: int) -> Kinds:
    """Every page of the console but those that only a signed-in person sees."""
    some, open_ = _some(past), _open(past)
    lists = [
        "/problems",
        "/problems?state=open",
        "/problems?state=escalated",
        "/problems?state=remediating",
        "/problems?state=resolved&stage=active&severity=critical",
        "/problems?q=service%3Ds7",
        "/problems?q=service%3Dnowhere",
        "/problems?q=duration",
        "/problems?q=nowhere",
        f"/problems?cursor={encode(past.problems // 2)}",
        "/alerts",
        "/alerts?state=firing",
        "/alerts?state=pending",
        "/alerts?state=resolved&kind=limit",
        "/alerts?state=firing&kind=limit",
        "/alerts?q=m7_seconds",
        "/alerts?q=nowhere",
        f"/alerts?cursor={encode(last_alert // 2)}",
        "/series",
        "/series?q=%7Bservice%3D%22s7%22%7D",
        "/series?q=m7_seconds+s7",
        "/series?q=nowhere",
        "/runs",
        "/runs?state=live",
        "/runs?state=failed",
        "/runs?state=running",
        "/deliveries",
        "/deliveries?state=dead",
        "/deliveries?state=due",
        "/deliveries?sink=itsm",
        "/deliveries?sink=nowhere",
        "/silences",
        "/sources",
        "/patterns",
        "/patterns?q=nowhere&order=newest",
        "/topology",
        "/ledger",
        "/ledger?within=365d",
        "/audit",
        "/audit?entity=problem",
        "/audit?entity=run",
        "/audit?actor=user7",
        "/audit?actor=nobody",
        "/audit?q=looking",
        "/audit?q=nowhere",
        "/settings",
    ]
    return {
        "/": ["/"],
        **{path: [path] for path in lists},
        "a resolved problem": [f"/problems/{i}" for i in some],
        "an open problem": [f"/problems/{i}" for i in open_],
        "a large problem": [f"/problems/{i}" for i in past.largest],
        "a problem as Markdown": [f"/problems/{i}.md" for i in [*some, *past.largest]],
        "an alert": [f"/alerts/{i}" for i in range(1, last_alert, last_alert // 20)],
        "a run": [f"/runs/{i + 1}" for i in range(0, past.problems // 3, past.problems // 60)],
        "a delivery": [f"/deliveries/{i + 1}" for i in range(0, past.problems * 3, past.problems // 7)],
        "a series": [f"/series/{ident}" for ident in _idents(series)],
        "a series that is not": [f"/series/{n:016x}" for n in range(20)],
    }


def lists(past: Past, series: int, last_alert: int) -> Kinds:
    """Lists of the API with each of their filters, and what stands behind one entry."""
    found = [
        "/problems?limit=500",
        "/problems?state=open&severity=critical",
        "/problems?state=escalated&stage=predicted",
        "/problems?state=remediating",
        "/problems?label=service%3Ds7&limit=50",
        "/problems?label=service%3Dnowhere",
        "/problems?text=1.2+s",
        "/problems?text=nowhere",
        f"/problems?cursor={encode(past.problems // 2)}&state=resolved",
        "/alerts?state=firing&kind=anomaly",
        "/alerts?state=firing&kind=limit",
        "/alerts?state=resolved",
        "/alerts?state=pending",
        "/alerts?kind=limit",
        f"/alerts?problem={past.largest[-1]}",
        f"/alerts?problem={past.problems // 2}",
        "/alerts?text=m7_seconds",
        "/alerts?text=nowhere",
        "/alerts?state=firing&text=nowhere",
        f"/alerts?cursor={encode(last_alert // 2)}",
        "/runs?state=awaiting_approval",
        "/runs?state=failed",
        "/runs?playbook=restart",
        "/runs?playbook=nowhere",
        f"/runs?problem={past.problems // 6 * 3 + 1}",
        "/deliveries?state=dead",
        "/deliveries?state=due",
        "/deliveries?sink=nowhere",
        "/deliveries?sink=itsm&state=sent",
        f"/deliveries?problem={past.problems // 2}",
        "/audit?entity=problem",
        "/audit?entity=run",
        "/audit?actor=user7",
        "/audit?actor=nobody",
        "/audit?text=looking",
        "/audit?text=nowhere",
        "/series?match=%7Bservice%3D%22s7%22%7D",
        "/series?match=m7_seconds+s7",
        "/series?match=nowhere",
        "/silences",
        "/patterns?text=nowhere",
        "/marks",
        "/marks?verdict=false",
        "/ledger",
        "/ledger/pages",
        "/holds",
        "/autonomy",
        "/topology",
        "/sources",
    ]
    return {
        **{path: [f"/api/v1{path}"] for path in found},
        "one problem": [f"/api/v1/problems/{i}" for i in [*_some(past), *_open(past)]],
        "one large problem": [f"/api/v1/problems/{i}" for i in past.largest],
        "one alert's points": [f"/api/v1/alerts/{last_alert - i}/points" for i in range(20)],
        "one series' points": [f"/api/v1/series/{ident}/points" for ident in _idents(series)],
    }


def _some(past: Past) -> list[int]:
    return [int(i) for i in past.rng.integers(1, past.open_from, 20)]


def _open(past: Past) -> list[int]:
    return [int(i) + 1 for i in past.rng.integers(past.open_from, past.problems, 20)]


def _idents(series: int) -> list[str]:
    return [fingerprint(labels_of(labels_of_series(n))) for n in range(0, series, series // 20)]

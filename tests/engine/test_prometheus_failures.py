"""The Prometheus source and servers that refuse, break off, redirect or ask who we are."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from aiops.model.frame import Frame
from aiops.plugin import Connector, Fatal, NotConnected, Retryable
from aiops.plugin.load import load
from connectors._prometheus_http import Refused, Tls
from tests.prometheus_api import PrometheusApi, pull, source

T0 = 1_700_000_010.0  # a multiple of 15


@pytest.fixture
def api() -> Iterator[PrometheusApi]:
    with PrometheusApi() as running:
        yield running


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
        ((400, {}, b'{"status":"error","error":"1:7: parse error"}'), Refused, "1:7: parse error", None),
        ((422, {}, b'{"status":"error","error":"too many samples"}'), Refused, "too many samples", None),
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
    with pytest.raises(Fatal if issubclass(kind, Fatal) else Retryable, match=words) as caught:
        await pull(one, T0, T0 + 15)
    assert type(caught.value) is kind
    if after is not None:
        assert isinstance(caught.value, Retryable)
        assert caught.value.after == after
    await one.close()


async def test_a_query_that_is_refused_does_not_stop_the_others(
    api: PrometheusApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.add({"__name__": "g", "job": "a"}, [(T0 + 15 * k, 1.0) for k in range(1, 4)])
    one = source(api, queries=[{"name": "bad", "query": 'g{job="a"}'}])
    refusal = (422, {}, b'{"status":"error","errorType":"execution","error":"too many samples"}')
    for tick in range(2):
        api.fail += [
            (200, {}, api.answer("/api/v1/query", {"query": "g[15000ms]", "time": str(T0 + 15 * tick + 15)})),
            refusal,
        ]
        assert answered(await pull(one, T0 + 15 * tick, T0 + 15 * tick + 15))
    assert [r.message for r in caplog.records if "is left out" in r.message] == [
        f'source prod: g{{job="a"}} is left out: {api.url}/api/v1/query answered 422: too many samples'
    ]
    api.fail += [refusal, refusal]
    with pytest.raises(Fatal, match="too many samples"):
        await pull(one, T0 + 30, T0 + 45)


async def test_redirect_on_the_same_server_is_followed(api: PrometheusApi) -> None:
    api.fail.append((307, {"Location": "/prom/api/v1/query?stale=1"}, b""))
    api.add({"__name__": "g", "job": "a"}, [(T0 + 15, 1.0)])
    assert answered(await pull(source(api), T0, T0 + 15))
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
    assert answered(await pull(one, T0, T0 + 15))
    assert api.requests[-1][3]["host"] == "prometheus.invalid:9090"


async def test_long_queries_are_posted(api: PrometheusApi) -> None:
    api.add({"__name__": "g", "job": "a"}, [(T0 + 15, 1.0)])
    long = '{job=~"' + "|".join(["a", *("x" * 30 for _ in range(60))]) + '"}'
    assert answered(await pull(source(api, select=[long]), T0, T0 + 15))
    assert api.requests[-1][0] == "POST"


async def test_tls_files_that_are_not_there(api: PrometheusApi, tmp_path: Path) -> None:
    with pytest.raises(Fatal, match=r"nowhere\.pem"):
        await pull(source(api, tls={"ca": str(tmp_path / "nowhere.pem")}), T0, T0 + 15)


def test_tls_without_verification() -> None:
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


def answered(frames: list[Frame]) -> bool:
    """Whether the one sample that the API holds came."""
    return [f.values.tolist() for f in frames] == [[[1.0]]]

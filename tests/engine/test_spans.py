"""Traces of the path, as a collector gets them: one from a problem's opening to its ticket and its repair."""

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from aiops.config.complaint import ConfigError
from aiops.config.operation import Traces
from aiops.config.read import read
from aiops.engine.clock import SystemClock
from aiops.engine.engine import Engine
from aiops.engine.spans import CLIENT, Span, Spans, current, first_of, remote, within
from aiops.engine.trace import Traced, about
from aiops.testing import FakeClock, eventually
from tests.bench.gen import message, pack
from tests.collector import Collector
from tests.database import free_port
from tests.receiver import SECRET, Receiver

CONFIG = """
store: sqlite:///{folder}/forewarn.db
data: {folder}
sources: [{{kind: host, every: 200ms}}, {{kind: remote_write, name: push}}]
limits: [{{name: depth, match: queue_depth, breach: {{above: 5}}}}]
sinks: [{{kind: webhook, name: itsm, url: "http://127.0.0.1:{sink}/", secret: {{env: ITSM_SECRET}}}}]
playbooks: [{folder}/repair.yaml]
remediation: {{enabled: true}}
telemetry:
  traces: {{endpoint: "{collector}", headers: {{x-key: {{env: COLLECTOR_KEY}}}}, sample: {sample}}}
"""
REPAIR = """
playbook: repair
match: 'true'
autonomy: auto
steps:
  - fix: {action: command, argv: ["true"], idempotent: true}
verify: {command: {argv: ["true"]}, times: 1, every: 1s, within: 10s}
"""
SENDER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
"""The example of the recommendation."""
TOLD_BY_SENDER = "0af7651916cd43dd8448eb211c80319c"


class Lines(logging.Handler):
    """What is said, and what it is about."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[str, dict[str, str]]] = []
        self.addFilter(Traced())

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append((record.getMessage(), record.__dict__["about"]))


@pytest.fixture
async def told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Collector, Receiver, Lines]]:
    """A problem from a pushed sample to its repair by a real engine, which has stopped."""
    monkeypatch.setenv("ITSM_SECRET", SECRET)
    monkeypatch.setenv("COLLECTOR_KEY", "open-sesame-open")
    (tmp_path / "repair.yaml").write_text(REPAIR)
    lines, root = Lines(), logging.getLogger("aiops")
    root.addHandler(lines)
    before, root.level = root.level, logging.INFO
    async with Receiver().serve() as itsm:
        with Collector().serve() as collector:
            file = tmp_path / "forewarn.yaml"
            keys = {"folder": tmp_path, "sink": itsm.port, "collector": collector.url, "sample": 0}
            file.write_text(CONFIG.format(**keys))
            engine = Engine(read(file), file)
            await engine.start()
            try:
                app = httpx.ASGITransport(engine.receiving)
                async with httpx.AsyncClient(transport=app, base_url="http://here") as client:
                    named = [("__name__", "queue_depth"), ("service", "web")]
                    body = pack(message([(named, [(int(time.time() * 1000), 9.0)])]))
                    headers = {"Content-Encoding": "snappy", "traceparent": SENDER}
                    answer = await client.post("/receive/push/api/v1/write", content=body, headers=headers)
                assert answer.status_code == 204
                await eventually(lambda: any("=> succeeded" in said for said, _ in lines.said), 30)
                await eventually(lambda: itsm.requests, 30)
            finally:
                await engine.stop()
                root.removeHandler(lines)
                root.level = before
            yield collector, itsm, lines


async def test_a_problem_is_one_trace_from_its_opening_to_ticket_and_repair(
    told: tuple[Collector, Receiver, Lines],
) -> None:
    collector, itsm, lines = told
    first = collector.one("problem opened")
    assert first.parent == ""
    assert {"forewarn.title", "forewarn.severity", "forewarn.problem_key"} <= first.about.keys()
    assert first.trace == first_of(first.about["forewarn.problem_key"]).hex
    parts = collector.under(first)
    stages = ["take in", "answer", "detect", "hear", "alert", "correlate", "explain", "remediate"]
    assert parts[:8] == stages
    assert {"store", "deliver opened", "run repair"} <= set(parts)
    repair = collector.one("run repair")
    assert repair.about["forewarn.state"] == "succeeded"
    assert (
        collector.under(repair) == ["step fix", "verify verify"] or collector.under(repair)[0] == "step fix"
    )
    deliver = collector.named("deliver opened")[0]
    assert deliver.about["forewarn.sink"] == "itsm"
    assert first.begun <= deliver.begun <= deliver.ended
    sent = next(one for one in itsm.requests if b".opened" in one.body)
    assert sent.headers["traceparent"] == f"00-{deliver.trace}-{deliver.ident}-01"
    assert all(one["x-key"] == "open-sesame-open" for one in collector.headers)
    assert collector.resource["service.name"] == "forewarn"
    opened = next(about for said, about in lines.said if "new => open" in said)
    assert opened["trace_id"] == first.trace
    ended = next(about for said, about in lines.said if "=> succeeded" in said)
    assert ended["trace_id"] == first.trace


async def test_a_sender_that_tells_of_its_request_finds_it_in_its_own_trace(
    told: tuple[Collector, Receiver, Lines],
) -> None:
    collector, _, _ = told
    taken = collector.one("receive push")
    assert (taken.trace, taken.parent) == (TOLD_BY_SENDER, "b7ad6b7169203331")
    assert collector.under(taken) == ["wait", "step"]
    assert collector.one("problem opened").links == (TOLD_BY_SENDER,)
    assert not [one for one in collector.spans if one.name.startswith("pull ")], "none of them is sampled"


async def test_pulls_are_told_with_what_comes_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    with Collector().serve() as collector:
        whole = lambda: collector.named("pull host")  # noqa: E731
        file = tmp_path / "forewarn.yaml"
        text = "store: sqlite:///{folder}/f.db\ndata: {folder}\nsources: [{{kind: host, every: 200ms}}]\n"
        file.write_text(text.format(folder=tmp_path))
        engine = Engine(read(file), file)
        await engine.start()
        try:
            more = f"telemetry: {{traces: {{endpoint: '{collector.url}', sample: 1}}}}\n"
            file.write_text(file.read_text() + more)
            await engine.reload()
            await eventually(lambda: [one for one in whole() if "step" in collector.under(one)], 30)
        finally:
            await engine.stop()
        pull = next(one for one in whole() if "step" in collector.under(one))
        step = next(one for one in collector.named("step") if one.parent == pull.ident)
    assert {"wait", "step"} <= set(collector.under(pull))
    assert collector.under(step)[:3] == ["answer", "detect", "hear"]
    assert engine.metrics.registry.get_sample_value("forewarn_trace_spans_total", {"outcome": "sent"})


def test_nothing_of_it_is_loaded_while_nobody_wants_traces() -> None:
    look = "import sys, aiops.engine.engine; print([m for m in sys.modules if 'opentelemetry.sdk' in m])"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    spans = Spans(FakeClock())
    assert spans.of_problem("fw-1", "deliver", {}) is None
    assert spans.sampled("pull", CLIENT, {}, SENDER) is None
    with spans.opened(None), within("part", {}) as part:
        assert (part, current(), about()) == (None, None, {})


def test_every_engine_gives_a_problem_the_same_numbers() -> None:
    first = first_of("fw-0123456789abcdef0123")
    assert (first.hex, f"{first.ident:016x}") == ("ef1bb6eabd83c8df0505927fa01267c8", "f0b970977b9b372f")
    assert first_of("fw-1").hex != first_of("fw-2").hex


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (SENDER, True),
        (SENDER[:-2] + "00", False),
        ("ff" + SENDER[2:], False),
        ("00-" + "0" * 32 + "-b7ad6b7169203331-01", False),
        ("00-x-y-01", False),
        ("", False),
        (SENDER + "-of-a-later-version", True),
    ],
)
def test_a_senders_trace_goes_on_when_it_is_told(header: str, known: bool) -> None:
    found = remote(header)
    assert (found is not None) == known
    assert found is None or found.hex == TOLD_BY_SENDER


def test_what_fails_is_told_as_such_and_secrets_are_not() -> None:
    with Collector().serve() as collector:
        spans = Spans(SystemClock())
        spans.follow(Traces(endpoint=collector.url), "here")
        with (
            pytest.raises(LookupError),
            spans.opened(spans.of_problem("fw-1", "deliver", {"title": "token=abc123xyz"})),
        ):
            raise LookupError
        spans.close()
        assert not spans.on
    (one,) = collector.spans
    assert (one.error, one.about) == ("LookupError", {"forewarn.title": "token=***"})


def test_a_collector_that_is_away_holds_up_nothing(caplog: pytest.LogCaptureFixture) -> None:
    counted: list[tuple[str, int]] = []
    spans = Spans(SystemClock(), lambda outcome, count: counted.append((outcome, count)))
    spans.follow(Traces(endpoint=f"http://127.0.0.1:{free_port()}"), "here")
    started = time.monotonic()
    for number in range(5000):
        spans.tell(Span("step", 1, number + 1, begun=0.0))
    assert time.monotonic() - started < 30, "5,000 spans, of which most are let go"
    started = time.monotonic()
    with caplog.at_level(logging.WARNING, "aiops.engine"):
        spans.close()
    assert time.monotonic() - started < 20, "which takes the exporter 30 s, left to itself"
    assert sum(count for outcome, count in counted if outcome == "failed") >= 2048
    assert caplog.text.count("traces cannot be sent") == 1


def test_an_unreadable_header_is_named_and_turns_traces_off(caplog: pytest.LogCaptureFixture) -> None:
    spans = Spans(SystemClock())
    with caplog.at_level(logging.ERROR, "aiops.engine"):
        spans.follow(
            Traces.model_validate({"endpoint": "http://c:1", "headers": {"a": {"env": "NO_SUCH"}}}), "e"
        )
    assert "NO_SUCH" in caplog.text
    assert not spans.on


@pytest.mark.parametrize("endpoint", ["collector:4317", "ftp://collector", "http://me:secret@collector:4318"])
async def test_an_address_that_cannot_be_meant_is_refused(tmp_path: Path, endpoint: str) -> None:
    file = tmp_path / "forewarn.yaml"
    await asyncio.to_thread(
        file.write_text, f"sources: [{{kind: host}}]\ntelemetry: {{traces: {{endpoint: '{endpoint}'}}}}\n"
    )
    with pytest.raises(ConfigError, match=r"an address such as http|credentials do not belong"):
        read(file)

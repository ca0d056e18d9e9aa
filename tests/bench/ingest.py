"""Remote-write bytes to score, through the real HTTP receiver of a whole engine; samples a second of CPU.

    python -m tests.bench.ingest [--series 100000] [--rounds 5]

The sender is another process, over loopback and four kept connections, as Prometheus' shards are. The peer
that `ratio_protobuf_dict_gaussian` compares with takes the same bytes, interleaved: snappy, the official
protobuf runtime (upb), a dict of label tuples, and river's GaussianScorer, one Gaussian a series.
"""

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import cramjam
import numpy as np
import psutil
import uvloop

from tests.bench.gen import Sender, kubelet
from tests.database import free_port

CONNECTIONS = 4
WARM = 36
"""Ticks before it counts: detectors score after 30 samples."""
TICKS = 20
"""Of one round."""
PATH = "/receive/push/api/v1/write"
FLOOR, FLOOR_RATIO = 4_000_000, 30.0


def serve(port: int, folder: str) -> None:
    """The measured process: ``forewarn run`` without its terminal output."""
    from aiops.config import Config
    from aiops.engine.main import serve as run
    from aiops.web.app import create_app

    config = Config.model_validate(
        {
            "store": f"sqlite:///{folder}/forewarn.db",
            "data": folder,
            "web": {"listen": f"127.0.0.1:{port}"},
            "sources": [{"kind": "remote_write", "name": "push"}],
            "checkpoint_every": "1h",
        }
    )
    uvloop.run(run(config, None, create_app, lambda engine, token: None))


class Client:
    """Keeps its connections and spreads requests over them."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.connect()

    def connect(self) -> None:
        """Anew: the server closes connections that were idle for 5 s."""
        self._lines = [
            http.client.HTTPConnection("127.0.0.1", self._port, timeout=60) for _ in range(CONNECTIONS)
        ]

    def send(self, bodies: list[bytes]) -> None:
        parts = [bodies[k::CONNECTIONS] for k in range(CONNECTIONS)]
        threads = [threading.Thread(target=_post, args=pair) for pair in zip(self._lines, parts, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def taken(self) -> float:
        """Samples that the pipeline has taken, from the engine's own metrics."""
        line = self._lines[0]
        line.request("GET", "/metrics")
        text = line.getresponse().read().decode()
        found = [one for one in text.splitlines() if one.startswith("forewarn_samples_total")]
        return float(found[0].rsplit(" ", 1)[1]) if found else 0.0


def _post(line: http.client.HTTPConnection, bodies: list[bytes]) -> None:
    for body in bodies:
        line.request("POST", PATH, body, {"Content-Encoding": "snappy"})
        answer = line.getresponse()
        answer.read()
        if answer.status != 204:
            raise RuntimeError(f"{answer.status} {answer.reason}")


class Peer:
    """What one would write with what is there."""

    def __init__(self) -> None:
        from river import anomaly

        self._made = anomaly.GaussianScorer
        self._scorers: dict[tuple[tuple[str, str], ...], Any] = {}
        self._request = _write_request()

    def take(self, body: bytes) -> int:
        request = self._request()
        request.ParseFromString(bytes(cramjam.snappy.decompress_raw(body)))
        for series in request.timeseries:
            key = tuple((label.name, label.value) for label in series.labels)
            scorer = self._scorers.get(key)
            if scorer is None:
                scorer = self._scorers[key] = self._made(grace_period=30)
            for sample in series.samples:
                scorer.score_one(None, sample.value)
                scorer.learn_one(None, sample.value)
        return len(request.timeseries)


def _write_request() -> Any:
    """The official runtime's class of ``prometheus.WriteRequest``."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="rw.proto", package="prometheus", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    text, double, integer, inner = kinds.TYPE_STRING, kinds.TYPE_DOUBLE, kinds.TYPE_INT64, kinds.TYPE_MESSAGE
    shapes = {
        "Label": [("name", 1, text, 1, ""), ("value", 2, text, 1, "")],
        "Sample": [("value", 1, double, 1, ""), ("timestamp", 2, integer, 1, "")],
        "TimeSeries": [("labels", 1, inner, 3, "Label"), ("samples", 2, inner, 3, "Sample")],
        "WriteRequest": [("timeseries", 1, inner, 3, "TimeSeries")],
    }
    for name, fields in shapes.items():
        message = file.message_type.add(name=name)
        for field, number, kind, label, other in fields:
            made = message.field.add(name=field, number=number, type=kind, label=label)
            if other:
                made.type_name = f".prometheus.{other}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("prometheus.WriteRequest"))


def bench(series: int, rounds: int) -> dict[str, Any]:
    sender, chance = Sender(kubelet(series)), np.random.default_rng(0)
    levels = chance.normal(50, 2, series)
    at = int(time.time() * 1000)
    peer = Peer()
    rates: list[float] = []
    theirs: list[float] = []

    def tick() -> list[bytes]:
        nonlocal at
        at += 1000
        levels[:] += chance.normal(0, 1, series)
        return list(sender.requests(at, levels))

    with tempfile.TemporaryDirectory(prefix="forewarn-bench-") as folder:
        port = free_port()
        server = subprocess.Popen([sys.executable, "-m", "tests.bench.ingest", "--serve", str(port), folder])
        try:
            client, measured = _connect(port), psutil.Process(server.pid)
            for _ in range(WARM):
                bodies = [tick()]
                client.connect()
                client.send(bodies[0])
            _drain(client, 0)
            for _ in range(rounds):
                bodies = [tick() for _ in range(TICKS)]
                client.connect()
                before, taken = _cpu(measured), client.taken()
                for one in bodies:
                    client.send(one)
                _drain(client, taken + series * TICKS * 0.5)
                rates.append(series * TICKS / (_cpu(measured) - before))
                for body in bodies[0][:2]:
                    peer.take(body)
                start = time.process_time()
                count = sum(peer.take(body) for one in bodies[1:] for body in one[:2])
                theirs.append(count / (time.process_time() - start))
        finally:
            server.terminate()
            server.wait(30)
    ours, other = statistics.median(rates), statistics.median(theirs)
    return {
        "series": series,
        "samples_per_s_core": round(ours),
        "peer_samples_per_s_core": round(other),
        "ratio_protobuf_dict_gaussian": round(
            statistics.median(a / b for a, b in zip(rates, theirs, strict=True)), 1
        ),
        "floor": FLOOR,
        "floor_ratio": FLOOR_RATIO,
    }


def _connect(port: int) -> Client:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            client = Client(port)
            client.taken()
            return client
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the engine did not start")


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _drain(client: Client, least: float) -> None:
    """Wait until the pipeline has taken what was sent."""
    last = -1.0
    while (now := client.taken()) != last or now < least:
        last = now
        time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--series", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", nargs=2, metavar=("PORT", "FOLDER"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(int(chosen.serve[0]), str(Path(chosen.serve[1])))
        return
    found = bench(chosen.series, chosen.rounds)
    print(json.dumps(found))


if __name__ == "__main__":
    main()

"""Hours of a full day's load: memory, errors, and the time from sample to score.

    python -m tests.bench.soak [--minutes 60] [--series 300000] [--lines 20000] [--interval 15] [--warm-up 20]

A whole ``forewarn run``: every `--interval` s all series are remote-written by kept connections, 2,000 a
request, as Prometheus' shards do; a file grows by `--lines` lines a second; each minute three services breach
a limit for 20 s, each a problem with a ticket and a run of a playbook, which ends and resolves.

``rss_growth``: the median memory of the last tenth of the time over that of the tenth after the warm-up.
``errors``: requests that were refused or failed, error lines of the log, dead letters. ``p99_s``: of the time
from a sample to all that it brought about (`forewarn_sample_age_seconds`), an upper bound by its buckets,
after the warm-up.
"""

import argparse
import http.client
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.gen import Sender, kubelet, message, pack
from tests.fault_stand import PUSH, Stand, stand

CONNECTIONS = 4
BREACHES = 3
LASTS = 20.0
PLAYBOOK = """\
playbook: soak
match: 'problem.labels.service.startsWith("soak")'
autonomy: auto
guards: {cooldown: 1s}
steps:
  - note: {action: command, argv: ["true"], idempotent: true}
verify: {command: {argv: ["true"]}, times: 1, every: 1s, within: 10s}
"""


@dataclass
class Found:
    refused: int = 0
    sent: int = 0
    ticks: int = 0
    late_ticks: int = 0
    rss: list[tuple[float, int]] = field(default_factory=list)
    lines: int = 0


def remote_write(one: Stand, series: int, interval: float, over: threading.Event, found: Found) -> None:
    """All series every `interval` seconds, spread over it, as shards do."""
    sender, dice = Sender(kubelet(series)), np.random.default_rng(0)
    levels = dice.normal(50, 2, series)
    lines = [
        http.client.HTTPConnection("127.0.0.1", one.forewarn.port, timeout=60) for _ in range(CONNECTIONS)
    ]
    due = time.time()
    while not over.is_set():
        levels += dice.normal(0, 0.5, series)
        at = int(time.time() * 1000)
        for number, body in enumerate(sender.requests(at, levels)):
            found.refused += not _post(lines, number % CONNECTIONS, one, body, over)
            found.sent += 1
        found.ticks += 1
        due += interval
        found.late_ticks += time.time() > due
        over.wait(max(0.0, due - time.time()))


def _post(
    lines: list[http.client.HTTPConnection], place: int, one: Stand, body: bytes, over: threading.Event
) -> bool:
    """Sent again when it is to be: 429 is backpressure and no error, if it is taken in the end."""
    for _ in range(20):
        try:
            lines[place].request("POST", PUSH, body, {"Content-Encoding": "snappy"})
            answer = lines[place].getresponse()
            answer.read()
            if answer.status == 204:
                return True
            if answer.status != 429:
                return False
        except (OSError, http.client.HTTPException):
            lines[place].close()  # an idle connection was closed: Go's client does the same
        if over.wait(0.2):
            return True
    return False


def write_lines(path: Path, rate: int, over: threading.Event, found: Found) -> None:
    dice = random.Random(0)
    kinds = [f"service-{n} handled request {{}} of user {{}} in {{}} ms" for n in range(200)]
    with path.open("a") as file:
        due = time.time()
        while not over.is_set():
            for _ in range(max(1, rate // 10)):
                word = dice.choice(kinds).format(
                    dice.randrange(10**9), dice.randrange(10**6), dice.randrange(900)
                )
                file.write(word + "\n")
            found.lines += max(1, rate // 10)
            file.flush()
            due += 0.1
            over.wait(max(0.0, due - time.time()))
            if file.tell() > 200_000_000:
                file.truncate(0)


def trouble(one: Stand, over: threading.Event, found: Found) -> None:
    """Every minute some services breach for a while, and are well again."""
    minute = 0
    while not over.wait(60.0 if minute else 20.0):
        minute += 1
        end = time.time() + LASTS
        while not over.is_set() and time.time() < end + 10:
            value = 9.0 if time.time() < end else 1.0
            at = int(time.time() * 1000)
            named = [
                ([("__name__", "queue_depth"), ("service", f"soak-{n}")], [(at, value)])
                for n in range(BREACHES)
            ]
            found.refused += one.push(pack(message(named))) not in (204, 429)
            over.wait(2)


def scraped(one: Stand) -> dict[str, float]:
    line = http.client.HTTPConnection("127.0.0.1", one.forewarn.port, timeout=30)
    line.request("GET", "/metrics")
    text = line.getresponse().read().decode()
    line.close()
    rows = (row.rpartition(" ") for row in text.splitlines() if not row.startswith("#"))
    return {name: float(value) for name, _, value in rows}


def p99(before: dict[str, float], after: dict[str, float]) -> float:
    """Upper end of the bucket in which the 99th of 100 samples lies, in seconds."""
    name = 'forewarn_sample_age_seconds_bucket{le="'
    grown = {
        float(key.removeprefix(name).rstrip('"}')): after[key] - before.get(key, 0.0)
        for key in after
        if key.startswith(name)
    }
    total = max(grown.values(), default=0.0)
    return min(
        (edge for edge, count in grown.items() if total and count >= 0.99 * total), default=float("nan")
    )


def growth(rss: list[tuple[float, int]], warm: float, end: float) -> float:
    tenth = (end - warm) / 10
    first = [size for at, size in rss if warm <= at <= warm + tenth]
    last = [size for at, size in rss if at >= end - tenth]
    return statistics.median(last) / statistics.median(first) - 1 if first and last else float("nan")


def bench(given: argparse.Namespace) -> dict[str, Any]:
    found, over = Found(), threading.Event()
    with tempfile.TemporaryDirectory(prefix="forewarn-soak-") as place:
        folder = Path(place)
        (folder / "soak.yaml").write_text(PLAYBOOK)
        log = folder / "app.log"
        log.write_text("")
        files = {"kind": "file", "name": "app", "path": str(log), "every": "1s"}
        keys = {"playbooks": [str(folder / "soak.yaml")], "remediation": {"enabled": True}}
        alerting = {"resolve_after": "10s"}
        with stand(folder, sources=[files], checkpoint_every="60s", alerting=alerting, **keys) as one:
            work = [
                threading.Thread(target=remote_write, args=(one, given.series, given.interval, over, found)),
                threading.Thread(target=write_lines, args=(log, given.lines, over, found)),
                threading.Thread(target=trouble, args=(one, over, found)),
            ]
            for thread in work:
                thread.start()
            started, warm = time.time(), {}
            try:
                while (past := time.time() - started) < 60 * given.minutes:
                    if not warm and past >= 60 * given.warm_up:
                        warm = scraped(one)
                    found.rss.append((past, one.forewarn.rss_bytes()))
                    one.alive()
                    time.sleep(2)
                last = scraped(one)
            finally:
                over.set()
                for thread in work:
                    thread.join()
            return told(given, one, found, warm, last)


def told(
    given: argparse.Namespace, one: Stand, found: Found, warm: dict[str, float], last: dict[str, float]
) -> dict[str, Any]:
    lines = [row for row in one.forewarn.log.read_text(errors="replace").splitlines() if " ERROR " in row]
    for row in lines[:5]:
        print(row, file=sys.stderr)
    dead = int(last.get("forewarn_deliveries_dead", 0))
    total = {
        name: sum(v for k, v in last.items() if k.startswith(name)) for name in ("forewarn_log_lines_total",)
    }
    problems = one.forewarn.get("/problems?limit=500")["items"]
    runs = one.forewarn.get("/runs?limit=500")["items"]
    grown = growth(found.rss, 60 * given.warm_up, 60 * given.minutes)
    return {
        "bench": "soak",
        "minutes": given.minutes,
        "series": given.series,
        "ticks": found.ticks,
        "late_ticks": found.late_ticks,
        "requests": found.sent,
        "log_lines": int(total["forewarn_log_lines_total"]),
        "log_lines_written": found.lines,
        "problems": len(problems),
        "tickets": len(one.itsm.tickets()),
        "runs": len(runs),
        "rss_mb": round(found.rss[-1][1] / 1e6),
        "rss_growth": round(grown, 4),
        "errors": found.refused + len(lines) + dead,
        "p99_s": p99(warm, last),
    }


def main() -> None:
    asking = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    asking.add_argument("--minutes", type=float, default=60.0)
    asking.add_argument("--series", type=int, default=300_000)
    asking.add_argument("--lines", type=int, default=20_000)
    asking.add_argument("--interval", type=float, default=15.0)
    asking.add_argument("--warm-up", type=float, default=20.0, help="Minutes before anything counts.")
    print(json.dumps(bench(asking.parse_args())))


if __name__ == "__main__":
    main()

"""Hours of a full day's load: memory, errors, and the time from sample to score.

    python -m tests.bench.soak [--minutes 60] [--series 300000] [--lines 20000] [--interval 15] [--warm-up 20]

A whole ``forewarn run``: every `--interval` s all series are remote-written by kept connections, 2,000 a
request, spread over the interval as scrapes are; a file grows by `--lines` lines a second; each minute three
services breach a limit for 20 s: problems with a ticket and a run of a playbook, which end and resolve.

``rss_growth``: the median memory of the last tenth of the time over that of the tenth after the warm-up.
``errors``: requests that were refused or failed, error lines of the log, dead letters. ``p99_s``: of the time
from when a pushed sample was due to all that it brought about (`forewarn_sample_age_seconds`), an upper
bound by its buckets, after the warm-up; in it is ``p99_sender_late_s``, by which the bench itself was late.
Rates of log lines (``p99_log_rates_s``) are of steps of 10 s, and wait for lines that were read late.
``state_grown_mb``: by how much learnt state grew after the warm-up, by its parts; ``processors``: how many
the process took meanwhile.
"""

import argparse
import http.client
import json
import math
import os
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
LOOK = 2.0  # seconds between two looks at the memory
CPU = "forewarn_cpu_seconds"
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
    shards: list["Shard"] = field(default_factory=list)
    rss: list[tuple[float, int]] = field(default_factory=list)
    lines: int = 0


@dataclass
class Shard:
    """One connection and its share of the series, each sent when it is due, spread over the interval.

    Samples bear the time at which they were due, whenever they are sent: what a slow engine holds up is not
    taken off its account, and neither is what this bench itself is late. They are due on whole seconds, the
    receiver's `resolution`: it stamps a row with the second in which its samples lie, and what is measured
    from there would be up to a second too much.
    """

    one: Stand
    sender: Sender
    numbers: range
    """Of its requests, among those of all."""
    interval: float
    found: Found
    ticks: int = 0
    late: list[float] = field(default_factory=list)
    """Seconds from when a request was due, and the former one answered, to its sending: the bench's own."""

    def run(self, begun: float, over: threading.Event) -> None:
        line = http.client.HTTPConnection("127.0.0.1", self.one.forewarn.port, timeout=60)
        dice = np.random.default_rng(self.numbers.start)
        levels = {number: dice.normal(50, 2, self.sender.batch) for number in self.numbers}
        total, free = -(-len(self.sender) // self.sender.batch), time.time()
        while not over.is_set():
            for number in self.numbers:
                due = math.floor(begun + self.interval * (self.ticks + number / total))
                if over.wait(max(0.0, due - time.time())):
                    return
                levels[number] += dice.normal(0, 0.5, self.sender.batch)
                body = self.sender.request(number, int(due * 1000), levels[number])
                self.late.append(max(0.0, time.time() - max(due, free)))
                self.found.refused += not _post(line, self.one, body, over)
                self.found.sent += 1
                free = time.time()
            self.ticks += 1


def remote_write(
    one: Stand, series: int, interval: float, over: threading.Event, found: Found
) -> list[threading.Thread]:
    """All series every `interval` seconds, by connections that wait for nobody but their own answers."""
    sender = Sender(kubelet(series))
    total = -(-series // sender.batch)
    found.shards = [
        Shard(one, sender, range(start, total, CONNECTIONS), interval, found) for start in range(CONNECTIONS)
    ]
    begun = math.ceil(time.time() + 1.0)
    return [threading.Thread(target=shard.run, args=(begun, over)) for shard in found.shards]


def _post(line: http.client.HTTPConnection, one: Stand, body: bytes, over: threading.Event) -> bool:
    """Sent again when it is to be: 429 is backpressure and no error, if it is taken in the end."""
    for _ in range(20):
        try:
            line.request("POST", PUSH, body, {"Content-Encoding": "snappy"})
            answer = line.getresponse()
            answer.read()
            if answer.status == 204:
                return True
            if answer.status != 429:
                return False
        except (OSError, http.client.HTTPException):
            line.close()  # an idle connection was closed: Go's client does the same
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


def p99(source: str, before: dict[str, float], after: dict[str, float]) -> float:
    """Upper end of the bucket in which the 99th of 100 rows of `source` lies, in seconds."""
    name, end = 'forewarn_sample_age_seconds_bucket{le="', f'",source="{source}"}}'
    grown = {
        float(key.removeprefix(name).removesuffix(end)): after[key] - before.get(key, 0.0)
        for key in after
        if key.startswith(name) and key.endswith(end)
    }
    total = max(grown.values(), default=0.0)
    return min(
        (edge for edge, count in grown.items() if total and count >= 0.99 * total), default=float("nan")
    )


def _p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(0.99 * len(seconds))] if seconds else float("nan")


def growth(rss: list[tuple[float, int]], warm: float, end: float) -> float:
    tenth = (end - warm) / 10
    first = [size for at, size in rss if warm <= at <= warm + tenth]
    last = [size for at, size in rss if at >= end - tenth]
    return statistics.median(last) / statistics.median(first) - 1 if first and last else float("nan")


def state_grown(warm: dict[str, float], last: dict[str, float]) -> dict[str, float]:
    """Parts of the learnt state that have become larger, in MB."""
    name, end = 'forewarn_state_bytes{part="', '"}'
    grown = {
        key.removeprefix(name).removesuffix(end): round((last[key] - warm.get(key, 0.0)) / 1e6, 1)
        for key in last
        if key.startswith(name)
    }
    return {part: size for part, size in grown.items() if size}


def bench(given: argparse.Namespace) -> dict[str, Any]:
    found, over = Found(), threading.Event()
    with tempfile.TemporaryDirectory(prefix="forewarn-soak-") as place:
        folder = Path(place)
        (folder / "soak.yaml").write_text(PLAYBOOK)
        log = folder / "app.log"
        log.write_text("")
        files = {"kind": "file", "name": "app", "path": str(log), "every": "1s"}
        keys: dict[str, Any] = {"playbooks": [str(folder / "soak.yaml")], "remediation": {"enabled": True}}
        alerting = {"resolve_after": "10s"}
        with stand(folder, sources=[files], checkpoint_every="60s", alerting=alerting, **keys) as one:
            work = [
                *remote_write(one, given.series, given.interval, over, found),
                threading.Thread(target=write_lines, args=(log, given.lines, over, found)),
                threading.Thread(target=trouble, args=(one, over, found)),
            ]
            for thread in work:
                thread.start()
            started = time.time()
            warm: dict[str, float] = {}
            try:
                while (past := time.time() - started) < 60 * given.minutes:
                    if not warm and past >= 60 * given.warm_up:
                        warm = scraped(one)
                    found.rss.append((past, one.forewarn.rss_bytes()))
                    one.alive()
                    time.sleep(LOOK)
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
        "ticks": min(shard.ticks for shard in found.shards),
        "requests": found.sent,
        "log_lines": int(total["forewarn_log_lines_total"]),
        "log_lines_written": found.lines,
        "problems": len(problems),
        "tickets": len(one.itsm.tickets()),
        "runs": len(runs),
        "rss_mb_each_minute": [round(size / 1e6) for _, size in found.rss[:: round(60 / LOOK)]],
        "rss_growth": round(grown, 4),
        "state_grown_mb": state_grown(warm, last),
        "processors": round((last[CPU] - warm.get(CPU, 0.0)) / (60 * (given.minutes - given.warm_up)), 2),
        "errors": found.refused + len(lines) + dead,
        "p99_s": p99("push", warm, last),
        "p99_sender_late_s": round(_p99([late for shard in found.shards for late in shard.late]), 3),
        "p99_host_s": p99("host", warm, last),
        "p99_log_rates_s": p99("app logs", warm, last),
        "load": os.getloadavg()[0],
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

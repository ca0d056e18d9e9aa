"""Lines a second on one core, beside drain3 and drain3-improved in one run; memory under endless ids.

    python -m tests.bench.log_throughput [--data DIR] [--lines N] [--peers DIR]

Every contestant runs in a process of its own, on the same lines in the same order, timed by its CPU time, so
that a busy machine does not tilt the comparison. `replay`: the 8 systems of LogHub-2k one after the other,
again and again, every decimal digit drawn anew each time. `hex`: random 128-bit ids and host names. `hdfs`:
lines in the form of HDFS's data node. `ids`: each line bears a random id, a name and a path, for the memory.
Both peers have their default settings; they are installed into --peers, apart, as both are called drain3.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[2]
PEERS = {"drain3": ["drain3", "cachetools<6", "jsonpickle"], "drain3-improved": ["drain3-improved"]}
BLOCK = 5000
SEED = 20240607


def replay(count: int, data: Path) -> Iterator[list[str]]:
    rng = random.Random(SEED)
    systems = []
    for folder in sorted(data.iterdir()):
        text = (folder / f"{folder.name}_2k.log").read_text(encoding="utf-8", errors="replace")
        systems.append(text.removesuffix("\n").split("\n"))
    given = 0
    while given < count:
        for lines in systems:
            yield [
                "".join(str(rng.randrange(10)) if c in "0123456789" else c for c in line) for line in lines
            ]
            given += len(lines)


def hexes(count: int, data: Path) -> Iterator[list[str]]:
    rng = random.Random(SEED)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(rng.choices(letters, k=rng.randint(3, 9))) for _ in range(5000)]
    for _ in range(0, count, BLOCK):
        yield [
            f"req {rng.getrandbits(128):032x} from {rng.choice(words)}.{rng.choice(words)} "
            f"took {rng.random():.3f}s"
            for _ in range(BLOCK)
        ]


def hdfs(count: int, data: Path) -> Iterator[list[str]]:
    rng = random.Random(SEED)

    def ip() -> str:
        return (
            f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(256)}:{rng.randrange(1024, 65536)}"
        )

    def block() -> str:
        return f"blk_{rng.choice(('', '-'))}{rng.getrandbits(63)}"

    forms: list[Callable[[], str]] = [
        lambda: f"PacketResponder {rng.randrange(3)} for block {block()} terminating",
        lambda: f"Receiving block {block()} src: /{ip()} dest: /{ip()}",
        lambda: f"Received block {block()} of size {rng.getrandbits(26)} from /{ip()}",
        lambda: (
            f"BLOCK* NameSystem.addStoredBlock: blockMap updated: {ip()} is added to {block()} size 67108864"
        ),
        lambda: f"Verification succeeded for {block()}",
        lambda: f"{ip()} Served block {block()} to /{ip()}",
    ]
    pool = [[rng.choice(forms)() for _ in range(BLOCK)] for _ in range(20)]
    for number in range(0, count, BLOCK):
        yield pool[number // BLOCK % len(pool)]


def endless(count: int, data: Path) -> Iterator[list[str]]:
    rng = random.Random(SEED)
    letters = "abcdefghijklmnopqrstuvwxyz"
    for _ in range(0, count, BLOCK):
        yield [
            f"session {rng.getrandbits(64):016x} of user {''.join(rng.choices(letters, k=8))} opened "
            f"/home/{''.join(rng.choices(letters, k=6))}/{rng.getrandbits(30)} in {rng.randrange(900)} ms"
            for _ in range(BLOCK)
        ]


STREAMS = {"replay": replay, "hex": hexes, "hdfs": hdfs, "ids": endless}


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--data", type=Path, default=HOUSE.parent / "shared/benchmarks/logs")
    ask.add_argument("--peers", type=Path, default=HOUSE / "build/bench")
    ask.add_argument("--lines", type=int, default=5_000_000, help="for the memory")
    ask.add_argument("--contest", nargs=3, metavar=("WHO", "STREAM", "COUNT"), help=argparse.SUPPRESS)
    chosen = ask.parse_args()
    if chosen.contest:
        who, stream, count = chosen.contest
        print(json.dumps(contest(who, stream, int(count), chosen.data)))
        return
    install(chosen.peers)
    found: dict[str, float] = {}
    for stream, count in (("replay", 64_000), ("hex", 200_000)):
        speed = {who: run(who, stream, count, chosen)["lines_per_s"] for who in ("forewarn", *PEERS)}
        best = max(speed[who] for who in PEERS)
        print(stream, {who: round(value) for who, value in speed.items()})
        found |= {
            f"ratio_{stream}": round(speed["forewarn"] / best, 2),
            f"lines_per_s_{stream}": speed["forewarn"],
        }
    found["lines_per_s_core"] = run("forewarn", "hdfs", 4_000_000, chosen)["lines_per_s"]
    memory = run("forewarn", "ids", chosen.lines, chosen)
    found |= {"rss_delta_mb": memory["rss_delta_mb"], "lines_per_s_ids": memory["lines_per_s"]}
    found["templates_ids"] = memory["templates"]
    print(json.dumps({"bench": "log_throughput", "seed": SEED, **found}))


def install(folder: Path) -> None:
    for who, packages in PEERS.items():
        if not (folder / who / "drain3").exists():
            pip = [sys.executable, "-m", "pip", "install", "-qq", "--target", str(folder / who)]
            if who == "drain3":  # its pins are of 2021 and have no wheels for this Python
                subprocess.run([*pip, "--no-deps", packages[0]], check=True)
                subprocess.run([*pip, *packages[1:]], check=True)
            else:
                subprocess.run([*pip, *packages], check=True)


def run(who: str, stream: str, count: int, chosen: argparse.Namespace) -> dict[str, float]:
    path = [str(chosen.peers / who)] if who in PEERS else []
    command = [sys.executable, "-m", "tests.bench.log_throughput", "--data", str(chosen.data)]
    done = subprocess.run(
        [*command, "--contest", who, stream, str(count)],
        check=True,
        capture_output=True,
        text=True,
        cwd=HOUSE,
        env={"PYTHONPATH": ":".join(path), "PATH": "/usr/bin:/bin"},
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def contest(who: str, stream: str, count: int, data: Path) -> dict[str, float]:
    add, templates = _forewarn() if who == "forewarn" else _drain()
    blocks = STREAMS[stream](count, data)
    spent, lines = 0.0, 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for block in blocks:
        if lines == 0 and stream in ("hdfs", "ids"):  # without the pool of lines that the stream itself keeps
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        add(block)
        spent += time.process_time() - start
        lines += len(block)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {"lines_per_s": round(lines / spent), "rss_delta_mb": round((after - before) / 1024, 1)}
    return figures | {"templates": templates()}


def _forewarn() -> tuple[Callable[[list[str]], object], Callable[[], int]]:
    from aiops.plugin import Miner
    from aiops.plugin.load import load

    miner = load("detectors", "log_templates", Miner)()  # type: ignore[type-abstract]
    return miner.add, lambda: len(miner.snapshot()["patterns"])


def _drain() -> tuple[Callable[[list[str]], object], Callable[[], int]]:
    import logging

    from drain3 import TemplateMiner  # type: ignore[import-not-found]
    from drain3.template_miner_config import TemplateMinerConfig  # type: ignore[import-not-found]

    logging.disable(logging.CRITICAL)
    miner = TemplateMiner(config=TemplateMinerConfig())

    def add(lines: list[str]) -> None:
        for line in lines:
            miner.add_log_message(line)

    return add, lambda: len(miner.drain.clusters)


if __name__ == "__main__":
    main()

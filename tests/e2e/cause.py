"""Whether each fault in a real three-tier application becomes one problem that names the true tier first.

    python -m tests.e2e.cause [--runs 30] [--first SEED] [--folder KEPT] [--json]

Proxy -> app -> redis are real processes under load, scraped by a real Prometheus each second (see
`cause_world.py`). Of three runs two inject one fault, tiers in turn, kind (slow, errors) and size by seed,
for 25 s; the third injects two at once for 40 s: they are told apart once a dozen samples say so. Redis
without memory lets all requests fail: of a caller that lets some of them fail nothing can be seen then, and
such pairs are left out. A run takes some 60 s. A line for each is printed, and at the end all figures; with
``--json`` that is all that standard output gets. Meanwhile the newest problems are read, by API and console,
without a pause: `pages` are the answers by their status.
"""

import argparse
import json
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from tests.e2e.cause_world import CauseWorld, Fault, cause_world, run_of
from tests.e2e.tier import DIRECT

PAIRS = 3
"""Every so many runs, two faults at once."""
ALONE, BOTH = 25.0, 40.0
"""Seconds that one fault lasts, and two."""
PAGES = ("/api/v1/problems/{}", "/problems/{}", "/problems/{}.md", "/api/v1/problems/{}/playbooks")


def main(argv: Sequence[str]) -> int:
    ask = argparse.ArgumentParser(prog="python -m tests.e2e.cause", description=__doc__)
    ask.add_argument("--runs", type=int, default=30)
    ask.add_argument("--first", type=int, default=0, help="seed of the first run")
    ask.add_argument("--folder", type=Path, help="keep the logs and the store there")
    ask.add_argument("--json", action="store_true", help="one line of JSON, the runs on standard error")
    asked = ask.parse_args(argv)
    found = []
    with (
        tempfile.TemporaryDirectory(prefix="fw-") as made,
        cause_world(asked.folder or Path(made)) as world,
        read_all_the_while(world) as pages,
    ):
        for faults in islice(schedule(asked.first), asked.runs):
            found.append(_run(world, faults))
            print(json.dumps(found[-1]), file=sys.stderr if asked.json else sys.stdout, flush=True)
    figures = figures_of(found)
    print(json.dumps({"bench": "cause", "runs": len(found), "pages": dict(pages)} | figures))
    return 0 if figures["true_tier_first"] >= 0.9 else 1


@contextmanager
def read_all_the_while(world: CauseWorld, pause: float = 0.1) -> Iterator[Counter[str]]:
    """Some ten pages a second, while what they show is made, merged, split and ended."""
    seen: Counter[str] = Counter()
    stop = threading.Event()

    def read(url: str) -> bytes:
        try:
            with DIRECT.open(world.forewarn.url + url, timeout=30) as answer:
                seen[str(answer.status)] += 1
                return bytes(answer.read())
        except HTTPError as refused:
            seen[str(refused.code)] += 1
            print(url, refused.code, refused.read()[:2000], file=sys.stderr, flush=True)
        except OSError as why:
            seen[type(why).__name__] += 1
        return b'{"items": []}'

    def read_on() -> None:
        for page in cycle(PAGES):
            for one in json.loads(read("/api/v1/problems?limit=4"))["items"]:
                read(page.format(one["id"]))
                if stop.wait(pause):
                    return
            stop.wait(pause)

    reader = threading.Thread(target=read_on, daemon=True)
    reader.start()
    try:
        yield seen
    finally:
        stop.set()
        reader.join(40)


def schedule(first: int) -> Iterator[list[Fault]]:
    """Without end: two runs of one fault, then one of two at once."""
    alone, pairs = (Fault.of(seed) for seed in count(first)), _pairs(first)
    for run in count(1):
        yield next(pairs) if run % PAIRS == 0 else [next(alone)]


def _pairs(first: int) -> Iterator[list[Fault]]:
    """Two tiers at once, those in turn; none in which one fault hides the other."""
    for seed in count(first):
        both = [Fault.of(seed), Fault.of(seed + 2)]
        if "redis" not in {f.tier for f in both} or {f.kind for f in both} != {"errors"}:
            yield both


def _run(world: CauseWorld, faults: Sequence[Fault]) -> dict[str, Any]:
    """A run that breaks is one that was not passed, and not the end of the others."""
    try:
        return run_of(world, faults, BOTH if len(faults) > 1 else ALONE)
    except (URLError, TimeoutError) as why:
        world.mend()
        return {"faults": [f.tier for f in faults], "problems": -1, "first": [], "why": repr(why)}


def figures_of(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Shares of runs with as many problems as faults, and with the true tiers first in them; of all and by
    the number of faults."""
    out = {}
    for name, of in (("", (1, 2)), ("alone_", (1,)), ("pairs_", (2,))):
        those = [one for one in runs if len(one["faults"]) in of]
        whole = [one for one in those if one["problems"] == len(one["faults"])]
        true = [one for one in whole if sorted(one["first"]) == sorted(f.split()[0] for f in one["faults"])]
        if those:
            out[f"{name}one_problem_per_fault"] = round(len(whole) / len(those), 3)
            out[f"{name}true_tier_first"] = round(len(true) / len(those), 3)
    return out


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

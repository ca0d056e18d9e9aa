"""Faults on real processes, each with its one right end: ``python -m tests.e2e.chaos [--only NAME]``.

A line for each scenario with what was counted and when what was seen; with ``--json`` a last line with all.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.chaos.suite import IN_TIME, SCENARIOS, Scenario


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.chaos", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=SCENARIOS, metavar="NAME", help=", ".join(SCENARIOS)
    )
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--keep", action="store_true", help="keep the folder of what fails")
    asked = parser.parse_args(argv)
    began, found = time.monotonic(), {}
    for name in asked.only or SCENARIOS:
        found[name] = one(SCENARIOS[name], asked.keep)
        print(f"{name:22} {found[name].pop('line')}", flush=True)
    ended = [said["outcome"] for said in found.values()]
    whole = {
        "scenarios": found,
        "passed": ended.count("passed"),
        "failed": ended.count("failed"),
        "skipped": ended.count("skipped"),
        "slowest_resolved": max(
            (r["seconds"] for r in found.values() if r.get("end") == "resolved"), default=0
        ),
        "took": round(time.monotonic() - began, 1),
    }
    if asked.json:
        print(json.dumps(whole))
    return 1 if whole["failed"] else 0


def one(scenario: Scenario, keep: bool) -> dict[str, Any]:
    """Run it in a folder of its own; what came of it, with a line for people."""
    # a short path: a supervisor's socket must fit into 107 bytes
    folder = Path(tempfile.mkdtemp(prefix="fw-", dir="/tmp"))
    kept = False
    try:
        report = scenario.run(folder)
        late = scenario.in_time and report.seconds >= IN_TIME
        outcome = "failed" if late else "passed"
        line = f"{outcome}: {report.line()}" + (f"; later than {IN_TIME:.0f} s" if late else "")
        return {"outcome": outcome, "line": line, **asdict(report)}
    except pytest.skip.Exception as why:
        return {"outcome": "skipped", "line": f"skipped: {why}", "why": str(why)}
    except (AssertionError, LookupError, OSError, RuntimeError, httpx.HTTPError) as why:
        kept = keep
        said = f"{type(why).__name__}: {why}"[:2000]
        return {
            "outcome": "failed",
            "line": f"failed: {said}" + (f" ({folder})" if keep else ""),
            "why": said,
        }
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

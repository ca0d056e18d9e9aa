"""What breaks around a real ``forewarn run``: survived, or failed clean with a clear line; nothing lost.

    python -m tests.bench.faults [NAME ...] [--list]

Each fault has a process of its own, with a receiver of metrics, this host as a source, and a signed webhook.
Breaches are pushed before, during and after the fault, each of a service of its own, and sent again until
they are acknowledged, as Prometheus does; at the end each that was acknowledged has exactly one ticket. The
last line is JSON: ``ok`` when every fault that this machine can make came out well, and the others by name.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import faults_disk, faults_net, faults_process
from tests.fault_stand import Missing

Fault = Callable[[Path], str]

FAULTS: dict[str, Fault] = {
    "disk_full": faults_disk.disk_full,
    "disk_read_only": faults_disk.disk_read_only,
    "clock_jumps": faults_process.clock_jumps,
    "dns_gone": faults_net.dns_gone,
    "source_hangs": faults_net.source_hangs,
    "slow_loris": faults_net.slow_loris,
    "huge_body": faults_net.huge_body,
    "zip_bomb": faults_net.zip_bomb,
    "half_open": faults_net.half_open,
    "checkpoint_corrupted": faults_disk.checkpoint_corrupted,
    "sqlite_page_corrupted": faults_disk.sqlite_page_corrupted,
    "no_descriptors": faults_process.no_descriptors,
    "memory_ends": faults_process.memory_ends,
    "memory_killed": faults_process.memory_killed,
}


def suffer(name: str) -> dict[str, Any]:
    """One fault: how it came out, in how many seconds, and the line that says so."""
    folder = Path(tempfile.mkdtemp(prefix=f"forewarn-{name}-"))
    started = time.monotonic()
    try:
        found = {"outcome": "well", "line": FAULTS[name](folder)}
    except Missing as why:
        found = {"outcome": "not here", "line": f"needs {why}"}
    except Exception as why:  # noqa: BLE001 (whatever it was, the other faults are to be made)
        found = {"outcome": "UNSOUND", "line": f"{type(why).__name__}: {why}"}
    found["seconds"] = f"{time.monotonic() - started:.0f}"
    if found["outcome"] == "UNSOUND":
        print(f"its folder is kept: {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return found


def main() -> None:
    asking = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    asking.add_argument("names", nargs="*", metavar="NAME", help="Only these.")
    asking.add_argument("--list", action="store_true", help="Their names.")
    given = asking.parse_args()
    if given.list:
        print("\n".join(FAULTS))
        return
    found: dict[str, dict[str, Any]] = {}
    for name in given.names or FAULTS:
        one = found[name] = suffer(name)
        print(
            f"{name}: {one['outcome']} after {one['seconds']} s: {one['line']}", file=sys.stderr, flush=True
        )
    by = {kind: [n for n, one in found.items() if one["outcome"] == kind] for kind in ("UNSOUND", "not here")}
    well = len(found) - sum(map(len, by.values()))
    told = {"bench": "faults", "ok": not by["UNSOUND"], "well": well, "of": len(found)}
    print(json.dumps({**told, "unsound": by["UNSOUND"], "not_here": by["not here"]}))
    sys.exit(1 if by["UNSOUND"] else 0)


if __name__ == "__main__":
    main()

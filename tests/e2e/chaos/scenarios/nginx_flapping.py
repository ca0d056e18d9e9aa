"""nginx dies again after every repair: the playbook's budget ends the loop, and a person is asked."""

import threading
from contextlib import suppress
from pathlib import Path

from aiops.model.problem import EscalationReason
from tests.e2e.chaos.report import Report, report
from tests.e2e.chaos.web import Web, restart_service, web

BUDGET = 3
GUARDS = {"cooldown": "0s", "max_runs": {"count": BUDGET, "per": "1h"}}
LIVES = 4.0
"""Seconds that nginx lives after a repair was verified, so that the alert about it is over."""


def run(folder: Path) -> Report:
    with web(folder, lambda nginx: restart_service(nginx, guards=GUARDS)) as site:
        here, stop = site.here, threading.Event()
        killer = threading.Thread(target=kills, args=(site, stop))
        here.strike(site.nginx.kill)
        killer.start()
        try:
            here.reaches("escalated", 180)
            here.told("escalated")
        finally:
            stop.set()
            killer.join()
        problem = here.one_of_each()
        assert site.restarts == BUDGET, site.restarts
        assert problem["escalation"] == EscalationReason.REFUSED_BY_GUARD, problem["escalation"]
        assert [r["state"] for r in problem["runs"]][:BUDGET] == ["succeeded"] * BUDGET
        return report(here, problem, {"restarts": site.restarts}, problem["reason"])


def kills(site: Web, stop: threading.Event) -> None:
    """As soon as a repair was verified, nginx dies of what made it die before."""
    done = 0
    while not stop.wait(0.2):
        repairs = [run["state"] for run in site.here.runs()].count("succeeded")
        if repairs <= done:
            continue
        done = repairs
        stop.wait(LIVES)
        with suppress(ProcessLookupError):
            site.nginx.kill()

"""The ITSM says nothing all the while: the repair does not wait, and the ticket comes later, exactly once."""

import time
from pathlib import Path

from tests.e2e.chaos.report import Report, report
from tests.e2e.chaos.web import web

FROZEN = 12.0
"""Seconds, at the least."""


def run(folder: Path) -> Report:
    with web(folder) as site:
        here = site.here
        here.itsm.freeze()
        here.strike(site.nginx.kill)
        here.reaches("resolved")
        assert here.itsm.told() == [], "it was frozen"
        time.sleep(max(0.0, here.struck + FROZEN - time.time()))
        here.mark("thawed")
        here.itsm.thaw()
        here.told("resolved")
        problem = here.one_of_each()
        assert [r["state"] for r in problem["runs"]] == ["succeeded"]
        assert site.restarts == 1
        return report(here, problem, {"restarts": site.restarts})

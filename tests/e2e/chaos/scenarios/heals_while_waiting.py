"""The fault goes away while a run waits for approval: nothing is done to what is healthy."""

from pathlib import Path

from tests.e2e.chaos.report import Report, report
from tests.e2e.chaos.web import restart_service, web
from tests.e2e.supervised import ctl


def run(folder: Path) -> Report:
    with web(folder, lambda nginx: restart_service(nginx, autonomy="approve")) as site:
        here = site.here
        here.strike(site.nginx.kill)
        here.sees("asked", lambda: here.run_is("awaiting_approval"))
        ctl(folder, "start", "nginx")
        here.mark("healed by hand")
        here.sees("expired", lambda: here.run_is("expired"))
        here.reaches("resolved")
        here.told("resolved")
        problem = here.one_of_each()
        (only,) = problem["runs"]
        assert not only["steps"], only["steps"]
        assert site.restarts == 1, "only the one by hand"
        return report(here, problem, {"restarts by us": site.restarts - 1}, only["reason"])

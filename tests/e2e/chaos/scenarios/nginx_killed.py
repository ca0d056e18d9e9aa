"""nginx' whole group is killed: one restart, verified, one ticket that is told so."""

from pathlib import Path

from tests.e2e.chaos.report import Report, report
from tests.e2e.chaos.web import web


def run(folder: Path) -> Report:
    with web(folder) as site:
        here = site.here
        here.strike(site.nginx.kill)
        here.reaches("resolved")
        here.told("resolved")
        problem = here.one_of_each()
        assert site.nginx.answers()
        assert [r["state"] for r in problem["runs"]] == ["succeeded"]
        assert site.restarts == 1
        return report(here, problem, {"restarts": site.restarts})

"""Nobody approves in time: nothing is done, and a person is asked."""

from pathlib import Path

from aiops.model.problem import EscalationReason
from tests.e2e.chaos.report import Report, report
from tests.e2e.chaos.web import restart_service, web


def run(folder: Path) -> Report:
    settings = {"enabled": True, "approval_timeout": "4s"}
    with web(folder, lambda nginx: restart_service(nginx, autonomy="approve"), remediation=settings) as site:
        here = site.here
        here.strike(site.nginx.kill)
        here.sees("asked", lambda: here.run_is("awaiting_approval"))
        here.reaches("escalated")
        here.told("escalated")
        problem = here.one_of_each()
        (only,) = problem["runs"]
        assert only["state"] == "expired"
        assert not only["steps"]
        assert problem["escalation"] == EscalationReason.APPROVAL_EXPIRED, problem["escalation"]
        assert site.restarts == 0
        return report(here, problem, {"restarts": 0}, only["reason"])

"""nginx is killed and another process takes its port: a restart cannot help, so a person is asked."""

from contextlib import ExitStack
from pathlib import Path

from aiops.model.problem import EscalationReason
from tests.e2e.chaos.report import Report, report
from tests.e2e.chaos.web import web
from tests.e2e.repair_world import stolen_port


def run(folder: Path) -> Report:
    with web(folder) as site, ExitStack() as thief:
        here = site.here
        here.strike(lambda: thief.enter_context(stolen_port(site.nginx)))
        here.reaches("escalated")
        here.told("escalated")
        problem = here.one_of_each()
        assert [r["state"] for r in problem["runs"]] == ["failed"]
        assert problem["escalation"] in (EscalationReason.STEP_FAILED, EscalationReason.VERIFY_FAILED)
        return report(here, problem, {"restarts": site.restarts}, problem["escalation"])

"""``kill -9`` of the engine amid a run, which the next one takes up without doing a step twice."""

from pathlib import Path
from typing import Any

from tests.e2e.chaos.playbook import steps_of
from tests.e2e.chaos.report import Report, report
from tests.e2e.chaos.web import Web, restart_service, web
from tests.e2e.supervised import SupervisedNginx

SETTLE = {"action": "wait", "seconds": "3s"}


def playbook(nginx: SupervisedNginx) -> Path:
    """The restart, then a wait in which there is time to kill."""
    (restart,) = steps_of("restart-service")
    restart["restart"] |= {"manager": "supervisor", "url": nginx.server}
    return restart_service(nginx, steps=[restart, {"settle": SETTLE}])


def run(folder: Path) -> Report:
    with web(folder, playbook) as site:
        here = site.here
        here.strike(site.nginx.kill)
        here.sees("waiting", lambda: step_begun(site, "settle"))
        here.forewarn.kill()
        here.mark("engine killed")
        here.forewarn.start()
        here.mark("engine started")
        here.reaches("resolved")
        here.told("resolved")
        problem = here.one_of_each()
        (only,) = problem["runs"]
        assert only["state"] == "succeeded"
        names = [step["name"] for step in only["steps"] if step["phase"] == "step"]
        assert names == ["restart", "settle"]
        assert site.restarts == 1, "the step before the kill was done again"
        assert "is taken up where it was left" in here.forewarn.log.read_text()
        return report(here, problem, {"restarts": site.restarts, "engine starts": 2})


def step_begun(site: Web, name: str) -> bool:
    """Whether that step is under way."""
    steps: list[dict[str, Any]] = [step for one in site.here.runs() for step in one["steps"]]
    return any(step["name"] == name and step["ended"] is None for step in steps)

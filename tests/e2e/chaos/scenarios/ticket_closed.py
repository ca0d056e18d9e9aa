"""A person closes the ticket amid a run, in a real Roundup: it is over, and the run ends in order."""

import time
from pathlib import Path

import httpx

from tests.e2e.chaos.playbook import steps_of
from tests.e2e.chaos.report import Report
from tests.e2e.chaos.scenarios.engine_killed import step_begun
from tests.e2e.chaos.web import restart_service, web
from tests.e2e.roundup_server import ADMIN, ADMIN_PASSWORD, PASSWORD, USER, Roundup, roundup
from tests.e2e.supervised import SupervisedNginx
from tests.ticket_servers import RoundupTickets

SETTLE = {"action": "wait", "seconds": "15s"}
CALM = 5.0
"""Seconds after the end of the run in which nothing may move any more."""


def playbook(nginx: SupervisedNginx) -> Path:
    """The restart, then a wait in which there is time to close the ticket."""
    (restart,) = steps_of("restart-service")
    restart["restart"] |= {"manager": "supervisor", "url": nginx.server}
    return restart_service(nginx, steps=[restart, {"settle": SETTLE}])


def run(folder: Path) -> Report:
    with roundup(folder) as tracker:
        (folder / "password").write_text(PASSWORD)
        sink: dict[str, object] = {
            "kind": "roundup",
            "name": "tracker",
            "url": tracker.url,
            "user": USER,
            "poll": "1s",
        }
        sink |= {"password": {"file": str(folder / "password")}, "timeout": 15}
        with web(folder, playbook, sinks=[sink]) as site:
            here, tickets = site.here, RoundupTickets(tracker)
            here.strike(site.nginx.kill)
            here.sees("waiting", lambda: step_begun(site, "settle"))
            here.sees("ticket", lambda: here.forewarn.problems()[0]["tickets"])
            ref = str(here.forewarn.problems()[0]["tickets"][0]["ref"])
            assert step_begun(site, "settle"), "the ticket came too late to be closed amid the run"
            close(tracker, ref)
            here.mark("closed")
            problem = here.reaches("resolved")
            assert f"closed by {ADMIN} in tracker" in problem["reason"], problem["reason"]
            assert problem["runs"][0]["state"] == "running", "the person was later than the run"
            here.sees("run over", lambda: here.run_is("succeeded"))
            time.sleep(CALM)
            (problem,) = here.forewarn.problems()
            assert problem["state"] == "resolved"
            assert len(problem["runs"]) == 1
            assert site.restarts == 1
            ((key, stories),) = tickets.heard().items()
            assert (key, len(stories)) == (problem["key"], 1)
            assert tickets.status(ref) == "resolved"
            effects = {"restarts": site.restarts}
            return Report(
                "resolved", "succeeded", here.marks["resolved"], effects, 1, here.marks, problem["reason"]
            )


def close(tracker: Roundup, ref: str) -> None:
    """As the tracker's administrator, a person here; once more when somebody else changed it just then."""
    own = {"x-requested-with": "test", "origin": tracker.url, "referer": f"{tracker.url}/"}
    url = f"{tracker.api}/data/issue/{ref}"
    with httpx.Client(auth=(ADMIN, ADMIN_PASSWORD), trust_env=False, timeout=30, headers=own) as person:
        for _ in range(5):
            etag = person.get(url).raise_for_status().headers["etag"]
            done = person.put(url, json={"status": "resolved"}, headers={"if-match": etag})
            if done.status_code != httpx.codes.PRECONDITION_FAILED:
                break
        done.raise_for_status()

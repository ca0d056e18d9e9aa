"""A real Request Tracker and a whole Forewarn: what either side does, the other knows in seconds."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.database import free_port
from tests.e2e.forewarn import Forewarn
from tests.e2e.rt_server import QUEUE, Person, RequestTracker, request_tracker
from tests.receiver import SECRET

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("rt")]

WITHIN = 5.0 if os.getloadavg()[0] < (os.cpu_count() or 1) else 15.0
"""Seconds; more where others use the processors, too."""


class World:
    def __init__(self, rt: RequestTracker, person: Person, forewarn: Forewarn) -> None:
        self.rt, self.person, self.forewarn = rt, person, forewarn

    def problem(self) -> dict[str, Any]:
        found = self.forewarn.problems()
        assert len(found) == 1, [one["title"] for one in found]
        return found[0]

    def ref(self) -> str:
        eventually(self.forewarn.problems, 30)
        found = eventually(lambda: self.problem()["tickets"], 30)
        return str(found[0]["ref"])


def eventually(look: Callable[[], Any], within: float = WITHIN) -> Any:
    end = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < end, f"not within {within} s"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module", params=["webhook", "polling"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    folder = Path(tempfile.mkdtemp(prefix="fw-two-", dir="/tmp"))
    port = free_port()
    hooked = request.param == "webhook"
    hook = f"http://127.0.0.1:{port}/api/v1/inbound/rt" if hooked else ""
    (folder / "hook").write_text(SECRET)
    try:
        with request_tracker(folder, hook, SECRET) as rt:
            (folder / "token").write_text(rt.token)
            forewarn = Forewarn(folder, _config(rt, folder, port, "1h" if hooked else "2s"))
            forewarn.port, forewarn.url = port, f"http://127.0.0.1:{port}"
            person = Person(rt)
            with forewarn:
                yield World(rt, person, forewarn)
            person.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _config(rt: RequestTracker, folder: Path, port: int, poll: str) -> dict[str, Any]:
    """A file that is always too large is a problem for ever."""
    sink = {
        "kind": "request_tracker",
        "name": "rt",
        "url": rt.url,
        "queue": QUEUE,
        "token": {"file": str(folder / "token")},
        "hook_secret": {"file": str(folder / "hook")},
        "poll": poll,
    }
    return {
        "web": {"listen": f"127.0.0.1:{port}"},
        "sources": [{"kind": "host", "every": "1s"}],
        "limits": [{"name": "any memory", "match": "host_memory_available_bytes", "breach": {"above": 1}}],
        "sinks": [sink],
        "alerting": {"fire": 1, "of": 1},
    }


def test_both_sides_stay_in_step_and_no_loop_forms(world: World) -> None:
    ref, person = world.ref(), world.person
    assert person.ticket(ref)["Status"] == "new"

    person.say(ref, "I look at it: näher", how="comment")
    eventually(lambda: [row for row in world.problem()["timeline"] if row["reason"] == "I look at it: näher"])

    person.set(ref, Owner="root")
    eventually(lambda: world.problem()["assignee"] == "root")

    person.set(ref, Status="resolved")
    eventually(lambda: world.problem()["state"] == "resolved")
    assert "closed by root in rt" in world.problem()["reason"]
    eventually(lambda: len(person.marks(ref)) >= 1)
    assert person.ticket(ref)["Status"] == "resolved"

    person.say(ref, "no, it is back")
    eventually(lambda: world.problem()["state"] == "escalated")
    assert world.problem()["escalation"] == "opened again by a person"
    eventually(lambda: len(person.marks(ref)) >= 3, 15)

    person.set(ref, Status="rejected")
    eventually(lambda: world.problem()["state"] == "resolved")
    time.sleep(6)
    assert person.ticket(ref)["Status"] == "rejected"
    assert world.problem()["state"] == "resolved"
    heard = [row["to_state"] for row in world.problem()["timeline"] if row["entity"] == "ticket"]
    assert heard == ["commented", "assigned", "closed", "commented", "reopened", "closed"]
    assert [mark.split("#")[1] for mark in person.marks(ref)] == ["2]", "3]", "4]", "5]"]
    assert len(person.tickets()) == 1

"""Servers that keep tickets, for tests of the delivery: each says in the end what it has heard."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx

from tests.e2e.roundup_server import ADMIN, ADMIN_PASSWORD, PASSWORD, USER, Roundup, roundup
from tests.e2e.rt_server import FIELD, QUEUE, Person, RequestTracker, request_tracker
from tests.outboxes import STORY
from tests.receiver import SECRET, ThreadedReceiver


class TicketServer(Protocol):
    patience: float
    """Seconds that a sink waits for an answer: as long as it can take under the load of the bench."""

    @property
    def port(self) -> int: ...

    def block(self, url: str) -> dict[str, Any]:
        """The configuration of a sink that reaches it at `url`; secrets are in the environment."""
        ...

    def heard(self) -> dict[str, list[list[int]]]:
        """Key -> of each of its tickets the numbers of the messages, as they stand there."""
        ...

    def all_closed(self) -> bool:
        """Whether every ticket ended as its story does."""
        ...


def numbers(marks: list[str]) -> list[int]:
    """1 for the ticket itself, then those of its comments' marks."""
    return [1, *(int(found[1]) for mark in marks if (found := re.match(r"\[\S+#(\d+)\]", mark)))]


class _Webhook(ThreadedReceiver):
    """`Receiver`, which drops repeats by their webhook-id."""

    patience = 1.5

    @property
    def port(self) -> int:
        return self.receiver.port

    def block(self, url: str) -> dict[str, Any]:
        os.environ["ITSM_SECRET"] = SECRET
        secret = {"env": "ITSM_SECRET"}
        return {"kind": "webhook", "url": f"{url}/hooks", "secret": secret, "timeout": self.patience}

    def heard(self) -> dict[str, list[list[int]]]:
        assert not self.receiver.unsigned, self.receiver.unsigned
        told = self.receiver.tickets()
        return {key: [[int(event["sequence"]) for event in events]] for key, events in told.items()}

    def all_closed(self) -> bool:
        return all(events[-1]["data"]["n"] == STORY[-1] for events in self.receiver.tickets().values())


class _Rt:
    patience = 6.0

    def __init__(self, server: RequestTracker) -> None:
        self._server = server
        self._person = Person(server)

    @property
    def port(self) -> int:
        return self._server.port

    def block(self, url: str) -> dict[str, Any]:
        os.environ["RT_TOKEN"] = self._server.token
        token = {"env": "RT_TOKEN"}
        return {
            "kind": "request_tracker",
            "url": url,
            "queue": QUEUE,
            "token": token,
            "timeout": self.patience,
        }

    def heard(self) -> dict[str, list[list[int]]]:
        found: dict[str, list[list[int]]] = {}
        for ticket in self._person.tickets():
            key = next(
                (f["values"][0] for f in ticket["CustomFields"] if f["name"] == FIELD and f["values"]), ""
            )
            found.setdefault(key, []).append(numbers(self._person.marks(ticket["id"])))
        return found

    def all_closed(self) -> bool:
        return all(ticket["Status"] == "resolved" for ticket in self._person.tickets())

    def close(self) -> None:
        self._person.close()


@contextmanager
def _rt(folder: Path) -> Iterator[TicketServer]:
    with request_tracker(folder) as server:
        made = _Rt(server)
        try:
            yield made
        finally:
            made.close()


class RoundupTickets:
    patience = 6.0

    def __init__(self, server: Roundup) -> None:
        self._server = server

    @property
    def port(self) -> int:
        return self._server.port

    def block(self, url: str) -> dict[str, Any]:
        os.environ["ROUNDUP_PASSWORD"] = PASSWORD
        password = {"env": "ROUNDUP_PASSWORD"}
        return {"kind": "roundup", "url": url, "user": USER, "password": password, "timeout": self.patience}

    def heard(self) -> dict[str, list[list[int]]]:
        said = {one["id"]: one["messageid"] for one in self.get("/msg", "messageid")}
        found: dict[str, list[list[int]]] = {}
        for issue in self.get("/issue", "messages"):
            marks = [said[one["id"]] for one in sorted(issue["messages"], key=lambda m: int(m["id"]))]
            found.setdefault(marks[0][1:].split("#")[0], []).append(numbers(marks)[1:])
        return found

    def all_closed(self) -> bool:
        done = [one["id"] for one in self.get("/status", "name") if one["name"] == "resolved"]
        return all([issue["status"]["id"]] == done for issue in self.get("/issue", "status"))

    def status(self, ref: str) -> str:
        (ident,) = [one["status"]["id"] for one in self.get("/issue", "status") if one["id"] == ref]
        return next(str(one["name"]) for one in self.get("/status", "name") if one["id"] == ident)

    def get(self, path: str, fields: str) -> list[dict[str, Any]]:
        own = {"x-requested-with": "test", "origin": self._server.url, "referer": f"{self._server.url}/"}
        asked = {"@fields": fields, "@page_size": "1000"}
        who = (ADMIN, ADMIN_PASSWORD)
        url = f"{self._server.api}/data{path}"
        answer = httpx.get(url, params=asked, headers=own, auth=who, timeout=60, trust_env=False)
        return list(answer.raise_for_status().json()["data"]["collection"])


@contextmanager
def _roundup(folder: Path) -> Iterator[TicketServer]:
    with roundup(folder) as server:
        yield RoundupTickets(server)


SERVERS: dict[str, Callable[[Path], AbstractContextManager[TicketServer]]] = {
    "rt": _rt,
    "roundup": _roundup,
    "webhook": lambda _folder: _Webhook(),
}

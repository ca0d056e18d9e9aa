"""What every chaos scenario stands on: a Prometheus that scrapes once a second, an ITSM, and Forewarn."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.e2e.chaos.itsm import Itsm
from tests.e2e.forewarn import Forewarn
from tests.e2e.servers import get_json, prometheus, until
from tests.receiver import SECRET

PATIENCE = 60.0
"""Seconds that a scenario waits for its end; whether that came in time is for the suite to say."""


@dataclass
class World:
    folder: Path
    itsm: Itsm
    forewarn: Forewarn
    struck: float = 0.0
    """When the fault was done: epoch seconds."""
    marks: dict[str, float] = field(default_factory=dict)
    """What was seen, in seconds after the fault."""

    def strike(self, inject: Callable[[], object]) -> None:
        """Do the fault."""
        self.struck = time.time()
        inject()

    def mark(self, name: str) -> None:
        self.marks[name] = round(time.time() - self.struck, 1)

    def reaches(self, state: str, within: float = PATIENCE) -> dict[str, Any]:
        """The first problem that comes to be in `state`; notes when."""
        problem = self.forewarn.wait_for(state, within)
        self.mark(state)
        return problem

    def sees(self, what: str, true: Callable[[], object], within: float = PATIENCE) -> None:
        """Waits for `true()`; notes when."""
        until(true, within, what)
        self.mark(what)

    def runs(self) -> list[dict[str, Any]]:
        """Of all problems, oldest first, with their steps."""
        return [run for problem in self.forewarn.problems() for run in problem["runs"]]

    def run_is(self, *states: str) -> bool:
        """Whether there is a run, and the newest is in one of `states`."""
        found = self.runs()
        return bool(found) and found[-1]["state"] in states

    def told(self, reason: str, within: float = PATIENCE) -> None:
        """Waits until the last thing that a ticket was told is `reason`."""
        self.sees(f"told {reason}", lambda: any(t[-1] == reason for t in self.itsm.told()), within)

    def one_of_each(self) -> dict[str, Any]:
        """The only problem, after checking that neither it nor its ticket was doubled."""
        problems, told = self.forewarn.problems(), self.itsm.told()
        assert len(problems) == 1, [p["title"] for p in problems]
        assert len(problems[0]["tickets"]) == 1, problems[0]["tickets"]
        assert [story.count("opened") for story in told] == [1], told
        assert not self.itsm.unsigned()
        return problems[0]


@contextmanager
def world(
    folder: Path,
    jobs: Sequence[dict[str, Any]],
    watch: Sequence[str],
    playbooks: Sequence[Path] = (),
    **config: Any,
) -> Iterator[World]:
    """Everything running and every series of `watch` (selectors) seen. `config`: keys of Forewarn's own."""
    (folder / "secret").write_text(SECRET)
    with prometheus(folder, jobs) as prom, Itsm() as itsm:
        for selector in watch:
            until(partial(_seen, prom.url, selector), 20, f"{selector} in Prometheus")
        source = {"kind": "prometheus", "name": "prod", "url": prom.url, "select": list(watch)}
        sink = {
            "kind": "webhook",
            "name": "itsm",
            "url": itsm.url,
            "secret": {"file": str(folder / "secret")},
        }
        whole = {
            "sources": [source | {"every": "1s", "history": "5m"}],
            "alerting": {"resolve_after": "4s"},
            "sinks": [sink],
            "playbooks": [str(path) for path in playbooks],
            "remediation": {"enabled": True},
        }
        with Forewarn(folder, whole | config) as forewarn:
            yield World(folder, itsm, forewarn)


def _seen(prometheus_url: str, selector: str) -> bool:
    found = get_json(f"{prometheus_url}/api/v1/query?query={quote(selector)}")["data"]["result"]
    return bool(found)

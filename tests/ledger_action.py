"""An action whose every effect is a line in a file: `ledger`, registered as somebody else's package would.

The line is written by a process that outlives whoever asked for it, as an act on another machine would be.
"""

import asyncio
from pathlib import Path

from pydantic import Field

from aiops.plugin import Action, Duration, Outcome
from aiops.plugin.load import HOUSE


class Ledger(Action):
    """Write the idempotency key into `path`, `after` a while. It can be asked whether that has happened."""

    path: Path = Field(description="Where.")
    after: Duration = Field(0.2, description="Until it is written.")

    @property
    def target(self) -> str:
        return f"ledger/{self.path}"

    def plan(self) -> str:
        return f"write into {self.path}"

    async def run(self, key: str) -> Outcome:
        script = f"sleep {self.after}; echo {key} >> {self.path}"
        done = await asyncio.create_subprocess_exec("/bin/sh", "-c", script, start_new_session=True)
        return Outcome(await done.wait() == 0, "written")

    async def probe(self, key: str) -> bool | None:
        return self.path.exists() and key in self.path.read_text().split()


def register(folder: Path) -> str:
    """Make a distribution in `folder` that brings the kind; returns the PYTHONPATH that has it."""
    made = folder / "ledger-1.0.dist-info"
    made.mkdir(parents=True)
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: ledger\nVersion: 1.0\n")
    (made / "entry_points.txt").write_text("[forewarn.actions]\nledger = tests.ledger_action:Ledger\n")
    return f"{folder}:{HOUSE}"

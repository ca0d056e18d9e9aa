"""`wait`: let some time pass between two steps."""

import asyncio

from pydantic import ConfigDict, Field

from aiops.plugin import Action, Duration, Outcome, Retryable
from aiops.plugin.params import format_duration


class Wait(Action):
    """Wait. `expect` sees ``seconds``, how long it waited. Give `timeout` too when it is to be over 30 s."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"seconds": "10s"}, {"seconds": "2m", "timeout": "3m"}]}
    )

    seconds: Duration = Field(gt=0, description="How long.")
    idempotent: bool = Field(True, description="Waiting again after a crash does no harm.")

    @property
    def target(self) -> str:
        return "wait"

    def plan(self) -> str:
        return f"wait {format_duration(self.seconds)}"

    async def run(self, key: str) -> Outcome:
        try:
            async with asyncio.timeout(self.timeout):
                await asyncio.sleep(self.seconds)
        except TimeoutError as why:
            text = f"the wait of {format_duration(self.seconds)} was cut off after {self.timeout:g} s"
            raise Retryable(text, ambiguous=True) from why
        return Outcome(True, f"waited {format_duration(self.seconds)}", {"seconds": self.seconds})

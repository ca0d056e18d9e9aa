"""Objectives over a window: what share is to be good."""

from typing import Literal

from pydantic import Field

from aiops.config.blocks import Block
from aiops.plugin import Duration

DAY = 86400.0


class Objective(Block):
    """A share that is to be good over a window; what may be bad of it is the error budget."""

    target: float = Field(gt=0, lt=1, description="Share that is to be good, as in 0.999.")
    window: Duration = Field(
        30 * DAY, ge=3600, description="Over how long; burn rates and their windows scale with it."
    )
    counts: Literal["time", "share"] = Field(
        "time",
        description="`time`: bad is the time in which the value is beyond the SLI's `breach`: a latency. "
        "`share`: the value is the share of what was bad, as the ratio of errors to requests is.",
    )

"""For heads with a profile of the day: whose clock the day follows, with its summer time."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr, field_validator

from aiops.plugin import Detector


class LocalTime(Detector):
    """A detector that knows the time of day of a `timezone`."""

    timezone: str = Field("UTC", description="IANA name; the day follows its clock.")

    _zone: ZoneInfo = PrivateAttr()

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as why:
            raise ValueError(f"no time zone {name!r}; give an IANA name such as Europe/Berlin") from why
        return name

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self._zone = ZoneInfo(self.timezone)

    def _days(self, times: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Per time (epoch s) the second of the local day, and the number of that day since 1 January 1970.

        Clocks change at full quarters of an hour at most.
        """
        quarters, which = np.unique(times // 900.0, return_inverse=True)
        offsets = np.array([self._offset(quarter * 900.0) for quarter in quarters.tolist()])
        local = times + offsets[which]
        days = (local // 86400.0).astype(np.int64)
        return local - days * 86400.0, days

    def _offset(self, time: float) -> float:
        if self.timezone == "UTC":
            return 0.0
        offset = datetime.fromtimestamp(time, UTC).astimezone(self._zone).utcoffset()
        return offset.total_seconds() if offset else 0.0

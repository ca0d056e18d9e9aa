"""What sources yield: batches of samples, of log lines, and changes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aiops.model.series import Labels


@dataclass(frozen=True, slots=True)
class Frame:
    """A batch of samples on one time grid.

    ``times[T]`` seconds since the epoch, ascending; ``slots[S]`` rows of the SeriesIndex, distinct;
    ``values[T, S]`` in the metric's own unit, NaN = no sample.
    """

    times: NDArray[np.float64]
    slots: NDArray[np.int32]
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.times), len(self.slots)):
            raise ValueError(
                f"values are {self.values.shape}, not {len(self.times)} times x {len(self.slots)} slots"
            )

    def rows(self) -> Iterator["Frame"]:
        """One frame per time, in order."""
        for t in range(len(self.times)):
            yield Frame(self.times[t : t + 1], self.slots, self.values[t : t + 1])

    def between(self, after: float, until: float) -> "Frame":
        """The rows with ``after < time <= until``."""
        keep = (self.times > after) & (self.times <= until)
        return Frame(self.times[keep], self.slots, self.values[keep])

    @property
    def samples(self) -> int:
        return int(np.count_nonzero(~np.isnan(self.values)))


def beside(frames: Sequence[Frame]) -> Frame:
    """Frames of the same times and of different slots as one."""
    if len(frames) == 1:
        return frames[0]
    slots = np.concatenate([frame.slots for frame in frames])
    return Frame(frames[0].times, slots, np.concatenate([frame.values for frame in frames], axis=1))


@dataclass(frozen=True, slots=True)
class Lines:
    """A batch of log lines of one stream, in order; ``times`` seconds since the epoch, one a line."""

    labels: Labels
    times: NDArray[np.float64]
    text: list[str]


@dataclass(frozen=True, slots=True)
class Change:
    """A deploy, rollout, config or scale event at ``time`` (seconds since the epoch)."""

    time: float
    kind: str
    title: str
    labels: Labels = ()
    url: str = ""
    detail: dict[str, str] = field(default_factory=dict)

"""The host it runs on, read from /proc and /sys."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

import numpy as np
from pydantic import Field, PrivateAttr

from aiops.model.frame import Frame
from aiops.model.series import NAME, SeriesIndex, labels_of
from aiops.plugin import Connector, Duration, Fatal
from connectors import _host_devices as devices
from connectors import _host_system as system
from connectors._host_processes import Processes
from connectors._host_rates import Rates, Reading, read

log = logging.getLogger("aiops.connectors")


class Host(Connector):
    """Watches the machine it runs on: processors, pressure, memory, disks, network, sockets, process groups.

    Everything is named ``host_*`` and carries the label ``host``. Ratios are 0..1, sizes bytes, times s.
    Counters become rates here, so the first pull has no rates. What may not be read is left out.
    """

    every: Duration = Field(2.0, description="How often it is pulled.", gt=0)
    hostname: str = Field("", description="Value of the label `host`; the machine's own name when left out.")
    root: Path = Field(
        Path("/"), description="Where the host's root is mounted, when this runs in a container: /host."
    )
    groups: int = Field(
        30,
        ge=0,
        description="How many process groups have series: the heaviest ones, and those that name themselves.",
    )

    _index: SeriesIndex = PrivateAttr(default_factory=SeriesIndex)
    _rates: Rates = PrivateAttr(default_factory=Rates)
    _processes: Processes | None = PrivateAttr(None)

    def open(self, index: SeriesIndex) -> None:
        self._index = index
        self._processes = Processes(self.groups)

    async def pull(self, since: float, until: float) -> AsyncIterator[Frame]:
        """One frame, as of `until`. Raises `Fatal` where there is no /proc."""
        readings = await asyncio.to_thread(self._readings)
        base = {"host": self.hostname or os.uname().nodename} | self.labels
        values = {labels_of({NAME: name, **dict(pairs), **base}): value for name, pairs, value in readings}
        yield Frame(
            np.array([until]), self._index.slots(values), np.array([list(values.values())], np.float64)
        )

    def _readings(self) -> list[Reading]:
        proc, sys = self.root / "proc", self.root / "sys"
        try:
            self._rates.begin(float(read(proc / "uptime").split()[0]))
        except OSError as why:
            raise Fatal(f"{proc / 'uptime'} cannot be read ({why.strerror}): is `root` right?") from why
        found: list[Reading] = []
        for reader in system.READERS:
            found += _whole(reader(proc, self._rates))
        found += _whole(devices.filesystems(proc, self.root))
        found += _whole(devices.disks(proc, sys, self._rates))
        found += _whole(devices.links(proc, self._rates))
        if self._processes:
            found += _whole(self._processes.read(proc, self._rates))
        return found


def _whole(readings: Iterable[Reading]) -> Iterator[Reading]:
    """As far as the host lets us read: kernels and containers leave out files, columns and rights."""
    try:
        yield from readings
    except (OSError, ValueError, LookupError) as why:
        log.debug("left out: %r", why)

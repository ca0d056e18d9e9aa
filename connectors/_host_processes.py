"""Processes by group: who uses the processor and the memory, how many there are, how often they start."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from connectors._host_names import clean, name_of
from connectors._host_rates import Rates, Reading, read, share

MARK = b"FOREWARN_GROUP="
"""A process started with this in its environment names its own group."""
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_KERNEL_THREAD = 0x00200000
_STATES = {"R": "running", "S": "sleeping", "D": "blocked", "Z": "zombie", "T": "stopped", "I": "idle"}
_SETTLE = 10.0
"""Seconds that an unmarked process must have lived to found a group: `ls` is not worth a series."""
_LASTING = 600.0
"""A group this old is missed when it ends: its count stays, at 0. A younger one just ends."""
_MISSED = 3600.0


@dataclass(slots=True)
class _Process:
    """One process as /proc/PID/stat tells it."""

    pid: int
    comm: str
    state: str
    kernel: bool
    ticks: float
    threads: int
    start: float
    """Seconds since boot."""
    rss: float
    group: str = ""
    marked: bool = False


@dataclass(slots=True)
class _Group:
    """Sums over the processes of one name."""

    name: str
    cpu: float = 0.0
    """Seconds of processor time since the last pull."""
    rss: float = 0.0
    threads: int = 0
    count: int = 0
    starts: int = 0
    files: float = 0.0
    oldest: float = float("inf")
    marked: bool = False


@dataclass(slots=True)
class _Member:
    """A group that has series: since when it exists and when it last did (seconds since boot)."""

    oldest: float
    seen: float


@dataclass
class Processes:
    """Remembers names and members between pulls, so that series neither churn nor cost much."""

    most: int
    _names: dict[tuple[int, float, str], tuple[str, bool, bool]] = field(default_factory=dict)
    _members: dict[str, _Member] = field(default_factory=dict)

    def read(self, proc: Path, rates: Rates) -> Iterator[Reading]:
        """One pull: totals by state, then the sums of each member group."""
        pids = filter(str.isdigit, os.listdir(proc))
        processes = [p for pid in pids if (p := _stat(f"{proc}/{pid}", int(pid)))]
        self._name(proc, processes)
        states = Counter(_STATES.get(p.state, "other") for p in processes)
        for state in ("running", "blocked", "zombie", "stopped"):
            yield "host_processes", (("state", state),), float(states[state])
        yield "host_threads", (), float(sum(p.threads for p in processes))
        groups = self._sum(proc, processes, rates)
        self._admit(groups, rates, _total_memory(proc))
        for name in sorted(self._members):
            yield from self._readings(name, groups.get(name), rates)

    def _name(self, proc: Path, processes: Iterable[_Process]) -> None:
        """Name each process, from the cache where it was seen twice: between fork and exec a child looks
        like its parent, so the first look may be wrong."""
        names = {}
        for one in processes:
            key = one.pid, one.start, one.comm
            name, marked, settled = self._names.get(key, ("", False, False))
            if not settled:
                again = key in self._names
                name, marked = _group_of(f"{proc}/{one.pid}", one)
                settled = again
            names[key] = name, marked, settled
            one.group, one.marked = name, marked
        self._names = names

    def _sum(self, proc: Path, processes: Iterable[_Process], rates: Rates) -> dict[str, _Group]:
        groups: dict[str, _Group] = {}
        before = rates.uptime - rates.elapsed
        for one in processes:
            group = groups.setdefault(one.group, _Group(one.group))
            spent = rates.increase((one.pid, one.start), one.ticks)
            if spent != spent:
                new = one.start >= before
                group.starts += new
                spent = one.ticks if new else 0.0
            group.cpu += spent / _TICK
            group.rss += one.rss
            group.threads += one.threads
            group.count += 1
            group.oldest = min(group.oldest, one.start)
            group.marked |= one.marked
            if one.group in self._members and not one.kernel:
                group.files += _open_files(f"{proc}/{one.pid}")
        return groups

    def _admit(self, groups: dict[str, _Group], rates: Rates, memory: float) -> None:
        """Keep members; fill free places with the heaviest; replace one only by twice its weight."""
        uptime = rates.uptime
        for name, member in list(self._members.items()):
            if name in groups:
                member.seen, member.oldest = uptime, min(member.oldest, groups[name].oldest)
            elif member.seen - member.oldest < _LASTING or uptime - member.seen > _MISSED:
                del self._members[name]

        def weight(name: str) -> float:
            group = groups.get(name)
            if group is None:
                return 0.0
            cores = group.cpu / rates.elapsed if rates.elapsed > 0 else 0.0
            return group.rss / memory + cores + 1e9 * group.marked

        settled = [g for g in groups.values() if g.marked or uptime - g.oldest >= _SETTLE]
        for group in sorted(settled, key=lambda g: weight(g.name), reverse=True):
            if group.name in self._members:
                continue
            if not self.most:
                return
            if len(self._members) >= self.most:
                weakest = min(self._members, key=weight)
                if weight(group.name) <= 2 * weight(weakest):
                    return
                del self._members[weakest]
            self._members[group.name] = _Member(group.oldest, uptime)

    def _readings(self, name: str, group: _Group | None, rates: Rates) -> Iterator[Reading]:
        at = (("group", name),)
        yield "host_process_count", at, float(group.count) if group else 0.0
        if group is None:
            return
        yield "host_process_cpu_cores", at, share(group.cpu, rates.elapsed)
        yield "host_process_rss_bytes", at, group.rss
        yield "host_process_threads", at, float(group.threads)
        yield "host_process_starts_per_second", at, share(group.starts, rates.elapsed)
        if group.files:
            yield "host_process_open_files", at, group.files


def _stat(folder: str, pid: int) -> _Process | None:
    """None when the process has gone or may not be read."""
    try:
        text = read(f"{folder}/stat")
    except OSError:
        return None
    left, _, right = text.rpartition(b")")
    fields = right.split()
    if len(fields) < 22:
        return None
    return _Process(
        pid=pid,
        comm=left.partition(b"(")[2].decode(errors="replace"),
        state=fields[0].decode(),
        kernel=bool(int(fields[6]) & _KERNEL_THREAD),
        ticks=float(fields[11]) + float(fields[12]),
        threads=int(fields[17]),
        start=float(fields[19]) / _TICK,
        rss=float(fields[21]) * _PAGE,
    )


def _group_of(folder: str, process: _Process) -> tuple[str, bool]:
    """(group name, whether the process named it itself)."""
    if process.kernel:
        return "kernel", False
    try:
        for entry in read(f"{folder}/environ").split(b"\0"):
            if entry.startswith(MARK) and len(entry) > len(MARK):
                return clean(entry[len(MARK) :].decode(errors="replace")), True
    except OSError:
        pass  # another user's process: it cannot name itself to us
    try:
        arguments = read(f"{folder}/cmdline").split(b"\0")
    except OSError:
        arguments = []
    return name_of([a.decode(errors="replace") for a in arguments if a], process.comm), False


def _open_files(folder: str) -> float:
    """Open descriptors: one call, as Linux >= 6.2 gives them as the folder's size (older ones: 0)."""
    try:
        return float(os.stat(f"{folder}/fd").st_size)
    except OSError:
        return 0.0


def _total_memory(proc: Path) -> float:
    try:
        return float(read(proc / "meminfo").split()[1]) * 1024
    except (OSError, IndexError, ValueError):
        return 1.0  # nothing to compare with the processors: order by memory

"""What the host may have many of: mounted filesystems, disks, network interfaces."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from connectors._host_rates import NAN, Rates, Reading, read, share

_REAL = frozenset(
    (
        *("bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "fuseblk", "jfs"),
        *("nilfs2", "ntfs", "ntfs3", "reiserfs", "ubifs", "vfat", "xfs", "zfs"),
    )
)
"""Filesystems that hold data on this machine. Network ones are left out: with their server statvfs hangs."""
_SMALL = {"tmpfs": ("/tmp", "/run", "/dev/shm"), "overlay": ("/",)}
"""Memory and container filesystems count only where programs write."""
_MOST_MOUNTS = 16
_MOST_DISKS = 8
_MOST_LINKS = 8
_SECTOR = 512
_VIRTUAL_DISK = re.compile(r"(loop|ram|zram|sr|fd|nbd)\d+")
_VIRTUAL_LINK = re.compile(r"lo|(veth|cali|cni|flannel|docker|br-|virbr|ifb|tap|vnet|lxc|dummy|kube-).*")


def filesystems(proc: Path, root: Path) -> Iterator[Reading]:
    """Space and inodes left for unprivileged programs, as `df` counts them, per mounted filesystem."""
    for mountpoint, options in _mounts(proc):
        try:
            stat = os.statvfs(root / mountpoint.lstrip("/"))
        except OSError:
            continue
        at = (("mountpoint", mountpoint),)
        used = stat.f_blocks - stat.f_bfree
        yield "host_filesystem_free_ratio", at, share(stat.f_bavail, used + stat.f_bavail)
        yield "host_filesystem_free_bytes", at, float(stat.f_bavail * stat.f_frsize)
        if stat.f_files:
            yield "host_filesystem_inodes_free_ratio", at, share(stat.f_favail, stat.f_files)
            yield "host_filesystem_inodes_free", at, float(stat.f_favail)
        yield "host_filesystem_read_only", at, float("ro" in options)


def _mounts(proc: Path) -> list[tuple[str, list[str]]]:
    """(mountpoint, options), one for each device: the shortest path, so that bind mounts do not repeat it."""
    try:
        text = read(proc / "1/mounts")
    except OSError:
        text = read(proc / "mounts")
    chosen: dict[str, tuple[str, list[str]]] = {}
    for line in text.decode(errors="replace").splitlines():
        device, mountpoint, kind, options = line.split()[:4]
        if kind not in _REAL and mountpoint not in _SMALL.get(kind, ()):
            continue
        mountpoint = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), mountpoint)
        key = device if device.startswith("/") else mountpoint
        if key not in chosen or len(mountpoint) < len(chosen[key][0]):
            chosen[key] = mountpoint, options.split(",")
    return sorted(chosen.values())[:_MOST_MOUNTS]


def disks(proc: Path, sys: Path, rates: Rates) -> Iterator[Reading]:
    """Throughput, operations, mean latency and busy share of whole devices that ever did any I/O."""
    seen = 0
    for line in read(proc / "diskstats").decode().splitlines():
        _, _, name, *rest = line.split()
        count = [float(v) for v in rest[:11]]
        whole = (sys / "block" / name.replace("/", "!")).exists()
        if not whole or _VIRTUAL_DISK.fullmatch(name) or not count[0] + count[4] or seen == _MOST_DISKS:
            continue
        seen += 1
        yield from _disk(name, count, rates)


def _disk(name: str, count: list[float], rates: Rates) -> Iterator[Reading]:
    at = (("device", name),)
    for way, first in (("read", 0), ("write", 4)):
        done = rates.increase((name, way), count[first])
        spent = rates.increase((name, way, "ms"), count[first + 3])
        moved = rates.per_second((name, way, "sectors"), count[first + 2])
        yield f"host_disk_{way}s_per_second", at, share(done, rates.elapsed)
        yield f"host_disk_{way}_bytes_per_second", at, moved * _SECTOR
        yield f"host_disk_{way}_seconds", at, share(spent / 1000, done)
    busy = rates.per_second((name, "busy"), count[9]) / 1000
    yield "host_disk_busy_ratio", at, min(busy, 1.0) if busy == busy else NAN
    yield "host_disk_queue", at, rates.per_second((name, "queue"), count[10]) / 1000


def links(proc: Path, rates: Rates) -> Iterator[Reading]:
    """Bytes, packets, errors and drops of network interfaces that ever carried a packet."""
    seen = 0
    for line in read(proc / "net/dev").decode().splitlines()[2:]:
        name, _, rest = line.partition(":")
        name = name.strip()
        count = [float(v) for v in rest.split()]
        if _VIRTUAL_LINK.fullmatch(name) or not count[1] + count[9] or seen == _MOST_LINKS:
            continue
        seen += 1
        at = (("device", name),)
        for metric, value in (
            ("receive_bytes", count[0]),
            ("receive_packets", count[1]),
            ("receive_errors", count[2]),
            ("receive_drops", count[3]),
            ("transmit_bytes", count[8]),
            ("transmit_packets", count[9]),
            ("transmit_errors", count[10]),
            ("transmit_drops", count[11]),
        ):
            yield f"host_network_{metric}_per_second", at, rates.per_second((name, metric), value)

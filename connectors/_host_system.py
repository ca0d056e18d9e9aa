"""What the host has one of: processors, pressure, memory, descriptors, sockets."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from connectors._host_rates import Rates, Reading, read, share

_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_MOST_CORES = 32
_MOST_SOCKETS = 5000
"""Above this /proc/net/tcp is left alone: each line costs the kernel and us about a microsecond."""
_SOCKETS_EVERY = 10.0
"""Listing walks the kernel's whole hash table, 10 ms on 24 GiB even without a connection."""


def cpu(proc: Path, rates: Rates) -> Iterator[Reading]:
    """Time by mode as ratios 0..1 over all cores, how busy each core was, and the scheduler's counters."""
    busiest = []
    cores: list[Reading] = []
    for line in read(proc / "stat").decode().splitlines():
        word, *fields = line.split()
        if word.startswith("cpu"):
            grown = [rates.increase((word, m), float(v)) for m, v in zip(_MODES, fields, strict=False)]
            whole = sum(grown)
            if word == "cpu":
                for mode, part in zip(_MODES, grown, strict=False):
                    yield "host_cpu_ratio", (("mode", mode),), share(part, whole)
                continue
            busy = share(whole - grown[3] - grown[4], whole)
            busiest.append(busy)
            cores.append(("host_cpu_core_busy_ratio", (("core", word[3:]),), busy))
        elif word == "ctxt":
            yield "host_context_switches_per_second", (), rates.per_second(word, float(fields[0]))
        elif word == "intr":
            yield "host_interrupts_per_second", (), rates.per_second(word, float(fields[0]))
        elif word == "processes":
            yield "host_forks_per_second", (), rates.per_second(word, float(fields[0]))
        elif word == "procs_blocked":
            yield "host_processes_blocked", (), float(fields[0])
    if len(cores) <= _MOST_CORES:
        yield from cores
    if busiest:
        yield "host_cpu_core_busy_max_ratio", (), max(busiest)


def load(proc: Path, rates: Rates) -> Iterator[Reading]:
    fields = read(proc / "loadavg").split()
    for minutes, value in zip((1, 5, 15), fields, strict=False):
        yield f"host_load{minutes}", (), float(value)


def pressure(proc: Path, rates: Rates) -> Iterator[Reading]:
    """Pressure stall information: share of the time in which some or all tasks waited for the resource."""
    for resource in ("cpu", "memory", "io"):
        try:
            text = read(proc / "pressure" / resource).decode()
        except OSError:
            continue
        for line in text.splitlines():
            kind, *fields = line.split()
            total = float(fields[-1].removeprefix("total="))
            stalled = rates.per_second(("psi", resource, kind), total) / 1e6
            yield "host_pressure_ratio", (("kind", kind), ("resource", resource)), min(stalled, 1.0)


def memory(proc: Path, rates: Rates) -> Iterator[Reading]:
    kib = {}
    for line in read(proc / "meminfo").decode().splitlines():
        key, _, rest = line.partition(":")
        kib[key] = float(rest.split()[0])
    available = kib.get("MemAvailable", kib["MemFree"] + kib.get("Cached", 0.0))
    yield "host_memory_available_ratio", (), share(available, kib["MemTotal"])
    yield "host_memory_available_bytes", (), available * 1024
    for metric, key in (
        ("host_memory_cached_bytes", "Cached"),
        ("host_memory_dirty_bytes", "Dirty"),
        ("host_memory_anonymous_bytes", "AnonPages"),
        ("host_memory_slab_unreclaimable_bytes", "SUnreclaim"),
    ):
        if key in kib:
            yield metric, (), kib[key] * 1024
    yield "host_memory_committed_ratio", (), share(kib["Committed_AS"], kib["MemTotal"] + kib["SwapTotal"])
    if kib["SwapTotal"]:
        yield "host_swap_free_ratio", (), share(kib["SwapFree"], kib["SwapTotal"])
        yield "host_swap_used_bytes", (), (kib["SwapTotal"] - kib["SwapFree"]) * 1024


def paging(proc: Path, rates: Rates) -> Iterator[Reading]:
    fields = dict(line.split() for line in read(proc / "vmstat").decode().splitlines())
    for metric, key in (
        ("host_swap_in_pages_per_second", "pswpin"),
        ("host_swap_out_pages_per_second", "pswpout"),
        ("host_major_faults_per_second", "pgmajfault"),
        ("host_oom_kills_per_second", "oom_kill"),
    ):
        if key in fields:
            yield metric, (), rates.per_second(key, float(fields[key]))


def descriptors(proc: Path, rates: Rates) -> Iterator[Reading]:
    taken, free, most = map(float, read(proc / "sys/fs/file-nr").split())
    yield "host_files_open", (), taken - free
    yield "host_files_open_ratio", (), share(taken - free, most)


def conntrack(proc: Path, rates: Rates) -> Iterator[Reading]:
    folder = proc / "sys/net/netfilter"
    count, most = float(read(folder / "nf_conntrack_count")), float(read(folder / "nf_conntrack_max"))
    yield "host_conntrack_used_ratio", (), share(count, most)


_TCP = {
    b"01": "established",
    b"02": "syn_sent",
    b"03": "syn_received",
    b"04": "closing",
    b"05": "closing",
    b"06": "time_wait",
    b"08": "close_wait",
    b"09": "closing",
    b"0A": "listen",
    b"0B": "closing",
}


def sockets(proc: Path, rates: Rates) -> Iterator[Reading]:
    """TCP sockets by state, where they are not too many to list; else only what the kernel counts itself."""
    if not rates.due("sockets", _SOCKETS_EVERY):
        return
    total: dict[str, float] = {}
    for line in read(proc / "net/sockstat").decode().splitlines():
        proto, *words = line.split()
        total |= {proto + k: float(v) for k, v in zip(words[::2], words[1::2], strict=False)}
    yield "host_sockets", (("state", "orphan"),), total["TCP:orphan"]
    yield "host_udp_sockets", (), total["UDP:inuse"]
    if total["TCP:inuse"] + total["TCP:tw"] > _MOST_SOCKETS:
        yield "host_sockets", (("state", "time_wait"),), total["TCP:tw"]
        return
    states: Counter[str] = Counter(dict.fromkeys(_TCP.values(), 0))
    # Fixed columns: the state follows "%4d: " and two addresses of 8 (IPv6: 32) digits with their ports.
    for name, column in (("net/tcp", 34), ("net/tcp6", 82)):
        try:
            lines = read(proc / name).split(b"\n")[1:]
        except OSError:
            continue
        states.update(_TCP[code] for line in lines if (code := line[column : column + 2]) in _TCP)
    for state, count in states.items():
        yield "host_sockets", (("state", state),), float(count)


def transport(proc: Path, rates: Rates) -> Iterator[Reading]:
    """TCP and UDP trouble: retransmissions, resets, full accept queues, dropped datagrams."""
    fields: dict[str, float] = {}
    for name in ("net/snmp", "net/netstat"):
        lines = read(proc / name).decode().splitlines()
        for head, row in zip(lines[::2], lines[1::2], strict=False):
            proto = head.split(":")[0]
            values = map(float, row.split()[1:])
            fields |= {f"{proto}.{key}": v for key, v in zip(head.split()[1:], values, strict=False)}
    sent = rates.increase("Tcp.OutSegs", fields["Tcp.OutSegs"])
    yield "host_tcp_retransmit_ratio", (), share(rates.increase("retrans", fields["Tcp.RetransSegs"]), sent)
    for metric, key in (
        ("host_tcp_connects_per_second", "Tcp.ActiveOpens"),
        ("host_tcp_accepts_per_second", "Tcp.PassiveOpens"),
        ("host_tcp_connect_failures_per_second", "Tcp.AttemptFails"),
        ("host_tcp_resets_per_second", "Tcp.EstabResets"),
        ("host_tcp_listen_drops_per_second", "TcpExt.ListenDrops"),
        ("host_udp_receive_errors_per_second", "Udp.InErrors"),
    ):
        if key in fields:
            yield metric, (), rates.per_second(key, fields[key])


READERS = (cpu, load, pressure, memory, paging, descriptors, conntrack, sockets, transport)

"""What `forewarn doctor` sees on this very machine: versions, files, space, limits."""

import os
import re
import resource
import shutil
import stat
import sys
from collections.abc import Iterator, Sized
from importlib import metadata
from pathlib import Path

from aiops.cli.finding import Finding, fail, ok, warn
from aiops.config import Config
from aiops.config.complaint import ConfigError
from aiops.config.secret_files import secrets_of
from aiops.plugin.params import Secret
from aiops.web.session import KEY_FILE

LEAST_PYTHON = (3, 11)
FEW_FILES, TOO_FEW_FILES = 1024, 256
LITTLE_DISK, NO_DISK = 1 << 30, 100 << 20
"""Bytes; below a tenth of that checkpoints and tickets are about to fail."""
LITTLE_MEMORY = 512 << 20
_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[^\]]*\])?([^;]*)(?:;.*)?")
_BOUND = re.compile(r"(>=|<=|==|!=|~=|<|>)\s*([\d.]+)")


def python() -> Finding:
    found = sys.version.split()[0]
    if sys.version_info < LEAST_PYTHON:
        return fail("python", found, f"Forewarn needs {'.'.join(map(str, LEAST_PYTHON))} or newer")
    return ok("python", found)


def packages(asked: list[str] | None = None) -> list[Finding]:
    """What this distribution requires against what is installed; extras are looked at by their kinds."""
    listed = metadata.requires("forewarn") or [] if asked is None else asked
    wanted = [one for one in listed if "extra ==" not in one]
    findings = []
    for one in wanted:
        found = _REQUIREMENT.fullmatch(one.strip())
        if found is None:
            continue
        name, bounds = found[1], found[2].strip()
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            findings.append(fail("packages", f"{name} is missing", f"pip install '{name}{bounds}'"))
            continue
        if not _fits(installed, bounds):
            told = f"{name} is {installed}, and {bounds} is needed"
            findings.append(fail("packages", told, f"pip install '{name}{bounds}'"))
    return findings or [ok("packages", f"{len(wanted)} of {len(wanted)} as required")]


def _fits(installed: str, bounds: str) -> bool:
    have = _numbers(installed)
    for sign, text in _BOUND.findall(bounds):
        want = _numbers(text)
        width = max(len(have), len(want))
        left, right = have + (0,) * (width - len(have)), want + (0,) * (width - len(want))
        fits = {">=": left >= right, ">": left > right, "<": left < right, "<=": left <= right}
        if not fits.get(sign, (left == right) if sign == "==" else True):
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    """Of the release, without what follows it: ``2.0.1rc1`` is 2.0.1 here."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def files() -> Finding:
    """How many files and sockets may be open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    said = f"{soft} may be open"
    do = f"raise it: `ulimit -n {min(hard, 65536)}`, or LimitNOFILE=65536 of the systemd unit"
    if soft < TOO_FEW_FILES:
        return fail("open files", said, do)
    return ok("open files", said) if soft >= FEW_FILES else warn("open files", said, do)


def complaints(where: Path, why: ConfigError) -> list[Finding]:
    """Every fault of a config that cannot be taken."""
    return [
        fail(
            "config",
            f"{one.place or where} {one.key}: {one.message}",
            one.hint or "`forewarn check` shows it",
        )
        for one in why.complaints
    ]


def _count(these: Sized, name: str) -> str:
    return f"{len(these)} {name}{'' if len(these) == 1 else 's'}"


def config_file(where: Path, config: Config) -> list[Finding]:
    parts = f"{_count(config.sources, 'source')}, {_count(config.sinks, 'sink')}"
    findings = [ok("config", f"{where} is good: {parts}")]
    try:
        mode = where.stat().st_mode
    except OSError as why:
        return [fail("config", f"{where}: {why.strerror}", "let Forewarn read it")]
    if mode & stat.S_IWOTH:
        findings.append(fail("config", f"anybody may write {where}", f"chmod o-w {where}"))
    if re.search(r"://[^/@\s]*:[^/@\s]+@", config.store) and mode & stat.S_IROTH:
        told = f"{where} holds the password of `store`, and anybody may read it"
        findings.append(warn("config", told, f"chmod 640 {where}, or give it by PGPASSFILE"))
    return findings


def secrets(config: Config) -> list[Finding]:
    """Whether every reference leads to something, and nobody else may read it."""
    seen = {(one.env, one.file): one for one in secrets_of(config) if not _made_here(one, config.data)}
    findings = [finding for one in seen.values() for finding in _secret(one)]
    return findings or ([ok("secrets", f"{len(seen)} of {len(seen)} can be read")] if seen else [])


def _made_here(secret: Secret, data: Path) -> bool:
    """Whether the first start will write it."""
    return secret.file is not None and secret.file.is_relative_to(data) and not secret.file.exists()


def _secret(secret: Secret) -> Iterator[Finding]:
    path = secret.file
    try:
        empty = not secret.read().get_secret_value()
    except ValueError as why:
        yield fail(
            "secrets", str(why), f"set {secret.env}" if secret.env else f"write {path}, readable to Forewarn"
        )
        return
    if empty:
        yield fail("secrets", f"{path} is empty", "write the secret into it")
    if path is not None and path.stat().st_mode & stat.S_IROTH:
        yield warn("secrets", f"anybody may read {path}", f"chmod 600 {path}")


def folder(config: Config) -> list[Finding]:
    """The data folder: to be written by us, and its secrets to be read by us only."""
    data = config.data
    near = next(one for one in (data, *data.absolute().parents) if one.exists())
    if not os.access(near, os.W_OK | os.X_OK):
        owner = near.stat().st_uid
        do = f"run as its owner (uid {owner}), mount it writable, or give another with --data"
        return [fail("data folder", f"{near} cannot be written by uid {os.geteuid()}", do)]
    findings = [ok("data folder", f"{data} can be written")]
    for path in [*data.glob("*.secret"), data / KEY_FILE]:
        if path.exists() and path.stat().st_mode & 0o077:
            mode = stat.filemode(path.stat().st_mode)
            findings.append(fail("data folder", f"others may use {path} ({mode})", f"chmod 600 {path}"))
    return findings


def space(config: Config) -> list[Finding]:
    """Room on the file systems of the data folder and of SQLite's file."""
    places = {_existing(config.data)}
    if config.store.startswith("sqlite:///"):
        places.add(_existing(Path(config.store.removeprefix("sqlite:///"))))
    devices = {place.stat().st_dev: place for place in places}
    return [_space(place) for place in devices.values()]


def _space(place: Path) -> Finding:
    disk, nodes = shutil.disk_usage(place), os.statvfs(place)
    said = f"{disk.free / 1e9:.1f} GB of {disk.total / 1e9:.1f} GB are free under {place}"
    do = "make room: `forewarn purge --dry-run` says what retention would take, then VACUUM"
    if disk.free < NO_DISK:
        return fail("disk", said, do)
    if nodes.f_files and nodes.f_favail < 1000:
        return fail(
            "disk", f"{nodes.f_favail} files more can be made under {place}", "delete small files there"
        )
    if disk.free < LITTLE_DISK or disk.free < 0.05 * disk.total:
        return warn("disk", said, do)
    return ok("disk", said)


def memory() -> list[Finding]:
    """What this process may take: a group's limit, else the machine's."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limits.append(int(Path(name).read_text()))
        except (OSError, ValueError):
            continue
    limits += [one for one in resource.getrlimit(resource.RLIMIT_AS) if one != resource.RLIM_INFINITY]
    least = min(limits)
    said = f"{least / 1e9:.1f} GB may be taken"
    if least < LITTLE_MEMORY:
        return [warn("memory", said, "give it 512 MB and 2 KB a series more")]
    return [ok("memory", said)]


def _existing(path: Path) -> Path:
    return next(one for one in (path, *path.absolute().parents) if one.is_dir())

"""Which ``/metrics`` pages to pull: named in the config, in files, or found by Kubernetes."""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

import httpx

log = logging.getLogger("aiops.connectors")

ADDRESS, SCHEME, PATH, PARAM = "__address__", "__scheme__", "__metrics_path__", "__param_"


@dataclass(frozen=True, slots=True)
class Target:
    """One page, and the labels that all its series get."""

    url: str
    labels: tuple[tuple[str, str], ...]


def target(address: str, labels: Mapping[str, str], scheme: str, path: str, job: str) -> Target:
    """``host:port`` or a whole URL -> its page. Raises ValueError.

    As in Prometheus, labels ``__scheme__``, ``__metrics_path__`` and ``__param_<name>`` say how it is asked,
    others that begin with ``__`` are dropped, and ``instance`` is the address where nothing else is said.
    """
    whole = address if "://" in address else f"{labels.get(SCHEME, scheme)}://{address}"
    try:
        url = httpx.URL(whole)
    except httpx.InvalidURL as bad:
        raise ValueError(f"{address!r} is no address: {bad}") from bad
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        raise ValueError(f"{address!r} is no address: expected host:port or http://host:port/path")
    if url.path in ("", "/"):
        url = url.copy_with(path=labels.get(PATH, path))
    asked = {name.removeprefix(PARAM): text for name, text in labels.items() if name.startswith(PARAM)}
    url = url.copy_merge_params(asked) if asked else url
    port = url.port or (443 if url.scheme == "https" else 80)
    host = f"[{url.host}]" if ":" in url.host else url.host
    said = {name: text for name, text in labels.items() if not name.startswith("__") and text}
    return Target(str(url), tuple(sorted(({"job": job, "instance": f"{host}:{port}"} | said).items())))


def groups_of(text: str, suffix: str) -> list[tuple[list[str], dict[str, str]]]:
    """(addresses, labels) of each group in a file of Prometheus' file discovery. Raises ValueError."""
    if suffix == ".json":
        found = json.loads(text)
    else:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError

        try:
            found = YAML(typ="safe", pure=True).load(text)
        except YAMLError as bad:
            raise ValueError(str(bad)) from bad
    groups = []
    for group in found or []:
        if not isinstance(group, dict) or not isinstance(group.get("targets"), list):
            raise ValueError("expected a list of groups {targets: [...], labels: {...}}")
        groups.append(([str(one) for one in group["targets"]], _texts(group.get("labels") or {})))
    return groups


def _texts(labels: Any) -> dict[str, str]:
    if not isinstance(labels, dict):
        raise ValueError("labels are no block of texts")
    return {str(name): str(text) for name, text in labels.items()}


class Files:
    """Reads target files anew when they have changed; what cannot be read leaves things as they were."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = list(patterns)
        self._read: dict[str, tuple[tuple[int, int], list[tuple[list[str], dict[str, str]]]]] = {}

    def groups(self) -> list[tuple[list[str], dict[str, str]]]:
        names = sorted({name for pattern in self._patterns for name in glob(pattern)})
        self._read = {name: one for name, one in self._read.items() if name in names}
        for name in names:
            self._look(name)
        return [group for name in names if name in self._read for group in self._read[name][1]]

    def _look(self, name: str) -> None:
        before = self._read.get(name)
        try:
            stat = Path(name).stat()
            mark = stat.st_mtime_ns, stat.st_size
            if before is None or before[0] != mark:
                # noted first: a broken file is told once
                self._read[name] = mark, before[1] if before else []
                self._read[name] = mark, groups_of(Path(name).read_text(), Path(name).suffix)
        except (OSError, ValueError, TypeError) as why:
            log.warning("%s: %s; its targets stay as they were", name, why)

"""Label sets, and how they are told."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import TypeAlias

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""Sorted (name, value) pairs, the metric name under ``__name__``; hashable, so it is its own identity."""

NAME = "__name__"


def labels_of(mapping: Mapping[str, str] | Iterable[tuple[str, str]]) -> Labels:
    """The canonical label set; empty values are dropped, as Prometheus does.

    What no store could keep, NUL and halves of characters (file names may hold them), becomes ``?``.
    """
    pairs = mapping.items() if isinstance(mapping, Mapping) else mapping
    return tuple(sorted((k, v if v.isprintable() else _storable(v)) for k, v in pairs if v != ""))


def _storable(text: str) -> str:
    return text.replace("\x00", "?").encode("utf-8", "replace").decode()


def fingerprint(labels: Labels) -> str:
    """16 hex digits that name a label set in URLs, rows and logs."""
    digest = blake2b(digest_size=8)
    for key, value in labels:
        digest.update(f"{key}\x00{value}\x01".encode())
    return digest.hexdigest()


def text_of(labels: Labels) -> str:
    """``name{key="value", ...}``, as an SRE would type it."""
    name = ""
    inner = []
    for key, value in labels:
        if key == NAME:
            name = value
        else:
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            inner.append(f'{key}="{escaped}"')
    return name + ("{" + ", ".join(inner) + "}" if inner else "")

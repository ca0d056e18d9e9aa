"""Kind -> class: a file on our shelf, else an entry point of somebody else's package."""

import importlib
import importlib.util
import sys
from difflib import get_close_matches
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from aiops.plugin.params import Plugin

HOUSE = Path(__file__).resolve().parent.parent.parent
"""The folder that holds aiops/ and the shelves."""

T = TypeVar("T", bound=Plugin)


class UnknownKind(LookupError):
    """No plug-in of that kind; the message lists what there is."""


class ForeignModule(ImportError):
    """A module of another distribution stands where ours should."""


def kinds(shelf: str) -> dict[str, str]:
    """Every kind on `shelf` (dotted: ``playbooks.actions``) -> module path; ours first, then entry points."""
    folder = HOUSE.joinpath(*shelf.split("."))
    changed = folder.stat().st_mtime_ns if folder.is_dir() else 0
    theirs = _theirs("forewarn." + shelf.rsplit(".", 1)[-1], tuple(sys.path))
    return theirs | _ours(folder, shelf, changed)


@lru_cache(maxsize=16)
def _ours(folder: Path, shelf: str, changed: int) -> dict[str, str]:
    """Of a folder that was last changed at `changed`."""
    return {p.stem: f"{shelf}.{p.stem}" for p in sorted(folder.glob("*.py")) if not p.name.startswith("_")}


@lru_cache(maxsize=16)
def _theirs(group: str, _path: tuple[str, ...]) -> dict[str, str]:
    """Looked for once in a path: what all packages say takes 16 ms to read, and a plan asks for each step."""
    return {e.name: e.value for e in entry_points(group=group)}


def load(shelf: str, kind: str, base: type[T]) -> type[T]:
    """The class of `kind`: the one public subclass of `base` that its module defines.

    Raises `UnknownKind` (with the nearest names), `ForeignModule`, or the module's own ImportError.
    """
    known = kinds(shelf)
    if kind not in known:
        near = get_close_matches(kind, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UnknownKind(f"no kind {kind!r} in {shelf}{hint} (there are: {', '.join(sorted(known))})")
    where = known[kind]
    module_name, _, attribute = where.partition(":")
    module = importlib.import_module(module_name)
    if module_name.startswith(shelf + "."):
        _check_origin(module)
    found = getattr(module, attribute) if attribute else _only_class(module, base)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise UnknownKind(f"{where} is no {base.__name__}")
    found.kind = kind
    return found


def _check_origin(module: ModuleType) -> None:
    origin = Path(module.__file__ or "").resolve()
    if not origin.is_relative_to(HOUSE):
        raise ForeignModule(
            f"{module.__name__} comes from {origin}, not from {HOUSE}: another distribution ships "
            f"a package {module.__name__.split('.')[0]!r}; uninstall it or move it off sys.path"
        )


def _only_class(module: ModuleType, base: type[T]) -> type[T]:
    own = [
        value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, base)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    ]
    if len(own) != 1:
        names = ", ".join(one.__name__ for one in own) or "none"
        raise UnknownKind(f"{module.__name__} must define one public {base.__name__}, found {names}")
    return own[0]

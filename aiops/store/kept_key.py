"""Keys that an installation makes for itself and keeps in its data folder."""

import os
import secrets
from pathlib import Path

LENGTH = 32


def kept_key(path: Path) -> bytes:
    """The key in `path`, made on first use and readable by its owner only. Raises OSError.

    It appears whole and once: engines that start at the same time on one shared folder get the same.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    found = _read(path)
    if found is not None:
        if len(found) >= LENGTH:
            return found
        path.unlink(missing_ok=True)  # whoever made it died before it was written
    aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(LENGTH))
        _put(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    return kept_key(path)


def _read(path: Path) -> bytes | None:
    """What is there; None: nothing yet."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _put(aside: Path, path: Path) -> None:
    try:
        os.link(aside, path)
    except FileExistsError:
        return
    except OSError:  # not every file system has links
        aside.rename(path)

"""Secrets that Forewarn makes for itself: those whose file lies in the data folder."""

import base64
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from aiops.config.models import Config
from aiops.plugin import Secret


def ensure_secrets(config: Config) -> list[Path]:
    """Write every secret file in ``config.data`` that is not there yet; returns the new ones. Raises OSError.

    The content is a Standard Webhooks key: ``whsec_`` and 32 random bytes in base64, mode 0600. A secret file
    anywhere else is the user's own, and is never made.
    """
    made = []
    for secret in secrets_of(config):
        path = secret.file
        if path is None or not path.is_relative_to(config.data) or path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        key = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        # O_EXCL: of two engines that start at once, one writes and both read the same
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(handle, "w") as file:
            file.write(key + "\n")
        made.append(path)
    return made


def secrets_of(value: Any) -> Iterator[Secret]:
    """Every secret anywhere in a block."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets_of(getattr(value, name))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from secrets_of(one)
    elif isinstance(value, dict):
        for one in value.values():
            yield from secrets_of(one)

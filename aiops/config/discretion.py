"""Keeps secrets out of what leaves: the very secrets of a configuration, and whatever looks like one."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydantic import BaseModel

from aiops.config.models import Config
from aiops.config.secret_files import secrets_of
from aiops.core.log_redact import MASK, masked
from aiops.plugin import Secret

SECRET_KEY = re.compile(
    r"passw(or)?d|passphrase|secret|token|(api|access|private)[-_]?key|credential|authorization|cookie", re.I
)
"""What keys are called that hold secrets."""
SHORTEST = 6
"""Characters: a shorter secret is a word that stands in other texts too."""


class Discretion:
    """``discretion(text)`` is the text without secrets. `follow` a configuration, which may be exchanged."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        """`more`: secrets by value, beyond those of a configuration."""
        self._config: Callable[[], Config | None] = lambda: None
        self._more = tuple(more)
        self._known: Config | None = None
        self._values: list[str] = _forms(self._more)

    def follow(self, config: Callable[[], Config | None]) -> None:
        """From now on the secrets are those of what `config()` gives."""
        self._config = config

    def __call__(self, text: str) -> str:
        config = self._config()
        if config is not self._known and config is not None:
            self._known = config
            self._values = _forms([*self._more, *values_of(config)])
        for value in self._values:
            text = text.replace(value, MASK)
        return masked(text)


def values_of(config: Config) -> list[str]:
    """Every secret that can be read now: by reference, and what Forewarn made for itself."""
    found = list(_plain(config, ""))
    for secret in secrets_of(config):
        try:
            found.append(secret.read().get_secret_value())
        except ValueError:
            continue
    for path in sorted(config.data.glob("*.secret")):
        try:
            found.append(path.read_text().strip())
        except (OSError, UnicodeDecodeError):
            continue
    return found


def _plain(value: Any, key: str) -> Iterator[str]:
    """Texts under keys of such names, as in ``headers: {X-Api-Key: ...}``: some write them down plainly."""
    if isinstance(value, Secret):
        return
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _plain(getattr(value, name), name)
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _plain(one, str(name))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _plain(one, key)
    elif isinstance(value, str) and SECRET_KEY.search(key):
        yield value


def _forms(values: Iterable[str]) -> list[str]:
    """Longest first, so that none hides in another; of several lines each by itself too."""
    forms = {form for value in values for form in (value, value.removeprefix("whsec_"), *value.splitlines())}
    return sorted((form for form in forms if len(form.strip()) >= SHORTEST), key=len, reverse=True)

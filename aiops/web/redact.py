"""A config as it may be shown: no password leaves, wherever somebody wrote it."""

import re
from typing import Any

from aiops.config import Config
from aiops.config.discretion import SECRET_KEY
from aiops.core.log_redact import masked
from aiops.plugin.params import Plugin

_USERINFO = re.compile(r"(://[^\s:/@]*:)[^\s@]+@")
MASK = "***"


def redacted(config: Config) -> dict[str, Any]:
    """JSON-able, defaults filled in. References to secrets (``{env: ...}``, ``{file: ...}``) stay."""
    dumped = config.model_dump(mode="json", by_alias=True, serialize_as_any=True)
    for shelf, plugins in (
        (dumped["sources"], config.sources),
        (dumped["sinks"], config.sinks),
        (dumped["detection"]["detectors"], config.detection.detectors),
    ):
        _name_kinds(shelf, plugins)
    clean: dict[str, Any] = _masked(dumped, "")
    return clean


def _name_kinds(shelf: list[dict[str, Any]], plugins: list[Any]) -> None:
    plugin: Plugin
    for place, plugin in enumerate(plugins):
        shelf[place] = {"kind": plugin.kind, **shelf[place]}


def _masked(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {name: _masked(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner, key) for inner in value]
    if not isinstance(value, str) or not value:
        return value
    return MASK if SECRET_KEY.search(key) else masked(_USERINFO.sub(rf"\g<1>{MASK}@", value))

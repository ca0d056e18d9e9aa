"""Parameters: class = kind, YAML block = instance. Each field is a documented key."""

import os
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    model_validator,
)

from aiops.model.selector import Selector

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_LONGEST = 1000 * 365 * 86400.0
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")


def parse_duration(value: Any) -> Any:
    """Seconds from ``90``, ``"90s"``, ``"1h30m"``. Raises ValueError that shows the form."""
    if isinstance(value, bool):
        raise ValueError("expected a duration such as 30s, 5m, 1h30m")
    if isinstance(value, int | float):
        if not abs(value) < _LONGEST:
            raise ValueError("expected a duration of less than 1000 years")
        return float(value)
    text = str(value).strip()
    if _PART.sub("", text) or not text:
        raise ValueError(f"expected a duration such as 500ms, 30s, 5m, 1h30m, 14d; got {text!r}")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    return parse_duration(seconds)


def format_duration(seconds: float) -> str:
    """The shortest exact form, as a person would type it: ``90.0`` -> ``1m30s``."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms" if seconds else "0s"
    parts = []
    for unit in ("d", "h", "m"):
        count, seconds = divmod(seconds, _UNITS[unit])
        parts.append(f"{count:g}{unit}" if count else "")
    return "".join(parts) + (f"{seconds:g}s" if seconds else "") or "0s"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    Field(ge=0, json_schema_extra={"type": "string", "format": "duration"}),
]
"""Seconds; written as 30s, 5m, 14d."""


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError) as why:
        raise ValueError(f"no time zone {text!r}; give an IANA name such as Europe/Berlin") from why
    return text


Zone = Annotated[str, AfterValidator(_zone)]
"""A time zone's IANA name."""


def parse_selector(value: Any) -> Any:
    """A `Selector` from PromQL text or from a mapping of exact labels."""
    if isinstance(value, Selector):
        return value
    if isinstance(value, dict):
        # Unquoted, {job=~"api"} is a YAML block whose key is the whole matcher and whose value is nothing
        if any(v is None or set(str(k)) & set("=~{}") for k, v in value.items()):
            raise ValueError("quote the selector: in YAML an unquoted { begins a block of keys")
        return Selector.exact({str(k): str(v) for k, v in value.items()})
    return Selector.parse(str(value))


SelectorText = Annotated[
    Selector,
    BeforeValidator(parse_selector),
    PlainSerializer(str, return_type=str),
    Field(json_schema_extra={"type": "string", "format": "promql-selector"}),
]
"""``name{label="value", other=~"a|b"}``, or a mapping of labels that must be equal."""


class Plugin(BaseModel):
    """Base of all kinds. Fields are the YAML keys; unknown ones are refused. State: private attributes."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, validate_default=True)

    kind: ClassVar[str] = ""
    """Set by `aiops.plugin.load` from the file's or the entry point's name."""


class Secret(Plugin):
    """A secret by reference, never by value: from an environment variable or from a file."""

    env: str = Field("", description="Name of the environment variable that holds it.")
    file: Path | None = Field(None, description="File that holds it; surrounding white space is dropped.")

    @model_validator(mode="before")
    @classmethod
    def _no_plain_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise ValueError("a secret is given by reference: {env: NAME} or {file: PATH}, never as text")
        return value

    @model_validator(mode="after")
    def _one_of(self) -> "Secret":
        if bool(self.env) == bool(self.file):
            raise ValueError("give either env or file")
        return self

    def read(self) -> SecretStr:
        """The secret itself. Raises ValueError that names the reference, never the content."""
        if self.file:
            try:
                return SecretStr(self.file.read_text().strip())
            except OSError as why:
                raise ValueError(f"secret file {self.file}: {why.strerror}") from why
        value = os.environ.get(self.env, "")
        if not value:
            raise ValueError(f"environment variable {self.env} is not set")
        return SecretStr(value)

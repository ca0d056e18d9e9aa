"""What the models are made of: blocks of keys, plug-ins by kind, and texts that are checked when read."""

from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from aiops.config.faults import refusal
from aiops.core.expressions import Expression
from aiops.plugin import Detector, Miner, Plugin, Sink
from aiops.plugin.connector import Source
from aiops.plugin.load import UnknownKind, kinds, load


class Block(BaseModel):
    """Base of all blocks: unknown keys are refused."""

    model_config = ConfigDict(
        extra="forbid", populate_by_name=True, arbitrary_types_allowed=True, allow_inf_nan=False
    )


SHELVES: dict[type[Plugin], str] = {
    Source: "connectors",
    Sink: "connectors",
    Detector: "detectors",
    Miner: "detectors",
}
"""Where the kinds of each interface are kept."""


def build(base: type[Plugin], value: Any) -> Any:
    """A plug-in from its YAML block ``{kind: ..., ...}``.

    Raises ValidationError with paths relative to the block, which pydantic completes to the whole path.
    """
    if isinstance(value, base):
        return value
    found = kind_of(base, value)
    made = found.model_validate({k: v for k, v in value.items() if k != "kind"})
    if "name" in found.model_fields and not getattr(made, "name", ""):
        made.name = found.kind  # type: ignore[attr-defined]
    return made


def kind_of(base: type[Plugin], value: Any) -> type[Plugin]:
    """The class that a block's `kind` names. Raises ValidationError as `build` does."""
    known = sorted(kinds(SHELVES[base]))
    what = base.__name__.lower()
    if not isinstance(value, dict) or "kind" not in value:
        example = value if isinstance(value, str) and value in known else (known or ["host"])[0]
        raise refusal([((), f"a {what} is a block with a `kind`", f"write `{{kind: {example}}}`")])
    kind = value["kind"]
    try:
        return load(SHELVES[base], kind if isinstance(kind, str) else repr(kind), base)
    except UnknownKind as why:
        near = get_close_matches(str(kind), known, 1)
        hint = f"did you mean `{near[0]}`? " if near and near[0] != kind else ""
        message = f"`{kind}` is no {what}" if kind in known else f"unknown kind `{kind}`"
        raise refusal([(("kind",), message, f"{hint}there are: {', '.join(known)}")]) from why
    except ImportError as why:
        message = f"the plug-in `{kind}` cannot be loaded: {why}"
        raise refusal([(("kind",), message, "install the package that it needs")]) from why


AnySource = Annotated[Source, BeforeValidator(lambda v: build(Source, v))]
AnySink = Annotated[Sink, BeforeValidator(lambda v: build(Sink, v))]
AnyMiner = Annotated[Miner, BeforeValidator(lambda v: build(Miner, v))]
AnyDetector = Annotated[Detector, BeforeValidator(lambda v: build(Detector, v))]


def _compiles(text: str) -> str:
    unknown = sorted(Expression(text).names - {"problem"})
    if unknown:
        raise ValueError(f"`{unknown[0]}` is not known here; conditions speak of `problem`")
    return text


CelText = Annotated[str, AfterValidator(_compiles)]
"""A CEL condition, checked when the file is read."""

Moment = Annotated[datetime, AfterValidator(lambda at: at if at.tzinfo else at.replace(tzinfo=UTC))]
"""A time with its zone; UTC when it names none."""

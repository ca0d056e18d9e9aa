"""The reference pages, written from the models and the metrics themselves, so never out of date."""

import inspect
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import AfterValidator, BaseModel, BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from aiops.config.blocks import CelText, kind_of
from aiops.config.models import Config
from aiops.core.playbook import Playbook
from aiops.core.playbook_blocks import Condition, StepCondition, TemplateText
from aiops.plugin import Action, Detector, Miner, Plugin, Secret, Sink
from aiops.plugin.connector import Source
from aiops.plugin.load import kinds, load
from aiops.plugin.params import Duration, SelectorText, format_duration

HEAD = "<!-- Written by `forewarn reference docs/reference`; change the models instead. -->\n"

PLACES: dict[type, str] = {
    Source: "[source](kinds.md#sources)",
    Sink: "[sink](kinds.md#sinks)",
    Detector: "[detector](kinds.md#detectors)",
}
CONVERTERS = {
    get_args(Duration)[1].func: "duration",
    get_args(SelectorText)[1].func: "selector",
    get_args(CelText)[1].func: "CEL",
    get_args(Condition)[1].func: "CEL",
    get_args(StepCondition)[1].func: "CEL",
    get_args(TemplateText)[1].func: "template",
}
PLAIN = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
    Any: "anything",
    type(None): "nothing",
}
BOUNDS = (
    (annotated_types.Gt, "gt", "more than"),
    (annotated_types.Ge, "ge", "at least"),
    (annotated_types.Lt, "lt", "less than"),
    (annotated_types.Le, "le", "at most"),
)


def pages() -> dict[str, str]:
    """File name -> Markdown, for the whole installation, third parties' plug-ins included."""
    return {
        "configuration.md": configuration(),
        "playbooks.md": playbooks(),
        "kinds.md": all_kinds(),
        "metrics.md": metrics(),
    }


def configuration() -> str:
    """Every key of the one YAML file."""
    intro = """\
# Configuration reference

One YAML file. Unknown keys are refused; `forewarn check FILE` names every fault with its line.

| written as | means |
| --- | --- |
| duration | `500ms`, `30s`, `5m`, `1h30m`, `14d`, `2w`; a bare number is seconds |
| selector | `name{label="value", other=~"regex"}` as in PromQL, in quotes; or a block of labels that must be equal |
| CEL | a condition in the [Common Expression Language](https://cel.dev) over `problem`; severities compare as `problem.level >= level.major` |
| secret | `{env: NAME}` or `{file: PATH}`, never the text itself |
| path | relative to the folder of the file; whatever lies in `data`, and `store`, to the working directory |
"""  # noqa: E501
    return HEAD + intro + "".join(_blocks(Config, "The file"))


def playbooks() -> str:
    """Every key of a playbook file."""
    intro = """\
# Playbook reference

One YAML file a playbook, listed under `playbooks` in the configuration. A step or check names an
[action](kinds.md#actions) and gives its arguments beside it; texts in them are templates:
`{{ problem.labels.service }}` is filled in when a run begins.
"""
    return HEAD + intro + "".join(_blocks(Playbook, "The file"))


def all_kinds() -> str:
    """Every plug-in, by interface."""
    text = HEAD + "# Kinds\n\nA block's `kind` names the plug-in; the keys beside it are its parameters.\n"
    interfaces: dict[type[Plugin], str] = {
        Source: "Sources",
        Sink: "Sinks",
        Detector: "Detectors",
        Miner: "Miners",
        Action: "Actions",
    }
    for base, head in interfaces.items():
        text += f"\n## {head}\n"
        for kind, model in classes_of(base):
            text += f"\n### {kind}\n\n{_described(model)}\n\n" + _table(model)
            text += "".join(_blocks(model, "", f"{kind}: "))
    return text


def metrics() -> str:
    """Forewarn's own metrics."""
    from aiops.engine.metrics import Metrics

    rows = ["| metric | type | labels | meaning |", "| --- | --- | --- | --- |"]
    for name, kind, labels, text in _collectors(Metrics()):
        rows.append(f"| `{name}` | {kind} | {', '.join(f'`{one}`' for one in labels)} | {text} |")
    intro = "# Own metrics\n\nServed on `/metrics` in the Prometheus text format.\n\n"
    return HEAD + intro + "\n".join(rows) + "\n"


def _collectors(metrics: Any) -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Name as scraped, type, labels, and text of each; by the names that Prometheus sees."""
    from prometheus_client.metrics import MetricWrapperBase

    for value in vars(metrics).values():
        if isinstance(value, MetricWrapperBase):
            described = value.describe()
            family = next(iter(described))
            name = family.name + ("_total" if family.type == "counter" else "")
            yield name, family.type, value._labelnames, family.documentation


def classes_of(base: type[Plugin]) -> Iterator[tuple[str, type[Plugin]]]:
    """Every kind of an interface, by name."""
    if base is Action:
        for kind in sorted(kinds("playbooks.actions")):
            yield kind, load("playbooks.actions", kind, Action)
        return
    from pydantic import ValidationError

    for kind in sorted(kinds("detectors" if base in (Detector, Miner) else "connectors")):
        try:
            yield kind, kind_of(base, {"kind": kind})
        except ValidationError:
            continue  # a shelf of two interfaces: this one is of the other


def _blocks(model: type[BaseModel], head: str, prefix: str = "") -> Iterator[str]:
    """A section for every block below `model`, each once, under all its paths; with `head` for itself too."""
    paths: dict[type[BaseModel], list[str]] = {}
    _gather(model, "", paths)
    if head:
        yield f"\n## {head}\n\n{_described(model)}\n\n{_table(model)}"
    for block, where in paths.items():
        title = ", ".join(f"`{path}`" for path in where)
        depth = "####" if prefix else "##"
        yield f"\n{depth} {prefix}{title}\n\n{_described(block)}\n\n{_table(block)}"


def _gather(model: type[BaseModel], path: str, found: dict[type[BaseModel], list[str]]) -> None:
    for name, info in model.model_fields.items():
        for inner in _models(info.annotation):
            if inner is Secret or inner in PLACES:
                continue
            here = f"{path}{info.alias or name}"
            found.setdefault(inner, []).append(here)
            if len(found[inner]) == 1:
                _gather(inner, f"{here}.", found)


def _table(model: type[BaseModel]) -> str:
    rows = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for name, info in model.model_fields.items():
        kind = _type(info.annotation, tuple(info.metadata))
        bounds = _bounds(info)
        cells = [f"`{info.alias or name}`", kind + bounds, _default(info, kind), _meaning(info)]
        rows.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    table = "\n".join(rows) + "\n" if len(rows) > 2 else ""
    if model.model_config.get("extra") == "allow":
        table += ("\n" if table else "") + "Further keys name an action or are its arguments.\n"
    return table or "It has no keys.\n"


def _type(annotation: Any, metadata: tuple[Any, ...] = ()) -> str:
    for one in metadata:
        if isinstance(one, BeforeValidator | AfterValidator) and one.func in CONVERTERS:
            return CONVERTERS[one.func]
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return _type(inner, tuple(more))
    if origin in (Union, UnionType):
        return " or ".join(_type(one) for one in get_args(annotation) if one is not type(None))
    if origin is list:
        return f"list of {_type(get_args(annotation)[0])}"
    if origin is dict:
        inner = _type(get_args(annotation)[1])
        return "named block" if inner == "block" else f"block of {inner}"
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in get_args(annotation))
    return _named(annotation)


def _named(annotation: Any) -> str:
    if annotation in PLACES:
        return PLACES[annotation]
    if annotation is Secret:
        return "secret"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{one.value}`" for one in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "block"
    return PLAIN.get(annotation) or {"datetime": "date and time"}.get(
        annotation.__name__, annotation.__name__
    )


def _bounds(info: FieldInfo) -> str:
    found = [
        f"{words} {getattr(one, name):,}"
        for one in info.metadata
        for kind, name, words in BOUNDS
        if isinstance(one, kind) and (name, getattr(one, name)) != ("ge", 0)
    ]
    return f", {', '.join(found)}" if found else ""


def _default(info: FieldInfo, kind: str) -> str:
    if info.is_required():
        return "*required*"
    value: Any = info.default
    if value is PydanticUndefined or value in (None, "", [], {}) or isinstance(value, BaseModel):
        return ""
    if kind == "duration":
        return f"`{format_duration(value)}`"
    if isinstance(value, Enum):
        return f"`{value.value}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`"


def _meaning(info: FieldInfo) -> str:
    """The field's description, else what its block says of itself."""
    for inner in _models(info.annotation):
        return info.description or _described(inner).split("\n")[0]
    return info.description or ""


def _described(model: type[BaseModel]) -> str:
    return inspect.cleandoc(model.__doc__ or "").replace("``", "`")


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for one in get_args(annotation) for model in _models(one)]

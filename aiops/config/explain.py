"""A pydantic error -> complaints in a user's words, at the right place of the text."""

from collections.abc import Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from aiops.config.blocks import SHELVES, kind_of
from aiops.config.complaint import Complaint
from aiops.config.document import Document, Path
from aiops.plugin import Secret

_EXPECTED = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "dict": "a block of keys",
    "model": "a block of keys",
    "path": "a path",
    "datetime": "a date and time such as 2026-01-31T22:00:00Z",
    "time": "a time such as 22:00",
    "date": "a date such as 2026-01-31",
}
_IS = {
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "a block of keys",
    type(None): "nothing",
}
_COMPARED = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def explain(error: ValidationError, document: Document, model: type[BaseModel]) -> None:
    """Add a complaint to `document` for every place that `error` names."""
    by_place: dict[tuple[Path, bool], list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        path = _path(detail["loc"], document.data)
        by_place.setdefault((path, detail["type"] == "missing"), []).append(detail)
    for (path, _), details in by_place.items():
        _complain(path, details, document, model)


def _path(loc: tuple[int | str, ...], data: Any) -> Path:
    """`loc` without the branch names that pydantic adds for unions."""
    path: list[str | int] = []
    for place, part in enumerate(loc):
        inside = (isinstance(data, dict) and part in data) or (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        )
        if inside:
            data = data[part]
            path.append(part)
        elif isinstance(data, dict) and place == len(loc) - 1:
            path.append(part)
    return tuple(path)


def _complain(path: Path, details: list[ErrorDetails], document: Document, model: type[BaseModel]) -> None:
    chain = _annotations(path, document.data, model)
    secret = any(Secret in _models(annotation) for annotation in chain)
    owner = _one_model(chain[len(path) - 1]) if path else model
    message, hint, at_key = _words(path, details, owner, document.data)
    made = document.complain(path, message, hint, at_key=at_key)
    if secret:
        document.complaints[-1] = Complaint(
            made.file, made.line, made.column, made.key, message, hint, made.width, secret=True
        )


def _words(
    path: Path, details: list[ErrorDetails], owner: type[BaseModel] | None, data: Any
) -> tuple[str, str, bool]:
    """Message, hint, and whether the key rather than the value is at fault."""
    detail = details[0]
    kind = detail["type"]
    context: Mapping[str, Any] = detail.get("ctx") or {}
    if kind == "extra_forbidden":
        return f"unknown key `{path[-1]}`", _nearest(str(path[-1]), keys(owner) if owner else []), True
    if kind == "missing":
        return f"the key `{path[-1]}` is missing", _purpose(owner, str(path[-1])), True
    if kind == "forewarn":
        return str(context["message"]), str(context["hint"]), False
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", detail["msg"])), "", False
    if kind in ("enum", "literal_error"):
        allowed = str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        return "expected one of " + ", ".join(allowed), _nearest(str(detail["input"]), allowed, ""), False
    if kind in _COMPARED:
        words, name = _COMPARED[kind]
        return f"must be {words} {context[name]:g}", "", False
    if kind == "too_short":
        return f"needs at least {context['min_length']}", _purpose(owner, str(path[-1])), False
    expected = [_EXPECTED[t] for t in (d["type"].split("_")[0] for d in details) if t in _EXPECTED]
    if not expected:
        return str(detail["msg"]), "", False
    got = _IS.get(type(_value(path, data)), "")
    same = got in expected or not got
    message = f"expected {' or '.join(dict.fromkeys(expected))}" + ("" if same else f", got {got}")
    hint = ""
    if "text" in expected and got in ("a number", "true or false"):
        hint = "put it in quotes"
    elif expected[0] == "a list" and got not in ("", "a list", "nothing"):
        hint = "write each item on a line of its own after `- `, or all in `[ ]`"
    return message, hint, False


def keys(model: type[BaseModel]) -> list[str]:
    """The keys that a user may write in a block of `model`."""
    names = [info.alias or name for name, info in model.model_fields.items()]
    return ["kind", *names] if issubclass(model, tuple(SHELVES)) else names


def _nearest(word: str, known: list[str], else_list: str = "the keys here are: ") -> str:
    near = get_close_matches(word, known, 1, cutoff=0.55)
    if near:
        return f"did you mean `{near[0]}`?"
    return else_list + ", ".join(known) if else_list and known else ""


def _purpose(owner: type[BaseModel] | None, key: str) -> str:
    for name, info in owner.model_fields.items() if owner else ():
        if key in (name, info.alias) and info.description:
            return f"{key}: {info.description}"
    return ""


def _annotations(path: Path, data: Any, model: type[BaseModel]) -> list[Any]:
    """What the models expect at each prefix of `path`; entry `i` is for ``path[:i]``. Unknown is None."""
    chain: list[Any] = [model]
    for part in path:
        chain.append(_inside(chain[-1], part))
        data = _step(data, part)
        found = _one_model(chain[-1])
        if found in SHELVES and isinstance(data, dict):
            try:
                chain[-1] = kind_of(found, data)
            except ValidationError:
                chain[-1] = None
    return chain


def _inside(annotation: Any, part: str | int) -> Any:
    if isinstance(part, int):
        lists = [a for a in _flat(annotation) if get_origin(a) is list]
        return get_args(lists[0])[0] if lists else None
    owner = _one_model(annotation)
    if owner is None:
        dicts = [a for a in _flat(annotation) if get_origin(a) is dict]
        return get_args(dicts[0])[1] if dicts else None
    for name, info in owner.model_fields.items():
        if part == (info.alias or name):
            return info.annotation
    return None


def _flat(annotation: Any) -> list[Any]:
    """The annotation without Annotated and with unions taken apart."""
    if get_origin(annotation) is Annotated:
        return _flat(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [one for argument in get_args(annotation) for one in _flat(argument)]
    return [annotation]


def _models(annotation: Any) -> list[type[BaseModel]]:
    return [a for a in _flat(annotation) if isinstance(a, type) and issubclass(a, BaseModel)]


def _one_model(annotation: Any) -> type[Any] | None:
    found = _models(annotation)
    return found[0] if found else None


def _step(data: Any, part: str | int) -> Any:
    if isinstance(part, int):
        return data[part] if isinstance(data, list) and part < len(data) else None
    return data.get(part) if isinstance(data, dict) else None


def _value(path: Path, data: Any) -> Any:
    for part in path:
        data = _step(data, part)
    return data

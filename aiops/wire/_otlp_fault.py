"""Where an OTLP request goes wrong; looked for only once the official parser has refused it."""

from typing import Any

from aiops.wire import WireError
from aiops.wire._json_place import place
from aiops.wire._protobuf import fields

_DEPTH = 100
"""Levels that the official parser takes."""


def protobuf_fault(data: memoryview, descriptor: Any) -> int:
    """Byte offset of the first field that is broken."""
    try:
        _walk(data, 0, len(data), descriptor, 0)
    except WireError as bad:
        return bad.offset
    return 0


def _walk(data: memoryview, start: int, end: int, descriptor: Any, depth: int) -> None:
    known = descriptor.fields_by_number
    if depth > _DEPTH:
        raise WireError("too many levels", start)
    for number, _, begin, stop in fields(data, start, end):
        field = known.get(number)
        if field is None:
            continue
        if field.message_type is not None:
            _walk(data, begin, stop, field.message_type, depth + 1)
        elif field.type == field.TYPE_STRING:
            try:
                bytes(data[begin:stop]).decode()
            except UnicodeDecodeError as bad:
                raise WireError("no UTF-8", begin + bad.start) from None


def json_fault(kind: type[Any], document: Any, body: bytes) -> int:
    """Byte offset of the smallest part that is refused."""
    return place(body, _path(kind.DESCRIPTOR, document))


def _path(descriptor: Any, value: Any) -> list[str | int]:
    if not isinstance(value, dict):
        return []
    known = {name: field for field in descriptor.fields for name in (field.name, field.json_name)}
    for key, inner in value.items():
        field = known.get(key)
        if field is None or _fits(descriptor, {key: inner}):
            continue
        if field.message_type is None or isinstance(inner, dict):
            deeper = _path(field.message_type, inner) if field.message_type is not None else []
            return [key, *deeper]
        for number, one in enumerate(inner if isinstance(inner, list) else ()):
            if not _fits(descriptor, {key: [one]}):
                return [key, number, *_path(field.message_type, one)]
        return [key]
    return []


def _fits(descriptor: Any, document: dict[str, Any]) -> bool:
    from google.protobuf import json_format, message_factory

    made = message_factory.GetMessageClass(descriptor)()
    try:
        json_format.ParseDict(document, made, ignore_unknown_fields=True)
    except (json_format.ParseError, TypeError, AttributeError, ValueError, RecursionError):
        return False
    return True

"""What FastAPI cannot know of the API, for no route deals with it: refusals, ETags, Idempotency-Keys."""

from typing import Any

from fastapi import FastAPI

from aiops.web.errors import Trouble, responses
from aiops.web.repeats import API, LONGEST_KEY

Operation = dict[str, Any]

_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Repeats with the same key within a day get the first answer, and do nothing.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
    "example": "5f1c8e0a-deploy-17",
}
_KNOWN = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "ETags that are at hand: 304 without a body while the answer would be one of these.",
    "schema": {"type": "string", "minLength": 1},
    "example": '"the-one-at-hand"',
}
_PARAMETERS = {"IdempotencyKey": _KEY, "IfNoneMatch": _KNOWN}
_ETAG = {"description": "Names this very answer.", "required": True, "schema": {"type": "string"}}
_REPLAYED = {
    "description": "`true`: this is the answer to an earlier request with this Idempotency-Key.",
    "schema": {"type": "string", "enum": ["true"]},
}
_HEADERS = {"ETag": _ETAG, "IdempotencyReplayed": _REPLAYED}


_NAMED = {"/api/v1/inbound/{sink}": "hear_from_sink", "/-/reload": "reload"}


def operation_id(method: str, path: str, operation: Operation) -> str:
    """What clients call an operation, by its path: ``list_problems``, ``acknowledge_problem``."""
    if path in _NAMED:
        return _NAMED[path]
    words = path.removeprefix(API).strip("/-").split("/")
    of_one = [following.startswith("{") for following in [*words[1:], ""]]
    nouns = [_one(word) if one else word for word, one in zip(words, of_one, strict=True) if word[:1] != "{"]
    if method == "get":
        verb = "list" if "#/components/schemas/Page_" in str(operation["responses"]["200"]) else "get"
    elif words[-1].startswith("{"):
        verb = "change"
    elif len(words) == 1:
        verb, nouns = "create", [_one(words[0])]
    else:
        verb = nouns.pop()
    return "_".join([verb, *nouns])


def _one(many: str) -> str:
    if many == "series":
        return many
    return f"{many[:-3]}y" if many.endswith("ies") else many.removesuffix("s")


def describe(app: FastAPI) -> None:
    """From now on `app.openapi()` tells all that is sent and taken."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        if "Trouble" not in document["components"]["schemas"]:
            _complete(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def keeps_answers(method: str, path: str, operation: Operation) -> bool:
    """Whether an Idempotency-Key counts there: keys are a token's own, so there must be one."""
    return method == "post" and path.startswith(API) and "security" in operation


def tagged(method: str, path: str) -> bool:
    """Whether its answers carry an ETag: all that is read, but the stream of events."""
    return method == "get" and path.startswith(API) and not path.endswith("/events")


def _complete(document: dict[str, Any]) -> None:
    parts = document["components"]
    described = Trouble.model_json_schema(ref_template="#/components/schemas/{model}")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            operation["operationId"] = operation_id(method, path, operation)
            operation["responses"] |= _refusals(operation)
            if keeps_answers(method, path, operation):
                _once(operation)
            elif tagged(method, path):
                _conditional(operation)
    for methods in document.get("webhooks", {}).values():
        for operation in methods.values():
            operation["responses"].pop("422", None)  # what others answer is theirs to say
    for gone in ("HTTPValidationError", "ValidationError"):
        parts["schemas"].pop(gone, None)
    parts["schemas"] |= described.pop("$defs", {}) | {"Trouble": described}
    parts["parameters"], parts["headers"] = _PARAMETERS, _HEADERS


def _refusals(operation: Operation) -> Operation:
    """What the framework itself answers: no body that can be read, nobody known, no role, no fit."""
    may = {400: "requestBody" in operation, 401: "security" in operation, 403: "security" in operation}
    may[422] = "422" in operation["responses"]
    return {str(status): said for status, said in responses(*(one for one in may if may[one])).items()}


def _once(operation: Operation) -> None:
    """A POST with an Idempotency-Key: 409 while the first is under way, 422 where it was another request."""
    _parameter(operation, "IdempotencyKey")
    added = {str(status): said for status, said in responses(409, 413, 422).items()}
    operation["responses"] = added | operation["responses"]
    for status, answer in operation["responses"].items():
        if status[0] in "24":
            answer.setdefault("headers", {})["Idempotency-Replayed"] = _ref("headers", "IdempotencyReplayed")


def _conditional(operation: Operation) -> None:
    """A GET whose answer carries an ETag."""
    _parameter(operation, "IfNoneMatch")
    tag = {"ETag": _ref("headers", "ETag")}
    operation["responses"]["200"].setdefault("headers", {}).update(tag)
    operation["responses"]["304"] = {"description": "As it was.", "headers": dict(tag)}


def _parameter(operation: Operation, name: str) -> None:
    operation.setdefault("parameters", []).append(_ref("parameters", name))


def _ref(part: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{part}/{name}"}

"""How a model says what is wrong at one place inside it, so that the reader can point at it."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Fault = tuple[tuple[str | int, ...], str, str]
"""``(path, message, hint)``; the path is relative to whoever raises it."""


def refusal(faults: Iterable[Fault]) -> ValidationError:
    """One error that holds all `faults`; raised within a validator, pydantic completes their paths."""
    details = [
        InitErrorDetails(
            # As context, not as template: a message may hold braces
            type=PydanticCustomError("forewarn", "{message}", {"message": message, "hint": hint}),
            loc=path,
            input=None,
        )
        for path, message, hint in faults
    ]
    return ValidationError.from_exception_data("config", details)


def broken_references(data: Mapping[str, Any]) -> list[Fault]:
    """Doubled names, and names that nothing bears, in a config as written or as dumped.

    Looks only at what has the right shape: the rest is the models' to refuse.
    """
    sources, sinks = _blocks(data, "sources"), _blocks(data, "sinks")
    faults = _doubled("sources", sources) + _doubled("sinks", sinks)
    sink_names, source_names = [_name(s) for s in sinks], [_name(s) for s in sources]
    for place, route in enumerate(_blocks(data, "routes")):
        faults += _missing(("routes", place, "to"), route.get("to"), "sink", sink_names)
        faults += _of_route(route, ("routes", place), sink_names, list(data.get("hours") or ()))
    tickets = data.get("tickets")
    styles = tickets.get("sinks") if isinstance(tickets, Mapping) else None
    for name in styles if isinstance(styles, Mapping) else ():
        faults += _missing(("tickets", "sinks", name), name, "sink", sink_names)
    for place, sli in enumerate(_blocks(data, "slis")):
        of = sli.get("of")
        if isinstance(of, Mapping) and of.get("source"):
            faults += _missing(("slis", place, "of", "source"), of["source"], "source", source_names)
    return faults


def _of_route(
    route: Mapping[str, Any], path: tuple[str | int, ...], sinks: list[str], hours: list[str]
) -> list[Fault]:
    faults: list[Fault] = []
    for key in ("during", "outside"):
        if route.get(key):
            faults += _missing((*path, key), route[key], "hours", hours)
    steps = route.get("escalate")
    if isinstance(steps, Mapping):
        places: list[tuple[tuple[str | int, ...], Any]] = [((*path, "escalate"), steps)]
    else:
        listed = steps if isinstance(steps, list) else []
        places = [((*path, "escalate", number), step) for number, step in enumerate(listed)]
    for where, step in places:
        if isinstance(step, Mapping) and step.get("to"):
            faults += _missing((*where, "to"), step["to"], "sink", sinks)
        if isinstance(step, Mapping) and step.get("during"):
            faults += _missing((*where, "during"), step["during"], "hours", hours)
    return faults


def _blocks(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    listed = data.get(key)
    return [one if isinstance(one, Mapping) else {} for one in listed] if isinstance(listed, list) else []


def _name(block: Mapping[str, Any]) -> str:
    name = block.get("name") or block.get("kind") or ""
    return name if isinstance(name, str) else ""


def _doubled(key: str, blocks: list[Mapping[str, Any]]) -> list[Fault]:
    faults: list[Fault] = []
    seen: dict[str, int] = {}
    for place, block in enumerate(blocks):
        name = _name(block)
        if name and name in seen:
            message = f"two {key} are named {name!r}: {key}[{seen[name]}] and {key}[{place}]"
            faults.append(((key, place), message, "give each a `name` of its own"))
        seen.setdefault(name, place)
    return faults


def _missing(path: tuple[str | int, ...], name: Any, what: str, known: list[str]) -> list[Fault]:
    if not isinstance(name, str) or name in known:
        return []
    there = ", ".join(f"`{one}`" for one in known if one)
    key = what if what.endswith("s") else f"{what}s"
    hint = f"there are: {there}" if there else f"this file has no {what} yet: add one under `{key}`"
    return [(path, f"no {what} {'are' if what == key else 'is'} named {name!r}", hint)]

"""What a piece of work is about, carried along by the context: every log line within it says so.

asyncio copies the context into tasks, so that whatever a request or a run begins is told of it too.
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_about: ContextVar[dict[str, str] | None] = ContextVar("about", default=None)
_GIVEN = re.compile(r"[\w.-]{8,64}", re.ASCII)


def about() -> dict[str, str]:
    """By name: ``request``, ``problem``, ``run``, ``delivery``."""
    return dict(_about.get() or {})


@contextmanager
def tracing(**names: object) -> Iterator[None]:
    """Within, lines are about these too."""
    token = _about.set({**(_about.get() or {}), **{name: str(one) for name, one in names.items()}})
    try:
        yield
    finally:
        _about.reset(token)


def begin(
    work: Coroutine[Any, Any, None], name: str, done: Callable[[asyncio.Task[None]], None], **about: object
) -> asyncio.Task[None]:
    """A task called `name` that is about these; `done` is called with it at its end."""
    with tracing(**about):
        task = asyncio.create_task(work, name=name)
    task.add_done_callback(done)
    return task


def request_id(given: str = "") -> str:
    """What a sender calls its request, if that is fit to be shown; else a name of our own."""
    return given if _GIVEN.fullmatch(given) else secrets.token_hex(8)


class Traced(logging.Filter):
    """Puts what a record is about into ``record.about``, and as text into ``record.trace``."""

    def filter(self, record: logging.LogRecord) -> bool:
        found = about()
        record.__dict__["about"] = found
        record.__dict__["trace"] = "".join(f" {name}={one}" for name, one in found.items())
        return True

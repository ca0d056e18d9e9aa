"""Traces of the path: all that became of a problem since it opened, and of a share of what is taken in.

A problem's trace, and the span that begins it, have numbers that follow from its key: several engines on one
store, and an engine that was started anew, tell parts of the same trace without a word between them. What is
open is carried along by the context, as what log lines are about is. Nothing of OpenTelemetry is loaded
before somebody wants traces; until then all of this is a look at one attribute.

https://www.w3.org/TR/trace-context/ for numbers and `traceparent`.
"""

import logging
import math
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Protocol, TypeAlias

from aiops.config.operation import Traces
from aiops.engine.clock import Clock
from aiops.engine.trace import tracing
from aiops.plugin.passing import traceparent

log = logging.getLogger("aiops.engine")

About: TypeAlias = str | bool | int | float
Told: TypeAlias = Mapping[str, About]
"""What a span is about, by name."""
Count: TypeAlias = Callable[[str, int], None]
"""``(outcome, spans)`` of each message to the collector; outcome is sent or failed."""

CLIENT, SERVER, INTERNAL = "client", "server", "internal"
_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)


@dataclass(slots=True)
class Span:
    """A piece of work and its time (epoch s). `trace` has 128 bits, `ident` and `parent` 64; 0: none."""

    name: str
    trace: int
    ident: int
    parent: int = 0
    begun: float = math.nan
    ended: float = math.nan
    kind: str = INTERNAL
    about: dict[str, About] = field(default_factory=dict)
    error: str = ""
    came_of: "Span | None" = None
    """Of another trace."""

    @property
    def hex(self) -> str:
        """The trace's number as others write it."""
        return f"{self.trace:032x}"


class Exporter(Protocol):
    """Who takes spans that have ended. `close` sends what waits, and may take a while."""

    def take(self, span: Span) -> None: ...
    def close(self) -> None: ...


class Spans:
    """What one engine tells of its work, while `follow` was last given traces to tell."""

    def __init__(self, clock: Clock, count: Count = lambda _outcome, _spans: None) -> None:
        self._clock = clock
        self._count = count
        self._wanted: Traces | None = None
        self._exporter: Exporter | None = None

    @property
    def on(self) -> bool:
        return self._exporter is not None

    def follow(self, wanted: Traces | None, engine: str) -> None:
        """From now on tell as `wanted` says, in the name of `engine`. It takes a while: not on the loop."""
        if wanted == self._wanted:
            return
        self.close()
        self._wanted = wanted
        if wanted is None:
            return
        from aiops.engine.span_export import Export

        try:
            self._exporter = Export(wanted, engine, self._count)
        except (ValueError, OSError) as why:
            log.error("no traces are sent: %s", why)

    def close(self) -> None:
        """Send what waits, and tell nothing more."""
        self._wanted, exporter, self._exporter = None, self._exporter, None
        if exporter is not None:
            exporter.close()

    def begin(
        self,
        name: str,
        parent: Span | None,
        begun: float | None = None,
        about: Told | None = None,
        kind: str = INTERNAL,
    ) -> Span:
        """A span that has begun; without a parent the first of a trace."""
        at = self._clock.now() if begun is None else begun
        trace = parent.trace if parent else _number(128)
        under = parent.ident if parent else 0
        return Span(name, trace, _number(64), under, at, kind=kind, about=dict(about or {}))

    def tell(self, span: Span, ended: float | None = None) -> None:
        """It has ended: now, if not before."""
        span.ended = max(span.begun, self._clock.now() if ended is None else ended)
        if self._exporter is not None:
            self._exporter.take(span)

    @contextmanager
    def opened(self, span: Span | None) -> Iterator[Span | None]:
        """Within, spans are parts of `span`, which is told at the end; an exception is its error."""
        if span is None:
            yield None
            return
        try:
            with self.part_of(span):
                yield span
        except BaseException as why:
            span.error = span.error or type(why).__name__
            raise
        finally:
            self.tell(span)

    @contextmanager
    def part_of(self, span: Span | None) -> Iterator[None]:
        """Within, spans are parts of `span`, which others tell."""
        open_before = _open.set((self, span) if span else None)
        passed_before = traceparent.set(f"00-{span.hex}-{span.ident:016x}-01" if span else "")
        try:
            with tracing(trace_id=span.hex) if span else nullcontext():
                yield
        finally:
            traceparent.reset(passed_before)
            _open.reset(open_before)

    def of_problem(self, key: str, name: str, about: Told, kind: str = INTERNAL) -> Span | None:
        """A part of the trace of the problem with that key, which has begun; None while nothing is told."""
        if self._exporter is None or not key:
            return None
        return self.begin(name, first_of(key), about=about, kind=kind)

    @contextmanager
    def naming(self, key: str) -> Iterator[None]:
        """Within, log lines name the trace of the problem with that key, if one is told."""
        if self._exporter is None:
            yield
            return
        with tracing(trace_id=first_of(key).hex):
            yield

    def sampled(self, name: str, kind: str, about: Told, sender: str = "") -> Span | None:
        """Now and then the first span of what is taken in; always where the `sender` tells of it.

        `sender`: its `traceparent`, whose trace goes on here.
        """
        if self._exporter is None or self._wanted is None:
            return None
        far = remote(sender)
        if far is None and random.random() >= self._wanted.sample:
            return None
        return self.begin(name, far, about=about, kind=kind)


_open: ContextVar[tuple[Spans, Span] | None] = ContextVar("span", default=None)


def current() -> Span | None:
    """What is open here."""
    found = _open.get()
    return found[1] if found else None


@contextmanager
def within(name: str, about: Told, kind: str = INTERNAL) -> Iterator[Span | None]:
    """A part of what is open here, told at the end of the block; nothing where nothing is open."""
    found = _open.get()
    if found is None:
        yield None
        return
    spans, parent = found
    with spans.opened(spans.begin(name, parent, about=about, kind=kind)) as span:
        yield span


def first_of(key: str) -> Span:
    """The span that begins the trace of the problem with that key; its numbers are those of no other."""
    digest = blake2b(key.encode(), digest_size=24, person=b"forewarn").digest()
    return Span("problem opened", int.from_bytes(digest[:16]) or 1, int.from_bytes(digest[16:]) or 1)


def remote(header: str) -> Span | None:
    """The sender's span as its `traceparent` names it; None when there is none, or it is not to be told."""
    found = _PARENT.fullmatch(header.strip().lower())
    if not found or header.startswith("ff") or not int(found[3], 16) & 1:
        return None
    trace, ident = int(found[1], 16), int(found[2], 16)
    return Span("", trace, ident) if trace and ident else None


def _number(bits: int) -> int:
    return random.getrandbits(bits) or 1

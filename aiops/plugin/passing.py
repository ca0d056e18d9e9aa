"""What requests of plug-ins carry along, so that whoever is asked can go on with the trace.

https://www.w3.org/TR/trace-context/
"""

from contextvars import ContextVar

traceparent: ContextVar[str] = ContextVar("traceparent", default="")
"""Of the work that is under way; the engine sets it while it tells traces."""


def passing() -> dict[str, str]:
    """Headers to add to a request; none while no trace is told."""
    found = traceparent.get()
    return {"traceparent": found} if found else {}

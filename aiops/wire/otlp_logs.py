"""OTLP logs -> lines: the level before the text, an exception and the trace behind it."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aiops.model.frame import Lines
from aiops.model.series import labels_of
from aiops.wire import otlp

_LEVELS = ("", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
"""A level is four of the 24 severity numbers."""
_EXCEPTION = ("exception.type", "exception.message")


@dataclass(slots=True)
class Records:
    """The lines of a request, one batch a resource."""

    lines: list[Lines] = field(default_factory=list)
    rejected: int = 0
    why: str = ""


def read(
    request: Any, naming: otlp.Naming, extra: Mapping[str, str], most: int, is_json: bool = False
) -> Records:
    """The lines of an ``ExportLogsServiceRequest``, each of at most `most` characters; by time.

    Labels are the resource's, and `extra`. A record without a time of its own has the time at which it was
    seen; one without either is rejected. `is_json`: ids are hex, which the official parser took for base64.
    """
    records = Records()
    for group in request.resource_logs:
        labels = labels_of(naming.resource(group.resource.attributes) | dict(extra))
        found = []
        for record in (one for scope in group.scope_logs for one in scope.log_records):
            time = record.time_unix_nano or record.observed_time_unix_nano
            text = _text(record, is_json)[:most]
            if time and text:
                found.append((time / 1e9, text))
            else:
                records.rejected += 1
                records.why = records.why or ("a record without a time" if text else "an empty record")
        found.sort(key=lambda one: one[0])
        if found:
            times = np.array([time for time, _ in found])
            records.lines.append(Lines(labels, times, [text for _, text in found]))
    return records


def _text(record: Any, is_json: bool) -> str:
    number = min(max(int(record.severity_number), 0), 24)
    level = _LEVELS[(number + 3) // 4] or record.severity_text
    parts = [level, otlp.text_of(record.body) or record.event_name]
    if not parts[1]:
        parts[1] = " ".join(f"{one.key}={otlp.text_of(one.value)}" for one in record.attributes)
    said = {one.key: otlp.text_of(one.value) for one in record.attributes if one.key in _EXCEPTION}
    parts.append(": ".join(said[key] for key in _EXCEPTION if said.get(key) and said[key] not in parts[1]))
    if not any(parts[1:]):
        return ""
    for name, ident in (("trace_id", record.trace_id), ("span_id", record.span_id)):
        if ident.strip(b"\0"):
            parts.append(f"{name}={b64encode(ident).decode() if is_json else ident.hex()}")
    return " ".join(part for part in parts if part)

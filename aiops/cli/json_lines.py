"""Log records as JSON, one a line."""

import json
import logging
import re
from datetime import UTC, datetime

_ABOUT = re.compile(r"\b(problem|run|alert|sink|source|playbook) (\d+|[\w.-]+)[:,]")


class JsonLines(logging.Formatter):
    """``{"time", "level", "logger", "message"}``, with what a transition is about as fields of their own.

    All that concerns one problem is found by its number: ``problem`` is in every line of the one grammar, and
    in those of its deliveries and runs; ``request`` is in every line of one request to the API.
    """

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message,
        }
        line |= getattr(record, "about", {})
        for what, which in _ABOUT.findall(message.splitlines()[0] if message else ""):
            line.setdefault(what, which)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)

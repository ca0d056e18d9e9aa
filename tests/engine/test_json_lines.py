"""Logs as JSON: one object a line, whatever is in the message, and findable by what it is about."""

import json
import logging
import sys

from aiops.cli.json_lines import JsonLines


def line(message: str, *args: object, failing: bool = False) -> dict[str, str]:
    try:
        if failing:
            raise ValueError("broken\nin two")
        told = None
    except ValueError:
        told = sys.exc_info()
    record = logging.LogRecord("aiops.pipeline", logging.WARNING, "f.py", 1, message, args, told)
    record.created = 1_767_225_600.25
    text = JsonLines().format(record)
    assert "\n" not in text
    found: dict[str, str] = json.loads(text)
    return found


def test_a_transition_is_found_by_its_problem() -> None:
    assert line("problem %d: open => remediating: playbook restart-nginx matched", 42) == {
        "time": "2026-01-01T00:00:00.250Z",
        "level": "warning",
        "logger": "aiops.pipeline",
        "message": "problem 42: open => remediating: playbook restart-nginx matched",
        "problem": "42",
    }


def test_names_are_fields_too() -> None:
    assert line("source %s: answers again", "prod-eu.1")["source"] == "prod-eu.1"


def test_odd_texts_and_tracebacks_stay_on_one_line() -> None:
    found = line('two\nlines "quoted" \u2028', failing=True)
    assert found["message"] == 'two\nlines "quoted" \u2028'
    assert "ValueError: broken" in found["exception"]
    assert line("")["message"] == ""

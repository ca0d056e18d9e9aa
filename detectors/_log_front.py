"""What stands before the miner: colours, junk, JSON and logfmt become a plain line, its level first."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from aiops.plugin.miner import WILD

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_JUNK = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufffd\udc80-\udcff]+")
_JSON = re.compile(r"\s*\{\s*\"")
_LOGFMT = re.compile(r"(?:^|\s)([A-Za-z_][\w.@-]*)=(\"(?:[^\"\\]|\\.)*\"|\S*)")
_MESSAGE_KEYS = ("message", "msg", "@message", "log", "body", "event", "text", "MESSAGE")
_LEVEL_KEYS = ("level", "severity", "lvl", "loglevel", "log.level", "levelname", "severity_text", "@level")

_STAMP = (
    r"(?:\d{4}[-/.]\d\d[-/.]\d\d[T _-]|\d\d[-/.]\d\d(?:[-/.]\d{2,4})?\s+"
    r"|[A-Z][a-z]{2}\s+\d{1,2}\s+(?:\d{4}\s+)?)"
    r"\d{1,2}[:.]\d\d[:.]\d\d(?:[.,]\d+)?(?:Z|\s?[+-]\d\d:?\d\d)?\]?\s+"
)
_HEADER = re.compile(
    # time, host, then a program's tag; or time, then names and numbers, then a dash
    rf"{_STAMP}(?:(\S+)\s+(?=[^\s:]+(?:\[\d+\])?:\s)|(?:(?:[\w@/-]*[.\d@/][\w.@/-]*|\*\d+)\s+){{1,3}}-\s)"
)
_HEADER_WITHIN = 120

_LEVEL = re.compile(
    r"(?<![\w.-])(?:(?:level|severity|lvl)=\"?)?"
    r"(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERR|ERROR|CRIT|CRITICAL|ALERT|FATAL|PANIC|EMERG|SEVERE"
    r"|LOG|STATEMENT|DETAIL|HINT)(?![\w.-])"
)
_NAMED_LEVEL = re.compile(
    r"(?:(?:level|severity|lvl)=\"?|\[|<|^)"
    r"(trace|debug|info|notice|warn|warning|err|error|crit|critical|alert|fatal|panic|emerg|severe)(?:[\]>\":\s]|$)",
    re.I,
)
_LEVEL_WITHIN = 12
"""Words of a line in which its level is looked for."""
_SPELLINGS = {
    "warn": "warning",
    "err": "error",
    "crit": "critical",
    "emerg": "fatal",
    "panic": "fatal",
    "alert": "critical",
    "severe": "error",
    "log": "info",
    "statement": "info",
    "detail": "info",
    "hint": "info",
    "notice": "info",
}
_NUMBERED = {10: "trace", 20: "debug", 30: "info", 40: "warning", 50: "error", 60: "fatal"}
"""pino and bunyan."""


class Front:
    """Cleans lines; `masks` are regular expressions of what varies, by the user's word."""

    def __init__(self, masks: Sequence[str]) -> None:
        self._masks = [re.compile(mask) for mask in masks]

    def clean(self, line: str) -> str:
        """The text to mine: without colours and junk; the level and message of a JSON or logfmt line."""
        if "\x1b" in line:
            line = _ESCAPES.sub("", line)
        if not line.isprintable():
            line = _JUNK.sub("\ufffd", line)
        if "{" in line[:8] and _JSON.match(line):
            line = _from_json(line)
        elif "msg=" in line or "message=" in line:
            line = _from_logfmt(line)
        for mask in self._masks:
            line = mask.sub("0", line)
        return _without_header(line)


def level_of(text: str) -> str:
    """trace, debug, info, warning, error, critical or fatal; empty when the line names none."""
    head = " ".join(text.split(None, _LEVEL_WITHIN)[:_LEVEL_WITHIN])
    found = _LEVEL.search(head) or _NAMED_LEVEL.search(head)
    if found is None:
        return "error" if head.startswith("Traceback (") else ""
    word = found[1].lower()
    return _SPELLINGS.get(word, word)


def parameters(tokens: Sequence[str], text: str) -> list[str]:
    """The parts of `text` in the places of the wildcards of template `tokens`, as far as they can be told."""
    text = " ".join(text.split())
    pieces = " ".join(tokens).split(WILD)
    if len(pieces) == 1:
        return []
    found, start = [], len(pieces[0]) if text.startswith(pieces[0]) else 0
    for number, piece in enumerate(pieces[1:], 1):
        if number == len(pieces) - 1:
            end = len(text) - len(piece) if piece and text.endswith(piece) else len(text)
        else:
            end = text.find(piece, start + 1) if piece else start
            end = len(text) if end < 0 else end
        found.append(text[start : max(start, end)].strip())
        start = end + len(piece)
    return found


def _without_header(line: str) -> str:
    """0 in the place of time, host and all before: one message of many hosts is one template."""
    found = _HEADER.search(line, 0, _HEADER_WITHIN) if ":" in line[:_HEADER_WITHIN] else None
    if found is None or (found[1] and _LEVEL.fullmatch(found[1].upper())):
        return line
    return "0 " + line[found.end() :]


def _from_json(line: str) -> str:
    """Level, message, and the names of the other keys; the line itself when it is no JSON object."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return line
    if not isinstance(data, dict):
        return line
    message = _first(data, _MESSAGE_KEYS)
    if isinstance(message, Mapping):
        message = _first(message, _MESSAGE_KEYS) or " ".join(map(str, message))
    level = _first(data, _LEVEL_KEYS)
    if isinstance(level, int):
        level = _NUMBERED.get(level, "")
    if message is None:
        message = "{" + " ".join(sorted(data)) + "}"
    return f"{str(level or '').upper()} {message}".strip()


def _from_logfmt(line: str) -> str:
    pairs = {key: value.strip('"').replace('\\"', '"') for key, value in _LOGFMT.findall(line)}
    message = _first(pairs, ("msg", "message"))
    if message is None or len(pairs) < 2:
        return line
    level = _first(pairs, _LEVEL_KEYS) or ""
    return f"{level.upper()} {message}".strip()


def _first(data: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((data[key] for key in keys if data.get(key) not in (None, "")), None)

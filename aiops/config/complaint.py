"""What is wrong with a file, where, and what to write instead; shown like a good compiler's error."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_SECRET_KEY = re.compile(
    r"[\"']?[\w.-]*(?:password|passwd|secret|token|api_?key|credential)s?[\"']?\s*:(?=\s|$)", re.I
)
_URL_PASSWORD = re.compile(r"(://[^\s:/@]*:)[^\s@]+@")
_FIRST_KEY = re.compile(r"\s*(?:- +)*[\"']?[\w.-]+[\"']?\s*:(?=\s|$)")


@dataclass(frozen=True, slots=True)
class Complaint:
    """One fault. ``line`` and ``column`` count from 1; 0 means the whole file."""

    file: str
    line: int
    column: int
    key: str
    """Dotted path such as ``sources[0].every``; empty for the whole file."""
    message: str
    hint: str = ""
    width: int = 1
    """Characters that the caret underlines."""
    secret: bool = False
    """The value there is secret: the line is shown without it."""
    excerpt: str = ""
    """The line itself, when it is in another file than the one that was checked."""

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class ConfigError(Exception):
    """The file cannot be used. Its text is all complaints, each with its line and a caret; secrets masked."""

    def __init__(self, complaints: "list[Complaint]", text: str = "") -> None:
        super().__init__(render(complaints, text))
        self.complaints = complaints


def render(complaints: Iterable[Complaint], text: str) -> str:
    """All complaints in file order, each with its line of `text`, a caret and the help; secrets masked."""
    lines = text.splitlines()
    ordered = sorted(complaints, key=lambda c: (c.file, c.line, c.column))
    return "\n\n".join(_one(complaint, lines) for complaint in ordered)


def _one(complaint: Complaint, lines: list[str]) -> str:
    number = str(complaint.line)
    gutter = " " * len(number)
    shown = [f"error: {complaint.message}", f"{gutter}--> {complaint.place}"]
    if complaint.excerpt:
        lines = [""] * (complaint.line - 1) + [complaint.excerpt]
    if 0 < complaint.line <= len(lines):
        line, column, width = _visible(complaint, lines)
        # A tab is one character but many columns: the caret line repeats it
        indent = re.sub(r"[^\t]", " ", line[: column - 1])
        shown += [f"{gutter} |", f"{number} | {line}", f"{gutter} | {indent}{'^' * width}"]
    if complaint.hint:
        shown.append(f"{gutter} = help: {complaint.hint}" if complaint.line else f"  help: {complaint.hint}")
    return "\n".join(shown)


def _visible(complaint: Complaint, lines: list[str]) -> tuple[str, int, int]:
    """The line without what may be secret; column and width of the caret within it."""
    line = lines[complaint.line - 1]
    column, width = complaint.column, complaint.width
    key = _SECRET_KEY.search(line)
    cut = key.end() if key else None
    if complaint.secret:
        first = _FIRST_KEY.match(line)
        cut = min(filter(None, (cut, first.end() if first else None)), default=0)
    elif cut is None and _below_secret(complaint.line - 1, lines):
        cut = 0
    if cut is not None:
        line = line[:cut] + " ***"
        if column > cut:
            column, width = cut + 2, 3
    else:
        line = _URL_PASSWORD.sub(r"\1***@", line)
    width = max(1, min(width, len(line) - column + 1))
    return line, min(column, len(line) + 1), width


def _below_secret(place: int, lines: list[str]) -> bool:
    """Whether the line belongs to a block under a key that names a secret."""
    depth = _indent(lines[place])
    for above in reversed(lines[:place]):
        if above.strip() and _indent(above) < depth:
            if _SECRET_KEY.search(above):
                return True
            depth = _indent(above)
    return False


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())

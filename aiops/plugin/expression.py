"""CEL: conditions and values over problems, outcomes and what others send; checked when the config is read.

Import it as ``from aiops.plugin.expression import ...``: a plug-in without expressions does not load CEL.
"""

import re
import sys
from collections.abc import Collection, Mapping
from types import ModuleType
from typing import Any

# The package's own terminal client would cost each start half a second and 26 MB
sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))

import cel  # noqa: E402

MAX_LENGTH = 4096

_WORD_ORDER = re.compile(r"severity\s*(<=|>=|<|>)|[\"'](info|minor|major|critical)[\"']\s*(<=|>=|<|>)")

_BINDS = re.compile(r"\.(?:all|exists|exists_one|filter|map)\(\s*([A-Za-z_]\w*)\s*,")

_MACRO = re.compile(r"\.\s*(?:all|exists|exists_one|existsOne|filter|map)\s*\(|[()]")
_TEXTS = re.compile(
    r"""//[^\n]*|[rR][bB]?(?:\"\"\".*?\"\"\"|'''.*?'''|"[^"]*"|'[^']*')|"""
    r"""\"\"\"(?:\\.|.)*?\"\"\"|'''(?:\\.|.)*?'''|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""",
    re.DOTALL,
)
MAX_LOOPS = 2
"""Loops within each other: 5 over lists of ten take 0.08 s, and each more takes ten times as long."""

LEVELS = {"info": 0, "minor": 1, "major": 2, "critical": 3}
"""In every expression as ``level``: ``problem.level >= level.major``."""


class ExpressionError(ValueError):
    """The expression cannot be compiled or evaluated; the message quotes it."""


class Expression:
    """A compiled CEL condition.

    Language: https://cel.dev, by the `common-expression-language` package. Raises `ExpressionError`.
    """

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        if len(self.text) > MAX_LENGTH:
            raise ExpressionError(
                f"the expression is {len(self.text)} characters long; the most is {MAX_LENGTH}"
            )
        if (loops := _loops(self.text)) > MAX_LOOPS:
            raise ExpressionError(
                f"{_short(self.text)}: {loops} loops (`all`, `exists`, `map`, ...) within each other; "
                f"the most is {MAX_LOOPS}"
            )
        if _WORD_ORDER.search(self.text):
            raise ExpressionError(
                f"{self.text!r}: severities are words and do not compare in order; "
                "write `problem.level >= level.major`"
            )
        try:
            self._program = cel.compile(self.text)
        except ValueError as why:
            raise ExpressionError(f"{self.text!r} is no CEL: {_first_line(why)}") from why

    @property
    def names(self) -> set[str]:
        """What it asks its context for: without the names that its own `exists`, `map` and so on bind."""
        return set(self._program.variables()) - set(_BINDS.findall(self.text)) - {"level"}

    def value(self, context: Mapping[str, Any]) -> Any:
        """What it gives: JSON-able data or a time. A missing key or a wrong type raises `ExpressionError`."""
        try:
            return self._program.execute({"level": LEVELS, **context})
        except (ValueError, TypeError, KeyError, RuntimeError, ArithmeticError) as why:
            raise ExpressionError(f"{self.text!r}: {_first_line(why)}") from why

    def test(self, context: Mapping[str, Any]) -> bool:
        """Whether it holds. A missing key or a type that does not fit raises `ExpressionError`."""
        result = self.value(context)
        if not isinstance(result, bool):
            raise ExpressionError(f"{self.text!r} gives {type(result).__name__}, not true or false")
        return result

    def matches(self, context: Mapping[str, Any]) -> bool:
        """Like `test`, but a problem that lacks what the expression speaks of does not match."""
        try:
            return self.test(context)
        except ExpressionError:
            return False

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def checked(text: str, known: Collection[str]) -> Expression:
    """The expression, if it speaks of nothing but `known`. Raises ValueError that names what is not."""
    made = Expression(text)
    unknown = sorted(made.names - set(known))
    if unknown:
        raise ValueError(f"`{unknown[0]}` is not known here; expressions speak of `{'`, `'.join(known)}`")
    return made


def _loops(text: str) -> int:
    """How many loops stand within each other, at the deepest place."""
    depth = most = 0
    opened: list[bool] = []
    for found in _MACRO.finditer(_TEXTS.sub(" ", text)):
        if found[0] == ")":
            depth -= opened.pop() if opened else 0
            continue
        opened.append(found[0] != "(")
        depth += opened[-1]
        most = max(most, depth)
    return most


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _first_line(why: Exception) -> str:
    lines = [line.strip() for line in str(why).splitlines() if line.strip()]
    return lines[0] if lines else type(why).__name__

"""Series selectors in PromQL's own syntax, and matching of labels against them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

_MATCHER = re.compile(r'\s*([a-zA-Z_][\w.]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\')\s*')
_METRIC = re.compile(r"\s*([a-zA-Z_:][\w:.]*)?\s*")


class SelectorError(ValueError):
    """The text is no selector; the message names the column."""


@dataclass(frozen=True)
class Matcher:
    """One condition on one label; a missing label counts as the empty string, as in Prometheus."""

    label: str
    op: str
    value: str

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self.value)

    def matches(self, labels: Mapping[str, str]) -> bool:
        have = labels.get(self.label, "")
        match self.op:
            case "=":
                return have == self.value
            case "!=":
                return have != self.value
            case "=~":
                return self._pattern.fullmatch(have) is not None
            case _:
                return self._pattern.fullmatch(have) is None

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{self.label}{self.op}"{escaped}"'


@dataclass(frozen=True)
class Selector:
    """All matchers must hold; no matcher matches everything."""

    matchers: tuple[Matcher, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(m.matches(labels) for m in self.matchers)

    def __str__(self) -> str:
        names = [m.value for m in self.matchers if m.label == "__name__" and m.op == "="][:1]
        rest = [str(m) for m in self.matchers if not (names and m.label == "__name__" and m.op == "=")]
        return (names[0] if names else "") + ("{" + ", ".join(rest) + "}" if rest or not names else "")

    @classmethod
    def exact(cls, labels: Mapping[str, str]) -> "Selector":
        """Equality on every given label."""
        return cls(tuple(Matcher(k, "=", v) for k, v in labels.items()))

    @classmethod
    def parse(cls, text: str) -> "Selector":
        """Read ``name{label="value", other=~"regex"}``. Raises `SelectorError`."""
        found: list[Matcher] = []
        head = _METRIC.match(text)
        pos = head.end() if head else 0
        if head and head.group(1):
            found.append(Matcher("__name__", "=", head.group(1)))
        if pos < len(text):
            pos = _parse_braces(text, pos, found)
        if text[pos:].strip():
            raise SelectorError(
                f"column {pos + 1}: unexpected {text[pos:].strip()[:20]!r} after the selector"
            )
        if not found and "{" not in text:
            raise SelectorError("the selector is empty; '{}' selects everything")
        return cls(tuple(found))


def _parse_braces(text: str, pos: int, found: list[Matcher]) -> int:
    if text[pos] != "{":
        raise SelectorError(f"column {pos + 1}: expected '{{', got {text[pos]!r}")
    pos += 1
    while True:
        rest = text[pos:]
        if rest.lstrip().startswith("}"):
            return pos + rest.index("}") + 1
        hit = _MATCHER.match(text, pos)
        if hit is None:
            raise SelectorError(f'column {pos + 1}: expected label="value", got {rest.strip()[:20]!r}')
        found.append(_checked(hit, pos))
        pos = hit.end()
        if text[pos : pos + 1] == ",":
            pos += 1
        elif text[pos : pos + 1] != "}":
            raise SelectorError(f"column {pos + 1}: expected ',' or '}}'")


def _checked(hit: re.Match[str], pos: int) -> Matcher:
    value = re.sub(
        r"\\(.)",
        lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1] if m[1] in "\"'\\" else "\\" + m[1]),
        hit[3][1:-1],
    )
    if hit[2] in ("=~", "!~"):
        try:
            re.compile(value)
        except (re.error, OverflowError, RecursionError) as bad:
            raise SelectorError(f"column {pos + 1}: bad regular expression {value!r}: {bad}") from bad
    return Matcher(hit[1], hit[2], value)

"""One spelling for what is printed in several: sizes, dates, quoted values, runs of numbers."""

import re
from collections.abc import Sequence

from aiops.plugin.miner import WILD
from detectors._log_tokens import DOTTED

_ZONES = frozenset(
    ["EST", "EDT", "PST", "PDT", "CST", "CDT", "MST", "MDT", "UTC", "GMT", "AM", "PM", "CET", "CEST"]
)
_CALENDAR = frozenset(
    [
        "jan",
        "feb",
        "mar",
        "apr",
        "may",
        "jun",
        "jul",
        "aug",
        "sep",
        "oct",
        "nov",
        "dec",
        "mon",
        "tue",
        "wed",
        "thu",
        "fri",
        "sat",
        "sun",
    ]
)
_UNITS = frozenset(
    [
        "b",
        "kb",
        "mb",
        "gb",
        "tb",
        "kib",
        "mib",
        "gib",
        "byte",
        "bytes",
        "k",
        "m",
        "g",
        "kb/s",
        "mb/s",
        "%",
        "percent",
        "ms",
        "us",
        "ns",
        "s",
        "sec",
        "secs",
        "second",
        "seconds",
        "min",
        "mins",
        "minute",
        "minutes",
        "hour",
        "hours",
    ]
)
_ALL_WILD = re.compile(r"[^A-Za-z0-9]*<\*>[^A-Za-z0-9]*(?:<\*>[^A-Za-z0-9]*)*\Z")
_ENUM = re.compile(r"\.[A-Z][A-Z_]+\Z")
_CLOSING = "),.:;]"


def all_wild(token: str) -> bool:
    """Whether nothing but punctuation is constant in it."""
    return WILD in token and bool(token == WILD or _ALL_WILD.match(token))


def canonical(masked: Sequence[str]) -> tuple[str, ...]:
    """Masked tokens in their canonical form, in which lines are compared."""
    return _collapsed(_Spelling().of(masked))


class _Spelling:
    """Goes over the tokens once, knowing what came just before."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.after_number = False
        self.after_unit = False

    def of(self, masked: Sequence[str]) -> list[str]:
        place, count = 0, len(masked)
        while place < count:
            token = masked[place]
            if '="' in token and token.count('"') & 1:
                place = self._quoted(masked, place)
            elif all_wild(token):
                place = self._number(masked, place)
            else:
                self._word(token)
                place += 1
        return self.out

    def _quoted(self, masked: Sequence[str], place: int) -> int:
        """``key="several words"`` is one token; returns where to go on."""
        head = masked[place][: masked[place].rindex('="') + 1] + WILD
        for end in range(place + 1, len(masked)):
            if '"' in masked[end]:
                head += masked[end][masked[end].rindex('"') + 1 :]
                break
        else:
            end = len(masked) - 1
        self.out.append(head)
        self.after_number = False
        return end + 1

    def _number(self, masked: Sequence[str], place: int) -> int:
        token = masked[place]
        following = masked[place + 1] if place + 1 < len(masked) else ""
        if self.after_unit and token[0] == "(" and self._closes(token, following):
            # the same size again in another unit: 1536 B (1.5 KB)
            end = place if ")" in token else place + 1
            self._append(masked[end][masked[end].rindex(")") + 1 :])
            return end + 1
        self.out.append(token)
        self.after_number, self.after_unit = True, False
        return place + 1

    @staticmethod
    def _closes(token: str, following: str) -> bool:
        return token[-1] == ")" or (following.strip("),.;").lower() in _UNITS and ")" in following)

    def _append(self, trail: str) -> None:
        if trail:
            self.out[-1] = WILD + trail

    def _word(self, token: str) -> None:
        bare = token.strip("(),.:;[]")
        if self.after_number and self._goes_with_number(token, bare):
            return
        self.after_unit = False
        if bare.lower() in _CALENDAR and bare[0].isupper() and bare[1:].islower():
            self.out.append(WILD)
            self.after_number = True
            return
        self.after_number = False
        name = "." in bare and self.out and DOTTED.match(bare)
        if name and not token.endswith(":") and not _ENUM.search(bare):
            token = token.replace(bare, WILD)
        self.out.append(token)

    def _goes_with_number(self, token: str, bare: str) -> bool:
        if bare.lower() in _UNITS:
            trail = token[len(token.rstrip(_CLOSING)) :]
            self._append(trail)
            self.after_unit = not trail
            return True
        if token == "()":  # an empty list where others have numbers
            self.out.append(f"({WILD})")
            return True
        return bare in _ZONES


def _collapsed(tokens: list[str]) -> tuple[str, ...]:
    """Three numbers or more in a row are one: dumps, lists and dates have no fixed length."""
    out: list[str] = []
    start = 0
    while start < len(tokens):
        end = start
        while end < len(tokens) and all_wild(tokens[end]):
            end += 1
        if end - start >= 3:
            out.append(WILD)
        else:
            end = max(end, start + 1)
            out.extend(tokens[start:end])
        start = end
    return tuple(out)

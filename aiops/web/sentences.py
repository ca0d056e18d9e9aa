"""What the engine wrote, in the language of the page.

Reasons, headlines and timelines are stored in English, as they were said. ``locale/engine.CODE.po`` knows
every form of them, with holes for what differs; a text that has none of these forms is shown as it stands.
Several sentences in one text, and what people added behind a colon, are each looked at by themselves.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, lru_cache, partial

from aiops.web.language import ROOM, gettext, language

LONGEST = 1200
"""Characters of a text that is looked at: none that the engine writes is longer."""
_HOLE = re.compile(r"\{([nwpsx]\d?)\}")
_FILLING = re.compile(r"\{([nwpsx]\d?)\}( ?)")
_NUMBER = (
    r"[-+]?(?:\d[\d,.]*(?:e[-+]?\d+)?|infinite)"
    r"(?: ?%| (?:[KMGTP]i)?B(?:/s)?| (?:ms|s|min|h|d)(?: \d+ (?:h|min|s))?)?|no value|unknown|for ever"
)
_KINDS = {"n": _NUMBER, "w": r"\S+", "p": r"\S+", "s": r".+?", "x": r".+?"}
_UNIT = re.compile(r"(?<=\d) (ms|s|min|h|d)\b")
_BREAKS = ((". ", "。"), ("; ", "；"))
_LIST = ", "


@dataclass(frozen=True, slots=True)
class Form:
    """One form of sentence: how it is known, and its translation with the same holes."""

    literals: tuple[str, ...]
    pattern: re.Pattern[str]
    said: str


def told(text: str | None) -> str:
    """`text` of the engine in the language that is spoken now; as it stands where its form is not known."""
    if not text or language() == "en" or len(text) > LONGEST:
        return text or ""
    return _told(text, language())


@lru_cache(maxsize=8192)
def _told(text: str, code: str) -> str:
    return (
        _parts(text, code, all)
        or _whole(text, code)
        or _parts(text, code, any)
        or _listed(text, code)
        or _led(text, code)
        or text
    )


def _whole(text: str, code: str) -> str:
    """As one sentence; empty when it has no known form."""
    for form in forms(code):
        if all(literal in text for literal in form.literals) and (found := form.pattern.fullmatch(text)):
            return _FILLING.sub(partial(_filled, given=found, code=code), form.said)
    return ""


def _filled(hole: re.Match[str], given: re.Match[str], code: str) -> str:
    """No space after a character of those that are written without: ``5 分钟后``, ``5 GiB 后``."""
    text = _FILLED[hole[1][0]](given[hole[1]], code)
    return text if text[-1:] > "\u2e7f" else text + hole[2]


def _parts(text: str, code: str, known: Callable[[Iterable[bool]], bool]) -> str:
    """As several sentences, `known`: of which ``all`` or ``any`` have a known form; else empty."""
    for mark, said in _BREAKS:
        parts = text.split(mark)
        done = [_told(part, code) for part in parts] if len(parts) > 1 else []
        if done and known(one != part for one, part in zip(done, parts, strict=True)):
            return said.join(done)
    return ""


def _listed(text: str, code: str) -> str:
    """As a list; empty when there is anything in it that is no sentence."""
    parts = text.split(_LIST)
    done = [_whole(part, code) for part in parts] if len(parts) > 1 else []
    return "，".join(done) if done and all(done) else ""


def _led(text: str, code: str) -> str:
    """As a sentence with what somebody added, or one that is named: ``snoozed for 8 h: the import``."""
    lead, colon, rest = text.partition(": ")
    if said := _whole(lead, code) if colon else "":
        return f"{said}：{_told(rest, code)}"
    more = _whole(rest, code) if colon else ""
    return f"{lead}：{more}" if more else ""


def _number(text: str, code: str) -> str:
    return _UNIT.sub(lambda unit: f" {gettext(unit[1])}", text)


def _as_it_is(text: str, code: str) -> str:
    return text


def _word(text: str, code: str) -> str:
    return gettext(text.replace("_", " "))


_FILLED: dict[str, Callable[[str, str], str]] = {
    "n": _number,
    "w": _as_it_is,
    "p": _word,
    "s": _told,
    "x": _as_it_is,
}


@cache
def forms(code: str) -> tuple[Form, ...]:
    """Of a language: first those whose beginning is known, of these what says most in words of its own."""
    from babel.messages.pofile import read_po

    with (ROOM / f"engine.{code}.po").open("rb") as source:
        pairs = [(str(one.id), str(one.string)) for one in read_po(source, locale=code) if one.id]
    pairs.sort(key=lambda pair: (pair[0].startswith("{"), -len(_HOLE.sub("", pair[0]))))
    return tuple(_form(english, said) for english, said in pairs)


def _form(english: str, said: str) -> Form:
    pattern, at = "", 0
    for hole in _HOLE.finditer(english):
        pattern += f"{re.escape(english[at : hole.start()])}(?P<{hole[1]}>{_KINDS[hole[1][0]]})"
        at = hole.end()
    pattern += re.escape(english[at:])
    literals = tuple(filter(None, _HOLE.sub("\0", english).split("\0")))
    return Form(literals, re.compile(pattern, re.S), said)

"""The languages that Forewarn writes: gettext catalogues (``aiops/locale/LANGUAGE.po``), read as they are."""

import re
from functools import lru_cache
from importlib.resources import files

from aiops.core.ticket_words import Translate

LANGUAGES = ("en", "zh")

_ENTRY = re.compile(r'^msgid ((?:"(?:[^"\\]|\\.)*"\s*)+)^msgstr ((?:"(?:[^"\\]|\\.)*"\s*)+)', re.M)
_PIECE = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = {"n": "\n", "t": "\t"}


@lru_cache(maxsize=len(LANGUAGES))
def translator(language: str) -> Translate:
    """English text -> the same in `language`; the English itself where the catalogue has none."""
    known = catalogue(language)
    return lambda text: known.get(text) or text


def catalogue(language: str) -> dict[str, str]:
    """What is translated; nothing for English. Raises LookupError for a language that there is not."""
    if language not in LANGUAGES:
        raise LookupError(f"no language {language!r}; there are: {', '.join(LANGUAGES)}")
    if language == "en":
        return {}
    text = files("aiops").joinpath("locale", f"{language}.po").read_text("utf-8")
    found = {_joined(said): _joined(meant) for said, meant in _ENTRY.findall(text)}
    found.pop("", None)
    return found


def _joined(pieces: str) -> str:
    whole = "".join(_PIECE.findall(pieces))
    return re.sub(r"\\(.)", lambda m: _ESCAPED.get(m[1], m[1]), whole)

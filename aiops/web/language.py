"""The language of one request: a cookie remembers it, else the browser's wish decides."""

import gettext as catalogues
import io
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from aiops.web import times

COOKIE = "forewarn_language"
LANGUAGES = {"en": "English", "zh": "简体中文"}
"""Code -> its name in itself; the first is what everything is written in."""
ROOM = Path(__file__).resolve().parent / "locale"

_current: ContextVar[str] = ContextVar("language", default="en")


def language() -> str:
    """The code of the language that is spoken now."""
    return _current.get()


def gettext(text: str) -> str:
    """`text` in the language that is spoken now."""
    return catalogue(_current.get()).gettext(text)


def ngettext(one: str, many: str, number: int) -> str:
    """The form that fits `number`."""
    return catalogue(_current.get()).ngettext(one, many, number)


def noted(text: str) -> str:
    """Marks a text for the catalogue which is translated where it is shown."""
    return text


@cache
def catalogue(code: str) -> catalogues.NullTranslations:
    """Compiled from ``locale/CODE.po`` when first asked for (30 ms), so that it is never out of date."""
    if code == "en":
        return catalogues.NullTranslations()
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    compiled = io.BytesIO()
    with (ROOM / f"{code}.po").open("rb") as source:
        write_mo(compiled, read_po(source, locale=code))
    compiled.seek(0)
    return catalogues.GNUTranslations(compiled)


class Speak:
    """ASGI middleware: lets every request speak its language, and tell its times."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(("/api/", "/static/")):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        token, moment = _current.set(wished(headers)), times.begin(headers)
        try:
            await self.app(scope, receive, send)
        finally:
            times.end(moment)
            _current.reset(token)


def wished(headers: Headers) -> str:
    """By cookie, else the first known language of ``Accept-Language``, else English."""
    chosen = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    offers = []
    for place, part in enumerate(headers.get("accept-language", "").split(",")):
        name, _, weight = part.strip().partition(";q=")
        try:
            offers.append((-float(weight or 1), place, name.lower().split("-")[0]))
        except ValueError:
            continue
    return next((code for weight, _, code in sorted(offers) if code in LANGUAGES and weight), "en")

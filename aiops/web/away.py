"""A store that cannot be used for now: requests are asked to come again, instead of breaking."""

import logging

from fastapi import Request
from sqlalchemy.exc import InterfaceError, OperationalError, TimeoutError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aiops.engine.forward import RETRY_AFTER
from aiops.engine.tenure import first_line
from aiops.web.errors import Page, trouble
from aiops.web.sentences import told

log = logging.getLogger("aiops.web")

AWAY = (OperationalError, InterfaceError, TimeoutError)
SAID = "the store cannot be reached just now; try again"


class Away:
    """ASGI middleware: 503 with Retry-After, said as whoever asks can read it, where the store is away."""

    def __init__(self, app: ASGIApp, page: Page) -> None:
        self._app, self._page = app, page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = False

        async def sent(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except AWAY as why:
            if began or scope["type"] != "http":
                raise
            log.error("%s %s: the store cannot be used: %s", scope["method"], scope["path"], first_line(why))
            said = told(SAID)
            answer = self._page(Request(scope), 503, said) or trouble(503, said)
            answer.headers["Retry-After"] = str(RETRY_AFTER)
            await answer(scope, receive, send)

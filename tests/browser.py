"""A real browser on a real server: what the browser tests and the screenshots share."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from playwright.async_api import Browser, async_playwright

from aiops.engine.engine import Engine
from aiops.testing import eventually
from aiops.web.app import create_app
from tests.world import token_of

CHROMIUM = shutil.which("chromium")


def missing_browser() -> str:
    """Why no browser can be driven here; empty when one can."""
    return "" if CHROMIUM else "no chromium: `make test-servers` installs Debian's"


@asynccontextmanager
async def served(engine: Engine) -> AsyncIterator[str]:
    """The console of `engine` on a free port of 127.0.0.1; gives its base URL."""
    # asyncio sets TCP_NODELAY only on sockets that name their protocol: 40 ms a request otherwise
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(create_app(engine), log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve([listener]))
        try:
            await eventually(lambda: server.started)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Debian's Chromium, headless; without its sandbox, which needs rights that containers lack."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


async def session_cookie(engine: Engine, url: str) -> dict[str, str]:
    """A cookie for the browser, as signing in with a fresh token sets it."""
    async with httpx.AsyncClient(base_url=url) as client:
        answer = await client.post("/sign-in", data={"token": await token_of(engine)})
        return {"name": "forewarn_session", "value": answer.cookies["forewarn_session"], "url": url}

"""A whole process: one engine, its web server, signals, and a clean end."""

import asyncio
import contextlib
import errno
import gc
import logging
import signal
import socket
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import uvicorn

from aiops.config import Config
from aiops.config.complaint import Complaint, ConfigError
from aiops.config.secret_files import ensure_secrets
from aiops.engine.callers import Caller
from aiops.engine.engine import Engine
from aiops.engine.forward import Forward
from aiops.engine.leadership import Leadership, reached_at
from aiops.engine.lock import EngineLock
from aiops.engine.receive import Front
from aiops.store import tokens, vault
from aiops.store.database import StoreError

log = logging.getLogger("aiops")


async def serve(
    config: Config,
    config_path: Path | None,
    create_app: Callable[[Engine], Any],
    greet: Callable[[Engine, str], None],
) -> int:
    """Run until SIGINT or SIGTERM, then drain. Exit code 0, or 1 when a task died of a fault.

    `greet` is called once the engine is ready, with the API token if this start has made one, else "".
    Raises `StoreError` when the store cannot be used and OSError when the address is taken.
    """
    ensure_secrets(config)
    try:
        vault.use([key.read().get_secret_value() for key in config.store_keys])
    except ValueError as why:
        raise StoreError(f"store_keys: {why}") from why
    engine = Engine(config, config_path)
    if engine.db.is_sqlite:
        only: AbstractContextManager[object] = EngineLock(engine.db)
    else:
        engine.leadership = Leadership(engine.db, engine.clock, reached_at(config))
        only = contextlib.nullcontext()
    with only, _listen(config) as address:
        stop = _stop_on_signals()
        await engine.start()
        token = await engine.db.run(_first_token, config, engine.clock.now())
        app = create_app(engine)
        server = _Server(_uvicorn(Forward(Front(app, engine.receiving), engine), config))
        if engine.leads:
            gc.collect()  # reading what was learnt leaves some; all else that was built is no garbage
        gc.freeze()  # what was built lives on: to look at it all again and again takes 0.1 s each time
        gc.enable()
        web = asyncio.create_task(server.serve([address]), name="web")
        greeting = asyncio.create_task(_greet_when_ready(engine, token, greet))
        failed = asyncio.create_task(engine.failed.wait())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({web, failed, stopping}, return_when=asyncio.FIRST_COMPLETED)
        clean = not engine.failed.is_set() and not (web.done() and not stop.is_set())
        log.info("stopping: finishing what was begun")
        greeting.cancel()
        server.should_exit = True
        with contextlib.suppress(SystemExit):
            await asyncio.wait({web}, timeout=5)
        await engine.stop()
        for task in (failed, stopping, web):
            task.cancel()
        return 0 if clean else 1


class _Server(uvicorn.Server):
    """Signals are ours: uvicorn would raise them again after its own shutdown."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


def _listen(config: Config) -> socket.socket:
    """Taken before anything is started, so that a taken address is one clear line. Raises OSError."""
    try:
        family = socket.AF_INET6 if ":" in config.web.host else socket.AF_INET
        return socket.create_server((config.web.host, config.web.port), family=family, backlog=256)
    except OSError as why:
        reason = (
            "is taken by another program"
            if why.errno == errno.EADDRINUSE
            else f"cannot be used: {why.strerror}"
        )
        raise OSError(
            f"{config.web.listen} {reason}; choose another address under `web: {{listen: ...}}`"
        ) from why


def _uvicorn(app: Any, config: Config) -> uvicorn.Config:
    """Raises OSError for a certificate that cannot be used."""
    tls = config.web.tls
    made = uvicorn.Config(
        app,
        http=Caller,
        ssl_certfile=tls.cert if tls else None,
        ssl_keyfile=tls.key if tls else None,
        ssl_ca_certs=str(tls.clients) if tls and tls.clients else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if tls and tls.clients else ssl.CERT_NONE,
        host=config.web.host,
        port=config.web.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
    )
    if tls:
        made.load()  # now, so that a bad file is one clear line
    return made


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _greet_when_ready(engine: Engine, token: str, greet: Callable[[Engine, str], None]) -> None:
    for _ in range(200):
        if engine.ready():
            break
        await asyncio.sleep(0.05)
    greet(engine, token)


def _first_token(conn: Any, config: Config, now: float) -> str:
    """A token on the very first start; it is shown once and only its digest is kept. Raises `ConfigError`."""
    if config.web.token is None:
        return "" if tokens.exist(conn) else tokens.create(conn, "first start", now)
    try:
        tokens.give(conn, "configuration", config.web.token.read().get_secret_value(), now)
    except ValueError as why:
        raise ConfigError([Complaint("", 0, 0, "web.token", str(why))], "") from why
    return ""

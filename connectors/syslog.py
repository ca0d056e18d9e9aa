"""Messages that other hosts and programs send by syslog."""

import asyncio
import contextlib
import logging
import math
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, PrivateAttr, field_validator

from aiops.model.frame import Lines
from aiops.model.series import Labels, labels_of
from aiops.plugin import Connector, Duration, Fatal, Plugin
from aiops.wire import syslog

log = logging.getLogger("aiops.connectors")

_AHEAD = 5.0
"""Seconds by which a sender's clock may differ before its times are not believed."""


class Tls(Plugin):
    """Certificate for senders that connect by TLS (RFC 5425)."""

    certificate: Path = Field(description="PEM file of the certificate, with its chain.")
    key: Path = Field(description="PEM file of its key.")
    clients: Path | None = Field(
        None, description="PEM file of the authority that senders are to be signed by."
    )

    def context(self) -> ssl.SSLContext:
        """Raises Fatal."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            made.load_cert_chain(self.certificate, self.key)
            if self.clients:
                made.load_verify_locations(self.clients)
                made.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ssl.SSLError) as why:
            raise Fatal(f"TLS: {why}") from why
        return made


class Syslog(Connector):
    """Receives syslog (RFC 5424, RFC 3164) over UDP, TCP or TLS; lines are labelled ``host`` and ``app``.

    It listens from its first pull on. While the engine is behind, TCP senders are held back and datagrams
    are dropped, which the log tells. What was received and not yet taken is lost when the process dies.
    """

    every: Duration = Field(1.0, description="How often what was received is handed on.", gt=0)
    udp: str = Field("", description="Address and port for datagrams, such as 0.0.0.0:514; none when empty.")
    tcp: str = Field(
        "", description="Address and port for connections, such as 0.0.0.0:601; none when empty."
    )
    tls: Tls | None = Field(None, description="When given, connections to `tcp` speak TLS.")
    most_waiting: int = Field(200_000, ge=1000, description="Messages held for the engine.")
    max_message: int = Field(65536, ge=480, le=1 << 20, description="Bytes after which a message is cut.")

    _waiting: list[tuple[bytes, str]] = PrivateAttr(default_factory=list)
    _dropped: int = PrivateAttr(0)
    _room: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)
    _server: asyncio.Server | None = PrivateAttr(None)
    _datagrams: asyncio.DatagramTransport | None = PrivateAttr(None)
    _writers: set[Any] = PrivateAttr(default_factory=set)

    @field_validator("udp", "tcp")
    @classmethod
    def _is_address(cls, value: str) -> str:
        host, colon, port = value.rpartition(":")
        if value and not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
            raise ValueError("expected an address and a port, such as 0.0.0.0:514")
        return value

    async def pull(self, since: float, until: float) -> AsyncIterator[Lines]:
        """What was received since the last pull."""
        await self._listen()
        taken, self._waiting = self._waiting, []
        self._room.set()
        if self._dropped:
            log.warning("source %s: %d datagrams dropped, the engine is behind", self.name, self._dropped)
            self._dropped = 0
        streams: dict[Labels, tuple[list[float], list[str]]] = {}
        for data, peer in taken:
            entry = syslog.decode(data, until)
            known = math.isfinite(entry.time) and since - _AHEAD < entry.time <= until
            labels = labels_of({"host": entry.host or peer, "app": entry.app} | self.labels)
            times, text = streams.setdefault(labels, ([], []))
            times.append(entry.time if known else until)
            text.append(entry.line)
        for labels, (times, text) in streams.items():
            yield Lines(labels, np.array(times), text)

    async def close(self) -> None:
        if self._datagrams:
            self._datagrams.close()
        if self._server:
            self._server.close()
            for writer in list(self._writers):
                writer.close()
            await self._server.wait_closed()
        self._server = self._datagrams = None

    def port(self, protocol: str) -> int:
        """The port that `udp` or `tcp` is bound to, while it listens; 0 else."""
        if protocol == "udp" and self._datagrams:
            return int(self._datagrams.get_extra_info("sockname")[1])
        if protocol == "tcp" and self._server:
            return int(self._server.sockets[0].getsockname()[1])
        return 0

    async def _listen(self) -> None:
        try:
            if self.udp and not self._datagrams:
                host, _, port = self.udp.rpartition(":")
                loop = asyncio.get_running_loop()
                self._datagrams, _ = await loop.create_datagram_endpoint(
                    lambda: _Datagrams(self._take), local_addr=(host.strip("[]"), int(port))
                )
            if self.tcp and not self._server:
                host, _, port = self.tcp.rpartition(":")
                context = self.tls.context() if self.tls else None
                self._server = await asyncio.start_server(
                    self._connected, host.strip("[]"), int(port), ssl=context, limit=self.max_message * 2
                )
        except OSError as why:
            raise Fatal(f"cannot listen: {why.strerror or why}") from why
        if not self.udp and not self.tcp:
            raise Fatal("give udp, tcp or both")

    def _take(self, data: bytes, peer: str) -> None:
        if len(self._waiting) >= self.most_waiting:
            self._dropped += 1
        else:
            self._waiting.append((data[: self.max_message], peer))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = str((writer.get_extra_info("peername") or [""])[0])
        self._writers.add(writer)
        rest = b""
        try:
            while data := await reader.read(65536):
                messages, rest = syslog.split(rest + data, self.max_message)
                self._waiting += [(message, peer) for message in messages]
                while len(self._waiting) >= self.most_waiting:
                    self._room.clear()
                    await self._room.wait()
            if rest:
                self._waiting.append((rest, peer))
        except (OSError, ssl.SSLError) as why:
            log.info("source %s: connection from %s ended: %s", self.name, peer, why)
        finally:
            self._writers.discard(writer)
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, take: Any) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._take(data, str(addr[0]))

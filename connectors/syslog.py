"""Messages that other hosts and programs send by syslog."""

import asyncio
import contextlib
import logging
import math
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from pydantic import Field, PrivateAttr, field_validator, model_validator

from aiops.model.frame import Frame, Lines
from aiops.model.series import NAME, Labels, SeriesIndex, labels_of
from aiops.plugin import Connector, Duration, Fatal, Plugin
from aiops.wire import syslog

log = logging.getLogger("aiops.connectors")

_AHEAD = 5.0
"""Seconds by which a sender's clock may differ before its times are not believed."""


_Message: TypeAlias = tuple[bytes, str]
"""What was received, and the address that it came from."""
_Streams: TypeAlias = dict[Labels, list[tuple[syslog.Entry, _Message]]]


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

    Also yields ``syslog_received_per_second`` and ``syslog_dropped_per_second``.

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

    _index: SeriesIndex = PrivateAttr(default_factory=SeriesIndex)
    _waiting: list[_Message] = PrivateAttr(default_factory=list)
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

    @model_validator(mode="after")
    def _listens_somewhere(self) -> "Syslog":
        if not self.udp and not self.tcp:
            raise ValueError("give udp, tcp or both")
        if self.tls and not self.tcp:
            raise ValueError("tls needs tcp")
        return self

    def open(self, index: SeriesIndex) -> None:
        self._index = index

    async def pull(self, since: float, until: float) -> AsyncIterator[Frame | Lines]:
        """What was received since the last pull, and the rates of what was received and dropped."""
        await self._listen()
        taken, self._waiting = self._waiting, []
        dropped, self._dropped = self._dropped, 0
        self._room.set()
        if dropped:
            log.warning("source %s: %d datagrams dropped, the engine is behind", self.name, dropped)
        count = len(taken)
        streams: _Streams = {}
        try:
            streams = await asyncio.to_thread(self._sorted, taken, until)
            taken = []
            for labels in list(streams):
                yield _lines(labels, [entry for entry, _ in streams[labels]], since, until)
                del streams[labels]
        finally:  # what was not taken is given again
            left = taken + [message for said in streams.values() for _, message in said]
            self._waiting = left + self._waiting
        yield self._frame({"received": count, "dropped": dropped}, since, until)

    def _sorted(self, messages: list[_Message], until: float) -> _Streams:
        streams: _Streams = {}
        for message in messages:
            entry = syslog.decode(message[0], until)
            labels = labels_of({"host": entry.host or message[1], "app": entry.app} | self.labels)
            streams.setdefault(labels, []).append((entry, message))
        return streams

    def _frame(self, counts: dict[str, int], since: float, until: float) -> Frame:
        seconds = max(until - since, 1e-3)
        names = [labels_of({NAME: f"syslog_{what}_per_second"} | self.labels) for what in counts]
        values = np.array([[count / seconds for count in counts.values()]])
        return Frame(np.array([until]), self._index.slots(names), values)

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


def _lines(labels: Labels, entries: list[syslog.Entry], since: float, until: float) -> Lines:
    """A time is the sender's where it is near the pull, else the pull's."""
    near = [math.isfinite(e.time) and since - _AHEAD < e.time <= until for e in entries]
    times = [e.time if is_near else until for e, is_near in zip(entries, near, strict=True)]
    return Lines(labels, np.array(times), [entry.line for entry in entries])


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, take: Any) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._take(data, str(addr[0]))

"""The syslog source on real sockets: datagrams, connections, and TLS spoken by a real openssl."""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from aiops.model.frame import Frame, Lines
from aiops.model.series import NAME, SeriesIndex
from aiops.plugin import Connector, Fatal
from aiops.plugin.load import load
from aiops.testing import eventually

OPENSSL = shutil.which("openssl") or ""
needs_openssl = pytest.mark.skipif(not OPENSSL, reason="needs openssl")
NOW = 1.7e9
Make = Callable[..., "Source"]


class Source:
    """A syslog source on free ports."""

    def __init__(self, **fields: Any) -> None:
        kind = load("connectors", "syslog", Connector)  # type: ignore[type-abstract]
        self.connector: Any = kind.model_validate({"name": "net"} | fields)
        self.index = SeriesIndex()
        self.connector.open(self.index)
        self.rates: dict[str, float] = {}

    async def pull(self) -> list[tuple[str, str]]:
        """(host, line) of what was received since the last pull."""
        found = []
        async for batch in self.connector.pull(NOW, NOW + 1):
            if isinstance(batch, Lines):
                found += [(dict(batch.labels)["host"], text) for text in batch.text]
            else:
                assert isinstance(batch, Frame)
                names = [dict(self.index.labels(slot))[NAME] for slot in batch.slots.tolist()]
                self.rates = dict(zip(names, batch.values[0].tolist(), strict=True))
        return found

    async def gather(self, count: int) -> list[tuple[str, str]]:
        """Pulls until so many lines have come."""
        await eventually(lambda: len(self.connector._waiting) >= count)
        return await self.pull()


@pytest_asyncio.fixture
async def make() -> AsyncIterator[Make]:
    made: list[Source] = []

    def build(**fields: Any) -> Source:
        made.append(Source(**fields))
        return made[-1]

    yield build
    for one in made:
        await one.connector.close()


def message(n: int) -> bytes:
    return f"<27>1 2023-11-14T22:13:20.5Z web-1 shopd 7 - - order {n} lost".encode()


async def test_datagrams_bear_host_and_level_and_those_beyond_the_most_are_counted(make: Make) -> None:
    one = make(udp="127.0.0.1:0", most_waiting=1000)
    assert await one.pull() == []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        to = "127.0.0.1", one.connector.port("udp")
        out.sendto(message(1), to)
        out.sendto(b"no syslog at all", to)
        assert await one.gather(2) == [
            ("web-1", "ERROR shopd: order 1 lost"),
            ("127.0.0.1", "no syslog at all"),
        ]
        assert one.rates == {"syslog_received_per_second": 2.0, "syslog_dropped_per_second": 0.0}
        for n in range(1005):
            out.sendto(message(n), to)
            await asyncio.sleep(0)
        await eventually(lambda: one.connector._dropped == 5)
    assert len(await one.pull()) == 1000
    assert one.rates["syslog_dropped_per_second"] == 5.0


async def test_a_connection_is_held_back_and_loses_nothing_while_the_engine_is_behind(make: Make) -> None:
    one = make(tcp="127.0.0.1:0", most_waiting=1000)
    await one.pull()
    _, writer = await asyncio.open_connection("127.0.0.1", one.connector.port("tcp"))
    for n in range(20_000):
        text = message(n)
        writer.write(b"%d %s" % (len(text), text))
    sent = asyncio.create_task(writer.drain())
    found: list[str] = []
    while len(found) < 20_000:
        found += [line for _, line in await one.gather(1)]
    await sent
    writer.close()
    assert found == [f"ERROR shopd: order {n} lost" for n in range(20_000)]
    assert one.rates["syslog_dropped_per_second"] == 0.0


async def test_what_was_not_taken_is_given_again_in_its_order(make: Make) -> None:
    one = make(udp="127.0.0.1:0")
    await one.pull()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for n in range(3):
            out.sendto(message(n), ("127.0.0.1", one.connector.port("udp")))
    await eventually(lambda: len(one.connector._waiting) == 3)
    stream = one.connector.pull(NOW, NOW + 1)
    await anext(stream)
    await stream.aclose()
    assert [line[-6:] for _, line in await one.pull()] == ["0 lost", "1 lost", "2 lost"]


def certified(folder: Path) -> None:
    """An authority, and a certificate of it for 127.0.0.1."""

    def run(*argv: str) -> None:
        subprocess.run([OPENSSL, *argv], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run(
        "req",
        "-x509",
        *key,
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-days",
        "2",
        "-subj",
        "/CN=test authority",
    )
    run("req", *key, "-keyout", "end.key", "-out", "end.csr", "-subj", "/CN=127.0.0.1")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    run("x509", "-req", "-in", "end.csr", *signed, "-out", "end.pem")


async def speak(folder: Path, port: int, text: bytes, *more: str) -> int:
    """A real TLS client says `text` and goes; its exit code."""
    argv = [
        "s_client",
        "-connect",
        f"127.0.0.1:{port}",
        "-CAfile",
        "ca.pem",
        "-verify_return_error",
        "-quiet",
    ]
    pipe = asyncio.subprocess.PIPE
    client = await asyncio.create_subprocess_exec(
        OPENSSL, *argv, "-quiet", "-no_ign_eof", *more, cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe
    )
    await asyncio.wait_for(client.communicate(text), 20)
    return client.returncode or 0


@needs_openssl
async def test_a_real_tls_client_is_heard_and_one_without_the_asked_certificate_is_not(
    tmp_path: Path, make: Make
) -> None:
    certified(tmp_path)
    tls = {"certificate": tmp_path / "end.pem", "key": tmp_path / "end.key"}
    one = make(tcp="127.0.0.1:0", tls=tls)
    await one.pull()
    text = message(1)
    await speak(tmp_path, one.connector.port("tcp"), b"%d %s" % (len(text), text))
    assert await one.gather(1) == [("web-1", "ERROR shopd: order 1 lost")]

    strict = make(tcp="127.0.0.1:0", tls=tls | {"clients": tmp_path / "ca.pem"})
    await strict.pull()
    port = strict.connector.port("tcp")
    await speak(tmp_path, port, message(2) + b"\n")
    await speak(tmp_path, port, message(3) + b"\n", "-cert", "end.pem", "-key", "end.key")
    assert await strict.gather(1) == [("web-1", "ERROR shopd: order 3 lost")]
    # plain text where TLS is spoken is no message
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(message(4) + b"\n")
    await writer.drain()
    writer.close()
    assert await strict.pull() == []


@needs_openssl
async def test_a_certificate_that_cannot_be_read_says_so(tmp_path: Path, make: Make) -> None:
    one = make(tcp="127.0.0.1:0", tls={"certificate": tmp_path / "no.pem", "key": tmp_path / "no.key"})
    with pytest.raises(Fatal, match="TLS"):
        await one.pull()

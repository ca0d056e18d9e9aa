"""Faults of the network: names gone, servers that hang, callers that dribble, vanish, or send bombs."""

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cramjam
import psutil

from tests.bench.gen import varint
from tests.e2e.servers import until
from tests.fault_stand import Missing, Unsound, need_root, stand
from tests.metrics_page import MetricsPage

MANY = 300
GROWTH = 150_000_000
"""Bytes of memory that a hostile request may cost at most."""


@contextmanager
def silent_server() -> Iterator[int]:
    """Takes connections and never says a word; its port."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        over = threading.Event()

        def take() -> None:
            while not over.is_set():
                try:
                    held.append(server.accept()[0])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            over.set()
            thread.join()
            for one in held:
                one.close()


def source_hangs(folder: Path) -> str:
    """One source says nothing for ever: the others, and tickets, go on."""
    with silent_server() as port:
        hanging = {
            "kind": "prometheus",
            "name": "hanging",
            "url": f"http://127.0.0.1:{port}",
            "select": ["up"],
        }
        hanging |= {"every": "1s", "timeout": "2s"}
        with stand(folder, sources=[hanging]) as one:
            line = one.says(r"source hanging: .*(no answer|timed? ?out|within)", within=90)
            one.breach("meanwhile", within=60)
            one.all_told()
            one.answers_within(5)
            one.alive()
    return line


def dns_gone(folder: Path) -> str:
    """Names of a source and of the sink can no longer be looked up; then they can."""
    need_root()
    hosts, nowhere = folder / "hosts", folder / "resolv.conf"
    hosts.write_text("127.0.0.1 localhost source.test\n")
    nowhere.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    script = f'mount --bind {hosts} /etc/hosts && mount --bind {nowhere} /etc/resolv.conf && exec "$@"'
    prefix = ["unshare", "-m", "sh", "-c", script, "sh"]
    with MetricsPage() as page:
        page.say("up 1\n")
        port = page.url.rpartition(":")[2]
        named = {"kind": "scrape", "name": "named", "targets": [f"http://source.test:{port}/metrics"]}
        with stand(folder, prefix=prefix, sources=[named | {"every": "500ms", "timeout": "2s"}]) as one:
            seen = len(page.seen)
            until(lambda: len(page.seen) > seen + 1, 20, "the source to be asked")
            one.from_here()
            _say(hosts, "127.0.0.1 localhost\n")
            line = one.says(
                r"source\.test.*(name|resolution|known)|(name|resolution|known).*source", within=60
            )
            one.breach("meanwhile", within=60)
            one.all_told()
            _say(hosts, "127.0.0.1 localhost source.test\n")
            seen = len(page.seen)
            until(lambda: len(page.seen) > seen, 60, "the source to be asked again")
            one.alive()
    return line


def _say(path: Path, text: str) -> None:
    """In place: a bind mount is of the file, not of its name."""
    with path.open("r+") as file:
        file.write(text)
        file.truncate()


def slow_loris(folder: Path) -> str:
    """Callers that send a byte now and then, for ever, hold up nobody and are hung up on."""
    with stand(folder) as one:
        callers = [socket.create_connection(("127.0.0.1", one.forewarn.port)) for _ in range(MANY)]
        try:
            for caller in callers:
                caller.sendall(b"GET /api/v1/problems HTTP/1.1\r\nHost: 127.0.0.1\r\nX-")
            started = time.monotonic()
            one.answers_within(5)
            one.breach("meanwhile", within=60)
            one.all_told()
            while left := [caller for caller in callers if not _hung_up(caller)]:
                if time.monotonic() > started + 40:
                    raise Unsound(f"{len(left)} of {MANY} are still held")
                _dribble(left)
                time.sleep(1)
            took = time.monotonic() - started
            one.answers_within(5)
        finally:
            for caller in callers:
                caller.close()
        one.alive()
    return f"all {MANY} were hung up on within {took:.0f} s"


def _dribble(callers: list[socket.socket]) -> None:
    for caller in callers:
        try:
            caller.sendall(b"a")
        except OSError:
            continue


def _hung_up(caller: socket.socket) -> bool:
    caller.setblocking(False)
    try:
        return caller.recv(4096) is not None
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        caller.setblocking(True)


def half_open(folder: Path) -> str:
    """Callers that vanish in the middle of what they say, without a goodbye, and idle ones."""
    with stand(folder) as one:
        head = b"POST /receive/push/api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
        callers = []
        for number in range(MANY):
            caller = socket.create_connection(("127.0.0.1", one.forewarn.port))
            caller.sendall(head + b"part" if number % 2 else b"")
            callers.append(caller)
        process = one.process
        try:
            before = _connected(process)
            one.breach("meanwhile", within=60)
            one.all_told()
            one.answers_within(5)
            started = time.monotonic()
            while (left := _connected(process)) > 20:
                if time.monotonic() > started + 90:
                    raise Unsound(f"{left} of {before} connections are still held")
                time.sleep(1)
            took = time.monotonic() - started
        finally:
            for caller in callers:
                caller.close()
        one.alive()
    return f"{before} connections came down to {left} within {took:.0f} s"


def _connected(process: psutil.Process) -> int:
    return sum(1 for one in process.net_connections("tcp") if one.status == psutil.CONN_ESTABLISHED)


def huge_body(folder: Path) -> str:
    """100 MB to a receiver and to the API: refused, and not kept in memory."""
    with stand(folder) as one:
        one.breach("before", within=60)
        before = one.process.memory_info().rss
        body = b"\0" * 100_000_000
        pushed = one.push(body)
        asked = one.push(body, "/api/v1/config/check", **{"Content-Type": "application/json"})
        signed_in = one.push(body, "/login", **{"Content-Type": "application/x-www-form-urlencoded"})
        grown = one.process.memory_info().rss - before
        if grown > GROWTH or pushed not in (0, 413) or asked in (200, 204, 500):
            raise Unsound(f"{pushed}, {asked}, {signed_in}; memory grew by {grown / 1e6:.0f} MB")
        one.breach("after", within=60)
        one.all_told()
        one.alive()
    return f"answered {pushed}, {asked}, {signed_in}; memory grew by {max(0, grown) / 1e6:.0f} MB"


def zip_bomb(folder: Path) -> str:
    """A few bytes that unpack to gigabytes, by snappy and by gzip."""
    otlp = {"kind": "otlp", "name": "otlp"}
    with stand(folder, sources=[otlp]) as one:
        one.breach("before", within=60)
        before = one.process.memory_info().rss
        zeros = bytes(cramjam.snappy.compress_raw(b"\0" * 500_000_000))
        lying = varint(4_000_000_000) + zeros[5:10_000]
        packed = gzip.compress(b"\0" * 2_000_000_000, 1)
        kind = {"Content-Type": "application/x-protobuf"}
        said = [
            one.push(zeros),
            one.push(lying),
            one.push(packed, "/receive/otlp/v1/metrics", **{"Content-Encoding": "gzip", **kind}),
        ]
        grown = one.process.memory_info().rss - before
        if grown > GROWTH or any(status not in (400, 413) for status in said):
            raise Unsound(f"{said}; memory grew by {grown / 1e6:.0f} MB")
        one.breach("after", within=60)
        one.all_told()
        one.alive()
    return f"answered {said}; memory grew by {max(0, grown) / 1e6:.0f} MB"


__all__ = ["Missing", "dns_gone", "half_open", "huge_body", "slow_loris", "source_hangs", "zip_bomb"]

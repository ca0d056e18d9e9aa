"""Where sinks and the action `http` may connect to: every known way around it is closed."""

import socket
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_address
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from aiops.plugin import Fatal, Message, NotConnected, Sink, egress
from aiops.plugin.egress import Egress, innermost, opening
from aiops.plugin.load import load
from tests.receiver import SECRET, Receiver

PUBLIC_ONLY = Egress(allow=["public"])


@pytest.fixture(autouse=True)
def _ruling() -> Iterator[None]:
    before = egress.ruling()
    yield
    egress.rule(before)


@pytest.fixture
async def inside() -> AsyncIterator[Receiver]:
    """A server on the loopback that nobody may reach."""
    async with Receiver(answer=lambda _r: (200, {}, b'{"ref": "T-1"}'), signed=False).serve() as server:
        yield server


def a_sink(url: str, monkeypatch: pytest.MonkeyPatch) -> Sink:
    monkeypatch.setenv("ITSM_SECRET", SECRET)
    block = {"name": "itsm", "url": url, "secret": {"env": "ITSM_SECRET"}, "timeout": 3}
    return load("connectors", "webhook", Sink).model_validate(block)  # type: ignore[type-abstract]


async def create(sink: Sink) -> object:
    message = Message("m-1", "fw-1", "opened", 1.0, {"title": "x"}, sent_at=1_767_225_600.0)
    try:
        return await sink.create(message)
    finally:
        await sink.close()


BYPASSES = [
    "http://127.0.0.1:{port}/",
    "http://localhost:{port}/",
    "http://[::1]:{port}/",
    "http://0.0.0.0:{port}/",
    "http://127.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://leads.inside.example:{port}/",
    "http://127.0.0.1.:{port}/",
]
"""Ways to write an address of the inside; the last but one is a name that leads there."""


def _leads_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return real("127.0.0.1" if name == "leads.inside.example" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.parametrize("form", BYPASSES)
async def test_no_form_of_an_inner_address_gets_out_where_only_the_public_is_allowed(
    form: str, inside: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    _leads_inside(monkeypatch)
    egress.rule(PUBLIC_ONLY)
    with pytest.raises((Fatal, NotConnected, ValidationError)) as caught:
        await create(a_sink(form.format(port=inside.port), monkeypatch))
    assert inside.requests == [], "not a byte of HTTP was sent"
    if isinstance(caught.value, Fatal):
        assert "egress: {allow: ...}" in str(caught.value)


@pytest.mark.parametrize("form", BYPASSES)
async def test_without_a_list_only_the_loopbacks_own_names_lead_there(
    form: str, inside: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    _leads_inside(monkeypatch)
    own_name = any(f"//{name}:" in form for name in ("127.0.0.1", "localhost"))
    if own_name:
        await create(a_sink(form.format(port=inside.port), monkeypatch))
        assert len(inside.requests) == 1
        return
    with pytest.raises((Fatal, NotConnected, ValidationError)):
        await create(a_sink(form.format(port=inside.port), monkeypatch))
    assert inside.requests == []


async def test_what_is_listed_is_reached_on_its_port_alone(
    inside: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    egress.rule(Egress(allow=[f"127.0.0.0/8:{inside.port}", "public:443"]))
    assert await create(a_sink(inside.url, monkeypatch))
    egress.rule(Egress(allow=[f"127.0.0.0/8:{inside.port + 1}"]))
    with pytest.raises(Fatal, match=rf"not among `egress: .*add 127\.0\.0\.1:{inside.port} there"):
        await create(a_sink(inside.url, monkeypatch))
    assert len(inside.requests) == 1


async def test_a_redirect_is_not_followed_to_anywhere(
    inside: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = {"location": "http://169.254.169.254/latest/meta-data"}
    async with Receiver(answer=lambda _r: (302, target, b""), signed=False).serve() as outside:
        with pytest.raises(Fatal, match="redirect, which is not followed"):
            await create(a_sink(outside.url, monkeypatch))
        assert len(outside.requests) == 1
        # were a client ever told to follow, each hop is judged anew
        async with egress.guarded(httpx.AsyncClient(follow_redirects=True, trust_env=False)) as client:
            with pytest.raises(Fatal, match=r"169\.254\.169\.254 is closed: link-local"):
                await client.get(outside.url)


async def test_a_name_that_leads_elsewhere_the_second_time(
    inside: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: allowed when judged, inner when connected to. Both are the same look here."""
    egress.rule(Egress(allow=["192.0.2.0/24"]))
    _leads_inside(monkeypatch)
    with pytest.raises(Fatal, match=r"leads\.inside\.example \(127\.0\.0\.1\) port \d+ is not among"):
        await create(a_sink(f"http://leads.inside.example:{inside.port}/", monkeypatch))
    assert inside.requests == []


@pytest.mark.parametrize(
    ("address", "inner"),
    [
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("64:ff9b::a9fe:a9fe", "169.254.169.254"),
        ("2002:7f00:1::", "127.0.0.1"),
        ("::7f00:1", "127.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::1", "::1"),
    ],
)
def test_an_address_in_an_address_is_judged_as_whom_it_reaches(address: str, inner: str) -> None:
    assert innermost(ip_address(address)) == ip_address(inner)


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "fe80::1", "224.0.0.1"]
)
def test_where_clouds_hand_out_credentials_is_closed_unless_listed(address: str) -> None:
    at = ip_address(address)
    assert "is closed" in Egress().refusal("metadata.example", at, 80)
    listed = f"[{address}]:80" if at.version == 6 else f"{address}:80"
    assert Egress(allow=[listed]).refusal("metadata.example", at, 80) == ""
    assert PUBLIC_ONLY.refusal("metadata.example", at, 80)


def test_an_itsm_of_the_intranet_is_reached_without_a_list() -> None:
    assert Egress().refusal("itsm.internal", ip_address("10.1.2.3"), 443) == ""


@pytest.mark.parametrize("text", ["10.0.0.0/33", "itsm.internal:443", "10.0.0.0/8:0", "10.0.0.1:99-9", ""])
def test_what_is_no_network_is_refused_when_read(text: str) -> None:
    with pytest.raises(ValidationError):
        Egress(allow=[text])


def test_ports_and_networks_are_read() -> None:
    assert opening("[fd00::/8]:443-444").lets(ip_address("fd00::1"), 444)
    assert not opening("[fd00::/8]:443-444").lets(ip_address("fd00::1"), 445)
    assert opening("192.0.2.7").lets(ip_address("192.0.2.7"), 1)


async def test_a_proxy_of_the_environment_is_used_and_guards_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with Receiver(answer=lambda _r: (200, {}, b'{"ref": "T-1"}'), signed=False).serve() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        await create(a_sink("http://itsm.example/hooks", monkeypatch))
        with pytest.raises(Fatal, match="is closed: link-local"):
            await create(a_sink("http://169.254.169.254/hooks", monkeypatch))
    assert [r.line for r in proxy.requests] == ["POST http://itsm.example/hooks HTTP/1.1"]


async def test_the_action_http_is_held_to_it_too(inside: Receiver) -> None:
    from aiops.plugin import Action

    url = f"http://127.0.0.1:{inside.port}/"
    egress.rule(PUBLIC_ONLY)
    action = load("playbooks.actions", "http", Action).model_validate({"url": url})  # type: ignore[type-abstract]
    with pytest.raises(Fatal, match=r"egress: \{allow"):
        await action.run("1:step")
    assert inside.requests == []

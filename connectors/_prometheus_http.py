"""One request to a Prometheus HTTP API, with every failure classified."""

import ssl
from collections.abc import Generator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
from pydantic import Field

from aiops.plugin import Fatal, NotConnected, Plugin, Retryable, Secret
from aiops.wire.query_json import error_text

_LONG = 1500
"""Longer queries go as POST: servers and proxies cut URLs from about 2 KiB on; short ones stay cacheable."""
_HOPS = 3
_MOST_READ = 512 << 20
_THIS_ONE = frozenset((400, 413, 414, 422))
_LATER = frozenset((408, 425, 429, 500, 502, 503, 504))


class Refused(Fatal):
    """The server does not answer this query; others it may."""


class Basic(Plugin):
    """User name and password."""

    username: str = Field(description="The user name.")
    password: Secret = Field(description="Where the password is.")


class Tls(Plugin):
    """How the server proves itself, and we to it."""

    ca: Path | None = Field(None, description="File of CA certificates; the system's own when left out.")
    cert: Path | None = Field(None, description="File of our certificate.")
    key: Path | None = Field(None, description="File of our certificate's key.")
    verify: bool = Field(True, description="False accepts any server: only for a test.")

    def context(self) -> ssl.SSLContext:
        """Raises `Fatal` that names the file at fault."""
        try:
            context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
            if self.cert:
                context.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as why:
            names = ", ".join(str(p) for p in (self.ca, self.cert, self.key) if p)
            raise Fatal(f"TLS files {names}: {why}") from why
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class Bearer(httpx.Auth):
    """A bearer token in the Authorization header."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self._header
        yield request


def login(source: str, basic: Basic | None, bearer: Secret | None) -> httpx.Auth | None:
    """Whichever of the two there is; the secret is read anew each time. Raises `Fatal`."""
    try:
        if bearer:
            return Bearer(bearer.read().get_secret_value())
        if basic:
            return httpx.BasicAuth(basic.username, basic.password.read().get_secret_value())
    except ValueError as why:
        raise Fatal(f"source {source!r}: {why}") from why
    return None


async def ask(
    client: httpx.AsyncClient, url: str, form: Mapping[str, str], auth: httpx.Auth | None, most: int
) -> bytes:
    """The body of a 200. Raises `NotConnected`, `Retryable` or `Fatal`; never goes to another host."""
    post = len(form["query"]) > _LONG
    target = httpx.URL(url)
    for _ in range(_HOPS):
        request = (
            client.build_request("POST", target, data=dict(form))
            if post
            else client.build_request("GET", target.copy_merge_params(dict(form)))
        )
        try:
            response = await client.send(request, auth=auth, stream=True)
            try:
                body = await _body(response, most)
            finally:
                await response.aclose()
        except httpx.HTTPError as why:
            raise _unreachable(url, why) from why
        if not response.has_redirect_location:
            return _checked(url, response, body)
        target = _same_host(target, target.join(response.headers["location"]))
    raise Fatal(f"{url} redirects more than {_HOPS} times")


async def read(
    client: httpx.AsyncClient, url: str, body: bytes, auth: httpx.Auth | None
) -> tuple[bytes, str]:
    """The answer to a request of remote read, and its content type. Raises as `ask`."""
    headers = {
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": "snappy",
        "X-Prometheus-Remote-Read-Version": "0.1.0",
    }
    try:
        async with client.stream("POST", url, content=body, headers=headers, auth=auth) as response:
            found = await _body(response, _MOST_READ)
    except httpx.HTTPError as why:
        raise _unreachable(url, why) from why
    return _checked(url, response, found), response.headers.get("content-type", "")


async def _body(response: httpx.Response, most: int) -> bytes:
    parts, size = [], 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > most:
            raise Refused(
                f"{response.url.host} answered more than {most >> 20} MiB; select less, or lower max_points"
            )
        parts.append(part)
    return b"".join(parts)


def _same_host(asked: httpx.URL, target: httpx.URL) -> httpx.URL:
    """The redirect's target without its query. Credentials and queries are not carried elsewhere."""
    upgraded = (asked.scheme, target.scheme) == ("http", "https")
    if target.host != asked.host or not (
        upgraded or (target.scheme, target.port) == (asked.scheme, asked.port)
    ):
        raise Fatal(
            f"{asked.host} redirects to {target.scheme}://{target.netloc.decode()}; set url to where it is"
        )
    return target.copy_with(query=None)


def _unreachable(url: str, why: httpx.HTTPError) -> Retryable | Fatal:
    cause: BaseException | None = why
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Fatal(f"{url}: the server's certificate is not trusted: {cause.verify_message}")
        cause = cause.__cause__ or cause.__context__
    words = str(why) or type(why).__name__
    if isinstance(why, httpx.ReadTimeout | httpx.PoolTimeout):
        return Retryable(f"{url} did not answer in time ({words})")
    if isinstance(why, httpx.TransportError):
        return NotConnected(f"{url}: {words}")
    return Fatal(f"{url}: {words}")


def _checked(url: str, response: httpx.Response, body: bytes) -> bytes:
    status = response.status_code
    if status == 200:
        return body
    words = error_text(body) or body[:200].decode(errors="replace").strip() or response.reason_phrase
    if status in _LATER or status >= 500:
        raise Retryable(f"{url} answered {status}: {words}", after=_after(response))
    hint = {
        401: "; check the credentials",
        403: "; check the credentials",
        404: "; is url the server's root, without /api/v1?",
    }.get(status, "")
    kind = Refused if status in _THIS_ONE else Fatal
    raise kind(f"{url} answered {status}: {words}{hint}")


def _after(response: httpx.Response) -> float | None:
    """Retry-After in seconds; a date is taken against the answer's own Date, so no clock is read."""
    text = response.headers.get("retry-after", "")
    if text.isdigit():
        return float(text)
    try:
        then = parsedate_to_datetime(text)
        return max(0.0, (then - parsedate_to_datetime(response.headers["date"])).total_seconds())
    except (TypeError, ValueError, KeyError):
        return None

"""One page of metrics over HTTP; whatever goes wrong is said in words, as the target is then down."""

import asyncio
from dataclasses import dataclass

import httpx

from aiops.wire import WireError
from aiops.wire.unzip import unzip

_ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1"
)
_FORMS = {"application/openmetrics-text": True, "text/plain": False, "": False}


@dataclass(frozen=True, slots=True)
class Got:
    """An answer that was read whole."""

    body: bytes
    open_metrics: bool
    seconds: float


async def fetch(
    client: httpx.AsyncClient,
    auth: httpx.Auth | None,
    url: str,
    turn: asyncio.Semaphore,
    patience: float,
    most: int,
) -> Got | str:
    """The page, or why there is none. `patience`: seconds for all of it; `most`: its bytes, packed or not."""
    try:
        async with turn, asyncio.timeout(patience):
            return await _read(client, auth, url, patience, most)
    except TimeoutError:
        return f"no whole answer within {patience:g} s"
    except (httpx.HTTPError, httpx.InvalidURL, WireError) as why:
        return str(why) or type(why).__name__


async def _read(
    client: httpx.AsyncClient, auth: httpx.Auth | None, url: str, patience: float, most: int
) -> Got | str:
    headers = {"Accept": _ACCEPT, "X-Prometheus-Scrape-Timeout-Seconds": f"{patience:g}"}
    request = client.build_request("GET", url, headers=headers)
    answer = await client.send(request, auth=auth, stream=True, follow_redirects=True)
    parts, size = [], 0
    try:
        async for part in answer.aiter_raw():
            size += len(part)
            if size > most:
                return f"the page has more than {most} bytes (max_body)"
            parts.append(part)
    finally:
        await answer.aclose()
    if answer.status_code != 200:
        return f"answered {answer.status_code}"
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    coding = answer.headers.get("content-encoding", "").lower()
    if kind not in _FORMS:
        return f"answered {kind!r}, which is neither text/plain nor application/openmetrics-text"
    if coding not in ("gzip", "identity", ""):
        return f"answered packed by {coding!r}, which was not asked for"
    body = b"".join(parts)
    body = unzip(body, most) if coding == "gzip" else body
    return Got(body, _FORMS[kind], answer.elapsed.total_seconds())

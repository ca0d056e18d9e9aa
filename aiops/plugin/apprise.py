"""One notice through the library Apprise, to a host that `egress` allows. Blocking: call it on a thread.

Import it as ``from aiops.plugin.apprise import notify``; the library is the extra ``apprise``.
"""

import logging
import socket
from typing import Any

from aiops.plugin.egress import first_allowed, proxy_for
from aiops.plugin.errors import Fatal
from aiops.plugin.extras import needed


def notify(address: str, title: str, body: str, level: str) -> tuple[bool, str]:
    """Whether it was sent, and what Apprise said to that.

    `level`: info, success, warning or failure. Raises `Fatal` for an address that Apprise cannot use, or that
    `egress` does not allow.
    """
    apprise = needed("apprise", "apprise")
    service = apprise.Apprise.instantiate(address)
    if service is None:
        raise Fatal("Apprise knows no service of that address: see https://appriseit.com/services")
    _judge(service)
    with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as told:
        sent = service.notify(title=title, body=body, notify_type=level)
        said = " ".join(told.getvalue().split())
    return bool(sent), said


def _judge(service: Any) -> None:
    """Apprise connects by itself: where a service names its host, that host is judged before."""
    host = getattr(service, "host", None)
    secure = bool(getattr(service, "secure", False))
    port = int(getattr(service, "port", None) or (443 if secure else 80))
    if not isinstance(host, str) or not host or proxy_for(f"{'https' if secure else 'http'}://{host}:{port}"):
        return
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return  # some services have something other than a host there
    first_allowed(host, port, found)

"""A supervised nginx that is probed once a second: the world of most scenarios."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.chaos.playbook import library
from tests.e2e.chaos.world import World, world
from tests.e2e.servers import blackbox_exporter, probe_job
from tests.e2e.supervised import SupervisedNginx, starts

PROBE = 'probe_success{service="nginx"}'
SLI = {"name": "web answers", "of": {"match": PROBE}, "breach": {"below": 1}, "labels": {"service": "nginx"}}


class Web:
    """nginx and who watches it."""

    def __init__(self, nginx: SupervisedNginx, here: World) -> None:
        self.nginx, self.here = nginx, here
        self._began_with = starts(nginx.folder, "nginx")

    @property
    def restarts(self) -> int:
        """How often nginx was started since this world began."""
        return starts(self.nginx.folder, "nginx") - self._began_with


def restart_service(nginx: SupervisedNginx, **top: Any) -> Path:
    """The library's playbook for this nginx."""
    return library(nginx.folder, "restart-service", supervisor=nginx.server, **top)


@contextmanager
def web(
    folder: Path, playbook: Callable[[SupervisedNginx], Path] = restart_service, **config: Any
) -> Iterator[Web]:
    """Running, with a first good probe. `config`: keys of Forewarn's own."""
    with SupervisedNginx(folder) as nginx, blackbox_exporter(folder) as blackbox:
        jobs: Sequence[dict[str, Any]] = [
            probe_job("web", blackbox, nginx.url, labels={"service": "nginx"}),
        ]
        with world(folder, jobs, [PROBE], [playbook(nginx)], **{"slis": [SLI], **config}) as here:
            yield Web(nginx, here)

"""A bad configuration brings nginx down: ``nginx -t`` finds it, and the last good one is put back."""

import shutil
from contextlib import suppress
from pathlib import Path

from tests.e2e.chaos.playbook import library
from tests.e2e.chaos.report import Report, report
from tests.e2e.chaos.web import Web, web
from tests.e2e.servers import need
from tests.e2e.supervised import SupervisedNginx, ctl

BAD = "http { server { listen nonsense; } "


def playbook(nginx: SupervisedNginx) -> Path:
    """The library's, with the paths of this nginx, and of who tests it."""
    folder = nginx.folder
    program = folder / "nginx-here"
    log = folder / "error.log"
    program.write_text(f'#!/bin/sh\nexec {need("nginx")} -c {folder}/nginx.conf -e {log} "$@"\n')
    program.chmod(0o755)
    shutil.copy(folder / "nginx.conf", folder / "nginx.conf.good")
    words = {"/etc/nginx/": f"{folder}/"}
    return library(folder, "reload-nginx", words, nginx.server, {"nginx": str(program)})


def run(folder: Path) -> Report:
    with web(folder, playbook) as site:
        here = site.here
        good = (folder / "nginx.conf").read_text()
        here.strike(lambda: rolls_out_nonsense(site))
        here.reaches("resolved")
        here.told("resolved")
        problem = here.one_of_each()
        (only,) = problem["runs"]
        assert only["state"] == "succeeded"
        assert (folder / "nginx.conf").read_text() == good
        assert (folder / "nginx.conf.broken").read_text() == BAD
        assert site.nginx.answers()
        restarts = site.restarts - 1  # the one with the bad file
        assert restarts == 1, restarts
        return report(here, problem, {"restarts": restarts})


def rolls_out_nonsense(site: Web) -> None:
    """What a person does: a new file, and a restart."""
    (site.nginx.folder / "nginx.conf").write_text(BAD)
    site.nginx.kill()
    with suppress(RuntimeError):
        ctl(site.nginx.folder, "start", "nginx")

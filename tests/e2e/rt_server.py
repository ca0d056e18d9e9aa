"""A real Request Tracker 5 on SQLite, on a free loopback port, with a queue for us."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.database import free_port
from tests.e2e.servers import Server, need

QUEUE = "Forewarn"
FIELD = "ForewarnKey"
USER = "forewarn"
ROOT = ("root", "password")
"""RT's first user: the person in these tests."""

LIBRARY = "/usr/share/request-tracker5"
RIGHTS = (
    "SeeQueue ShowTicket ShowTicketComments CreateTicket CommentOnTicket ModifyTicket "
    "SeeCustomField ModifyCustomField SetInitialCustomField"
)
TOKEN = f"""use lib '{LIBRARY}/lib'; use RT -init; use RT::AuthToken;
my $u = RT::User->new(RT->SystemUser); $u->Load('{USER}');
my $made = RT::AuthToken->new(RT->SystemUser);
my ($ok, $said, $token) = $made->Create(Owner => $u->id, Description => 'engine');
die $said unless $ok; print "$token\\n";
"""


class RequestTracker(Server):
    """`url` is the web address, `token` the token of the user `forewarn`."""

    token: str = ""

    @property
    def api(self) -> str:
        return f"{self.url}/REST/2.0"


class Person:
    """RT's REST as somebody uses it; by default its first user."""

    def __init__(self, rt: RequestTracker) -> None:
        self._client = httpx.Client(base_url=rt.api, auth=ROOT, timeout=30, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def get(self, path: str, **query: str) -> Any:
        return self._client.get(path, params=query).raise_for_status().json()

    def ticket(self, ref: str) -> dict[str, Any]:
        return dict(self.get(f"/ticket/{ref}"))

    def set(self, ref: str, **fields: str) -> None:
        self._client.put(f"/ticket/{ref}", json=fields).raise_for_status()

    def say(self, ref: str, text: str, how: str = "correspond") -> None:
        """`correspond` opens a closed ticket again, `comment` does not."""
        said = {"Content": text, "ContentType": "text/plain"}
        self._client.post(f"/ticket/{ref}/{how}", json=said).raise_for_status()

    def tickets(self, query: str = "id > 0") -> list[dict[str, Any]]:
        """Of all that match, ``{id, Status, CustomFields}``."""
        found: list[dict[str, Any]] = []
        page = 0
        while page * 100 == len(found):
            page += 1
            asked = {"query": query, "fields": "Status,CustomFields", "orderby": "id", "page": str(page)}
            found += self.get("/tickets", **asked, per_page="100")["items"]
        return found

    def marks(self, ref: str) -> list[str]:
        """The marks of the comments on a ticket, in their order."""
        rows = self.get(f"/ticket/{ref}/history", fields="Type,Data", per_page="100")["items"]
        said = [row["Data"] for row in rows if row["Type"] == "Comment"]
        return [text.split("]")[0] + "]" for text in said if text.startswith("[")]


@contextmanager
def request_tracker(
    folder: Path, hook: str = "", secret: str = "", workers: int = 2
) -> Iterator[RequestTracker]:
    """Running, with its first data; where `hook` is given, RT posts what people do there, signed.

    Setting up takes 10 s of processor time. Skips where RT is not installed.
    """
    setup, plackup = need("rt-setup-database-5"), need("plackup")
    port = free_port()
    config = folder / "RT_SiteConfig.pm"
    config.write_text(_config(folder, port))
    (folder / "conf.d").mkdir(exist_ok=True)
    (folder / "initialdata").write_text(_first_data(hook, secret))
    here = {"RT_SITE_CONFIG": str(config), "RT_SITE_CONFIG_DIR": str(folder / "conf.d")}
    for step in (["init", "--skip-create"], ["insert", "--datafile", str(folder / "initialdata")]):
        _run([setup, "--action", *step], here)
    told = _run(["perl", "-e", TOKEN], here)
    token = re.search(r"^\S+$", told, re.M)
    assert token, told
    flags = [
        "-s",
        "Starman",
        "--host",
        "127.0.0.1",
        "--port",
        port,
        "--workers",
        workers,
        "--max-requests",
        100_000,
    ]
    argv = ["env", *(f"{k}={v}" for k, v in here.items()), plackup, *flags, f"{LIBRARY}/libexec/rt-server"]
    server = RequestTracker("rt", argv, folder, port)
    server.token = token[0]
    with server:
        yield server


def _run(argv: list[str], here: dict[str, str]) -> str:
    done = subprocess.run(argv, env={**os.environ, **here}, capture_output=True, text=True, timeout=180)
    if done.returncode:
        raise RuntimeError(f"{argv[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def _config(folder: Path, port: int) -> str:
    return f"""Set($rtname, 'test'); Set($Organization, 'test.invalid'); Set($Timezone, 'UTC');
Set($WebDomain, '127.0.0.1'); Set($WebPort, {port}); Set($WebPath, '');
Set($DatabaseType, 'SQLite'); Set($DatabaseName, '{folder}/rt.sqlite');
Set($MailCommand, 'testfile'); Set($LogToSyslog, undef); Set($LogToSTDERR, 'error');
Set($WebSecureCookies, 0);
1;
"""


def _first_data(hook: str, secret: str) -> str:
    scrip = hooked(hook, secret) if hook else ""
    return f"""our @Queues = ({{ Name => '{QUEUE}' }});
our @CustomFields = ({{ Name => '{FIELD}', Type => 'FreeformSingle', Queue => '{QUEUE}' }});
our @Users = ({{ Name => '{USER}', Password => 'not-used-here-1', Privileged => 1 }});
our @ACL = (map {{ {{ UserId => '{USER}', Queue => '{QUEUE}', Right => $_ }} }} qw({RIGHTS}));
{scrip}
1;
"""


def hooked(hook: str, secret: str) -> str:
    """The scrip of docs/tickets.md, for this address and secret."""
    page = (Path(__file__).parents[2] / "docs/tickets.md").read_text("utf-8")
    found = re.search(r"```perl\n(.*?)```", page, re.S)
    assert found, "docs/tickets.md shows the scrip"
    code = (
        found[1].replace("https://forewarn.example/api/v1/inbound/rt", hook).replace("whsec_SECRET", secret)
    )
    fields = "ScripCondition => 'On Transaction', ScripAction => 'User Defined', Template => 'Blank'"
    return (
        f"our @Scrips = ({{ Description => 'tell Forewarn', Queue => '{QUEUE}', {fields}, "
        f"CustomPrepareCode => 'return 1;', CustomCommitCode => <<'CODE' }});\n{code}CODE\n"
    )

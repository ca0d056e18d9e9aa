"""What a user may write about API, console and who may come in."""

import ipaddress
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from aiops.config.blocks import Block
from aiops.model.role import Role
from aiops.plugin import Secret

EVERY = "*"
Team = Annotated[str, StringConstraints(pattern=r"^(\*|[^\s*]{1,100})$")]


class Oidc(Block):
    """Signing in through OpenID Connect (authorization code with PKCE)."""

    issuer: str = Field(description="The provider; `/.well-known/openid-configuration` is read below it.")
    client_id: str = Field(description="As registered at the provider.")
    secret: Secret | None = Field(None, description="The client's secret; none for a public client.")
    name: str = Field("single sign-on", description="What the button says after `Sign in with`.")
    scopes: list[str] = Field(["openid", "profile", "email", "groups"], description="What is asked for.")
    claim: str = Field("groups", description="The claim that names somebody's groups.")
    roles: dict[str, Role] = Field({}, description="Group to role; of several the highest counts.")
    others: Role | None = Field(None, description="Role of those in no such group; they are refused without.")
    teams: dict[str, list[Team]] = Field(
        {},
        description="Group to the teams whose problems its people see and act on, `*` for all of them; of "
        "several groups all count, and who is in none of them is refused. Left out: an admin gives teams by "
        "hand.",
    )

    @field_validator("teams")
    @classmethod
    def _some(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        for group, teams in value.items():
            if not teams:  # kept as it is, no team would be every team
                raise ValueError(f"group {group!r} gives no team: name some, or `*` for all of them")
        return value

    @field_validator("issuer")
    @classmethod
    def _address(cls, value: str) -> str:
        parts = urlsplit(value)
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if not parts.hostname or (parts.scheme != "https" and not (local and parts.scheme == "http")):
            raise ValueError("expected an https:// address (http:// only on this machine)")
        return value.rstrip("/")

    def role_of(self, groups: list[str]) -> Role | None:
        """The highest role that any of the groups gives; None: not let in."""
        given = [self.roles[group] for group in groups if group in self.roles]
        return max(given, key=lambda role: role.level) if given else self.others

    def teams_of(self, groups: list[str]) -> frozenset[str] | None:
        """What the groups give, none being all of them; None: they are in no group that gives any."""
        given = [self.teams[group] for group in groups if group in self.teams]
        if not given:
            return None
        found = frozenset(team for teams in given for team in teams)
        return frozenset() if EVERY in found else found


class Certificate(Block):
    """Our own certificate, for TLS without a proxy in front."""

    cert: Path = Field(description="PEM file of the certificate, and of those between it and the authority.")
    key: Path = Field(description="PEM file of its key.")
    clients: Path | None = Field(
        None, description="PEM file of the authority of clients: only who shows its certificate gets in."
    )


class Web(Block):
    """API and console."""

    listen: str = Field("127.0.0.1:8750", description="Address and port.")
    url: str = Field(
        "", description="Where people reach it through a proxy, such as `https://forewarn.corp`."
    )
    advertise: str = Field(
        "",
        description="Where other engines on the same PostgreSQL reach this one, such as "
        "`http://10.0.0.7:8750`; left out: what it listens on, or the address of its host's name.",
    )
    login: bool = Field(False, description="Reading needs a login too where only this machine can reach it.")
    oidc: Oidc | None = Field(None, description="Signing in through OpenID Connect.")
    hosts: list[str] = Field(
        [], description="More names under which it answers, such as a service's in a cluster."
    )
    tls: Certificate | None = Field(None, description="Serve HTTPS with this certificate.")
    token: Secret | None = Field(
        None, description="A first token that is given, not made: its role is admin, and it is never printed."
    )

    @field_validator("listen")
    @classmethod
    def _listen(cls, value: str) -> str:
        host, colon, port = value.rpartition(":")
        if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
            raise ValueError("expected an address and a port, such as 127.0.0.1:8750")
        return value

    @field_validator("url", "advertise")
    @classmethod
    def _url(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and not (parts.scheme in ("http", "https") and parts.hostname and parts.path in ("", "/")):
            raise ValueError("expected http:// or https:// and a host, without a path")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _no_one_left_out(self) -> "Web":
        if self.oidc and not self.oidc.roles and self.oidc.others is None:
            raise ValueError("oidc lets nobody in: give roles, or a role for others")
        return self

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]") or "127.0.0.1"

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])

    @property
    def address(self) -> str:
        """Where people reach it: what is declared, else where it listens."""
        return self.url or f"{'https' if self.tls else 'http'}://{self.listen}"

    @property
    def open(self) -> bool:
        """Whether reading needs no login: only this machine reaches the port, and no proxy is declared."""
        return is_loopback(self.host) and not self.url and not self.login


def is_loopback(host: str) -> bool:
    """Whether an address to bind to is reached from this machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""What a user may write about keeping Forewarn itself running."""

from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from aiops.config.blocks import Block
from aiops.plugin import Duration, Secret


class Watchdog(Block):
    """Somebody who is told again and again that all is well, and raises the alarm when that stops.

    Such as healthchecks.io, Dead Man's Snitch, or an Alertmanager's own dead man's switch.
    """

    url: str = Field("", description="Address that is asked, where it is no secret.")
    address: Secret | None = Field(None, description="Where the address is: most of them are secrets.")
    every: Duration = Field(60.0, gt=0, description="How often.")

    @model_validator(mode="after")
    def _one_address(self) -> "Watchdog":
        if bool(self.url) == (self.address is not None):
            raise ValueError("give either url or address")
        parts = urlsplit(self.url)
        if self.url and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("expected an address such as https://hc.example/ping")
        return self


class Traces(Block):
    """Where traces of the path go: any collector that takes OTLP over HTTP. Needs `forewarn[otel]`."""

    endpoint: str = Field(
        description="Address of the collector; without a path `/v1/traces` is meant, as in "
        "http://collector:4318."
    )
    headers: dict[str, Secret] = Field({}, description="Headers to send, such as `authorization`.")
    ca: Path | None = Field(
        None, description="PEM file of the authority that signed the collector's certificate."
    )
    sample: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Share of pulls and of pushed requests of which a trace is told; of problems all are.",
    )
    service: str = Field("forewarn", description="What the traces are said to come from.")

    @field_validator("endpoint")
    @classmethod
    def _usable(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("expected an address such as http://collector:4318")
        if parts.username or parts.password:
            raise ValueError("credentials do not belong in the address: give them as a header, by reference")
        # the SDK alone does not send, and what sends brings it along
        if find_spec("opentelemetry.exporter") is None:
            raise ValueError("the exporter is not installed: pip install 'forewarn[otel]'")
        return value

    @property
    def address(self) -> str:
        """Where messages are posted to."""
        parts = urlsplit(self.endpoint)
        return self.endpoint if parts.path.strip("/") else f"{self.endpoint.rstrip('/')}/v1/traces"


class Telemetry(Block):
    """What Forewarn tells of its own work, besides metrics and log."""

    traces: Traces | None = Field(None, description="OpenTelemetry traces; none when left out.")


class Spool(Block):
    """Pushed samples and log lines that were acknowledged, kept until a checkpoint covers them."""

    most: int = Field(
        256 << 20, ge=1 << 20, description="Bytes kept, at most; beyond them senders are told to wait (429)."
    )


_DAY = 86400.0


class Retention(Block):
    """How long what has ended is kept. `forewarn purge --dry-run` says what is due."""

    problems: Duration = Field(90 * _DAY, description="Resolved problems, with all that belongs to them.")
    deliveries: Duration = Field(30 * _DAY, description="Sent deliveries of resolved problems.")
    alerts: Duration | None = Field(
        None, description="Resolved alerts that belong to no problem; as `problems` when left out."
    )
    changes: Duration | None = Field(
        None, description="Deploys, rollouts and other changes; as `problems` when left out."
    )
    log_templates: Duration | None = Field(
        None, description="Log patterns, since they were last seen; as `problems` when left out."
    )
    audit: Duration = Field(
        365 * _DAY, description="Audit rows of no problem; those of a problem go with it, seals stay."
    )
    ended: Duration = Field(
        90 * _DAY, description="Silences, holds and sessions that are over, tokens that have expired."
    )

    def seconds(self) -> dict[str, float]:
        """By key."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: self.problems if one is None else float(one) for name, one in given.items()}

"""What a user may write about keeping Forewarn itself running."""

from urllib.parse import urlsplit

from pydantic import Field, model_validator

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


class Spool(Block):
    """Pushed samples and log lines that were acknowledged, kept until a checkpoint covers them."""

    most: int = Field(
        256 << 20, ge=1 << 20, description="Bytes kept, at most; beyond them senders are told to wait (429)."
    )

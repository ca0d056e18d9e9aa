"""What a user may write about scoring in several processes or on several machines."""

from typing import Literal

from pydantic import Field

from aiops.config.blocks import Block
from aiops.plugin import Duration


class Scale(Block):
    """Where series are scored: in the engine's own process, or in shards on the workers of a Ray cluster."""

    runner: Literal["local", "ray"] = Field(
        "local", description="`local`: in the engine's own process; `ray`: on workers (`forewarn[ray]`)."
    )
    shards: int = Field(
        0,
        ge=0,
        le=4096,
        description="Parts that the series are dealt out to; 0: none, or 8 a worker with `ray`.",
    )
    workers: int = Field(2, ge=1, le=512, description="Workers, of one processor each.")
    address: str = Field(
        "local",
        pattern=r"^(local|auto|(ray://)?[^\s/]+:\d+)$",
        description="The cluster: `local` starts one on this machine; `auto` or `HOST:PORT` is one that this "
        "machine is a node of, `ray://HOST:PORT` one that it is not.",
    )
    memory: int = Field(
        256 << 20, ge=80 << 20, description="Bytes of the object store of what is started on this machine."
    )
    limit: Duration = Field(
        30.0, gt=0, description="A worker that has not answered for this long is given up, as if it had died."
    )
    patience: Duration = Field(
        1.0, description="How long a worker that died may take to be back, before others take its shards."
    )

    @property
    def parts(self) -> int:
        """Shards that there are; 0: none at all."""
        return self.shards or (8 * self.workers if self.runner == "ray" else 0)

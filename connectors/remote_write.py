"""Prometheus remote write: what Prometheus, its agents and others push."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr

from aiops.model.series import SeriesIndex
from aiops.plugin import Duration, Receiver, Secret
from aiops.plugin.connector import Emit, Reply, Route
from aiops.wire import WireError
from connectors._receive_auth import refused


class RemoteWrite(Receiver):
    """Takes remote write 1.0 and 2.0 at ``/receive/<name>/api/v1/write``.

    Counters (by their type, else ``_total``, ``_count``, ``_sum``) become rates per second, and classic
    histograms quantiles. The rules for late, doubled and stale samples are in docs/ingest.md.
    """

    spooled: ClassVar[bool] = True

    bearer: Secret | None = Field(None, description="Where the token is that senders must show.")
    resolution: Duration = Field(
        1.0, ge=0.001, description="Times told apart; at most half the shortest scrape interval."
    )
    quantiles: list[float] = Field(
        [0.5, 0.9, 0.99], description="Quantiles that a classic histogram is watched as; none: not watched."
    )
    max_series: int = Field(
        1_000_000, ge=0, description="Series taken; samples of those beyond are refused (400). 0 = no limit."
    )
    max_labels: int = Field(64, ge=1, description="Labels of one series; one with more is refused (400).")
    max_label_bytes: int = Field(
        16 << 10, ge=16, description="Bytes of all labels of one series; one with more is refused (400)."
    )
    max_message: int = Field(64 << 20, ge=1 << 10, description="Bytes of one message once unpacked.")

    _index: SeriesIndex = PrivateAttr(default_factory=SeriesIndex)
    _decoder: Any = PrivateAttr(None)

    def prepare(self) -> None:
        from aiops.wire.warm import remote_write  # numba: loaded only where something is received

        remote_write()

    def open(self, index: SeriesIndex) -> None:
        self.prepare()
        self._index, self._decoder = index, None

    def routes(self) -> list[Route]:
        return [Route("POST", "/api/v1/write", self._write)]

    def tally(self) -> Mapping[str, int]:
        if self._decoder is None:
            return {}
        return {**self._decoder.intake.tally.counts(), "series": len(self._decoder.intake.tracks)}

    async def _write(self, body: bytes, headers: Mapping[str, str], emit: Emit) -> Reply:
        if (answer := refused(self.bearer, headers)) is not None:
            return answer
        version = 2 if "write.v2.request" in headers.get("content-type", "").lower() else 1
        if headers.get("content-encoding", "snappy").lower() != "snappy":
            return Reply(415, b"the body must be a snappy block\n")
        decoder = self._ready()
        tally = decoder.intake.tally
        before = tally.samples, tally.native, tally.over_cap, tally.refused
        try:
            frames = decoder.decode(body, version)
        except WireError as bad:
            return Reply(400, f"{bad}\n".encode())
        for frame in frames:
            await emit(frame)
        samples, native, over_cap, bad_labels = (
            now - then
            for now, then in zip(
                (tally.samples, tally.native, tally.over_cap, tally.refused), before, strict=True
            )
        )
        written = (
            ("X-Prometheus-Remote-Write-Samples-Written", str(samples - over_cap - bad_labels)),
            ("X-Prometheus-Remote-Write-Histograms-Written", "0"),
            ("X-Prometheus-Remote-Write-Exemplars-Written", "0"),
        )
        return self._answer(over_cap, bad_labels, native, written if version == 2 else ())

    def _answer(
        self, over_cap: int, bad_labels: int, native: int, headers: tuple[tuple[str, str], ...]
    ) -> Reply:
        """204, or 400 with what was not taken: the protocol's way to say: do not send it again."""
        faults = []
        if over_cap:
            faults.append(f"{over_cap} new series beyond the cap of {self.max_series} (max_series)")
        if bad_labels:
            faults.append(
                f"{bad_labels} series with more than {self.max_labels} labels (max_labels), more than "
                f"{self.max_label_bytes} bytes of labels (max_label_bytes), or a label twice"
            )
        if not faults:
            return Reply(204, headers=headers)
        return Reply(400, f"not taken: {'; '.join(faults)}. The rest was.\n".encode(), headers)

    def _ready(self) -> Any:
        if self._decoder is None:
            from aiops.wire.intake import Intake, Limits
            from aiops.wire.remote_write import RemoteWrite as Decoder

            limits = Limits(self.max_series, self.max_labels, self.max_label_bytes)
            intake = Intake(self._index, self.labels, self.resolution, self.quantiles, limits)
            self._decoder = Decoder(intake, self.max_message)
        return self._decoder

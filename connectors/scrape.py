"""Pages of ``/metrics``, pulled without a Prometheus in between."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import httpx
import numpy as np
from pydantic import Field, PrivateAttr, field_validator, model_validator

from aiops.model.frame import Frame, beside
from aiops.model.series import NAME, SeriesIndex, labels_of
from aiops.plugin import Connector, Duration, Secret
from aiops.wire import WireError
from connectors._prometheus_http import Basic, Tls, login
from connectors._scrape_kubernetes import Kubernetes
from connectors._scrape_page import Got, fetch
from connectors._scrape_targets import Files, Target, target

log = logging.getLogger("aiops.connectors")


@dataclass(slots=True)
class _Page:
    """One target and what is known of it."""

    target: Target
    decoder: Any
    up: bool | None = None


class Scrape(Connector):
    """Pulls the ``/metrics`` pages of exporters and programs: exposition text or OpenMetrics.

    Each target also gives ``up`` (1, or 0 when it did not answer with a proper page), and while it is up
    ``scrape_duration_seconds`` and ``scrape_samples_scraped``. Labels ``job`` and ``instance`` are set as by
    Prometheus. Counters become rates per second and classic histograms quantiles, by the rules of
    docs/ingest.md.
    """

    targets: list[str] = Field([], description="Addresses (host:port) or URLs of pages.")
    files: list[str] = Field(
        [],
        description="Files (globs) of Prometheus' file discovery, JSON or YAML; read again when they change.",
    )
    kubernetes: Kubernetes | None = Field(None, description="Find targets by the Kubernetes API.")
    job: str = Field("", description="Label job; the source's name when left out.")
    scheme: Literal["http", "https"] = Field("http", description="For addresses that name none.")
    path: str = Field("/metrics", description="Path of addresses that name none.", pattern="^/")
    timeout: Duration = Field(5.0, gt=0, description="How long one target may take; at most `every`.")
    honor_labels: bool = Field(
        False,
        description="Keep a page's own labels where they clash with ours; else they become exported_....",
    )
    quantiles: list[float] = Field(
        [0.5, 0.9, 0.99], description="Quantiles that a classic histogram is watched as; none: not watched."
    )
    basic: Basic | None = Field(None, description="User name and password.")
    bearer: Secret | None = Field(None, description="Where the bearer token is; read again on each pull.")
    headers: dict[str, str] = Field(default_factory=dict, description="More headers. No secrets.")
    tls: Tls = Field(default_factory=Tls, description="Certificates.")
    sample_limit: int = Field(
        50_000, ge=0, description="Samples of one page; a target with more counts as down. 0 = no limit."
    )
    max_series: int = Field(
        1_000_000, ge=0, description="Series of all targets; those beyond are left out. 0 = no limit."
    )
    max_labels: int = Field(64, ge=1, description="Labels of one series; one with more is left out.")
    max_label_bytes: int = Field(
        16 << 10, ge=16, description="Bytes of all labels of one series; one with more is left out."
    )
    max_body: int = Field(
        32 << 20, gt=0, description="Bytes of one page, unpacked; larger ones count as down."
    )
    parallel: int = Field(50, ge=1, le=1000, description="Targets asked at one time.")

    _index: SeriesIndex = PrivateAttr(default_factory=SeriesIndex)
    _client: httpx.AsyncClient | None = PrivateAttr(None)
    _api: httpx.AsyncClient | None = PrivateAttr(None)
    _files: Files = PrivateAttr(default_factory=lambda: Files(()))
    _found: list[tuple[list[str], dict[str, str]]] = PrivateAttr(default_factory=list)
    _asked: float = PrivateAttr(-1e18)
    _pages: dict[Target, _Page] = PrivateAttr(default_factory=dict)
    _series: int = PrivateAttr(0)
    _said: set[str] = PrivateAttr(default_factory=set)

    @field_validator("targets")
    @classmethod
    def _are_addresses(cls, value: list[str]) -> list[str]:
        for one in value:
            target(one, {}, "http", "/metrics", "")
        return value

    @model_validator(mode="after")
    def _fits(self) -> "Scrape":
        if not (self.targets or self.files or self.kubernetes):
            raise ValueError("give targets, files or kubernetes")
        if self.basic and self.bearer:
            raise ValueError("give either basic or bearer")
        if self.timeout > self.every:
            self.timeout = self.every
        return self

    def prepare(self) -> None:
        from aiops.wire.warm import exposition

        exposition()

    def open(self, index: SeriesIndex) -> None:
        self._index, self._pages, self._files = index, {}, Files(self.files)

    def tally(self) -> Mapping[str, int]:
        found = Counter(series=0)
        for page in self._pages.values():
            found.update(page.decoder.intake.tally.counts())
            found["series"] += len(page.decoder.intake.tracks)
        return found

    async def close(self) -> None:
        for client in (self._client, self._api):
            if client:
                await client.aclose()
        self._client = self._api = None

    async def pull(self, since: float, until: float) -> AsyncIterator[Frame]:
        """One frame of all targets, as of `until`."""
        if int(until * 1000) <= int(since * 1000):
            return
        if not self._pages:  # compiled code is loaded, or made, in another thread: it may take seconds
            await asyncio.to_thread(self.prepare)
        pages = self._follow(await self._targets(until))
        client, turn = self._connected(), asyncio.Semaphore(self.parallel)
        auth = login(self.name, self.basic, self.bearer)
        answers = await asyncio.gather(
            *(fetch(client, auth, page.target.url, turn, self.timeout, self.max_body) for page in pages)
        )
        self._series = sum(len(page.decoder.intake.tracks) for page in pages)
        frames = [self._taken(page, got, until) for page, got in zip(pages, answers, strict=True)]
        if frames:
            yield _joined(frames)

    async def _targets(self, now: float) -> list[Target]:
        groups = [(self.targets, {}), *self._files.groups(), *await self._kubernetes(now)]
        found: dict[Target, None] = {}
        for addresses, labels in groups:
            for address in addresses:
                try:
                    made = target(address, labels, self.scheme, self.path, self.job or self.name)
                except ValueError as why:
                    self._say(str(why))
                    continue
                found[Target(made.url, labels_of(dict(made.labels) | self.labels))] = None
        return list(found)

    async def _kubernetes(self, now: float) -> list[tuple[list[str], dict[str, str]]]:
        """What was found when it was last asked; an API server that is away leaves things as they were."""
        if self.kubernetes is None or now - self._asked < self.kubernetes.refresh:
            return self._found
        try:
            self._api = self._api or self.kubernetes.client(self.timeout)
            self._found, self._asked = await self.kubernetes.groups(self._api), now
        except (httpx.HTTPError, ValueError, AttributeError) as why:
            log.warning("source %s: kubernetes: %s; its targets stay as they were", self.name, why)
        return self._found

    def _follow(self, targets: list[Target]) -> list[_Page]:
        from aiops.wire.exposition import Exposition
        from aiops.wire.intake import Intake

        clash: Any = "theirs" if self.honor_labels else "rename"
        for gone in self._pages.keys() - set(targets):
            del self._pages[gone]
        for one in targets:
            if one not in self._pages:
                intake = Intake(self._index, dict(one.labels), 0.001, self.quantiles, clash=clash)
                self._pages[one] = _Page(one, Exposition(intake))
        return [self._pages[one] for one in targets]

    def _taken(self, page: _Page, got: Got | str, until: float) -> Frame:
        """What a target gives, with what we have to say of it."""
        frame, count = None, 0
        if isinstance(got, Got):
            intake = page.decoder.intake
            own = len(intake.tracks)
            room = max(1, self.max_series - self._series + own) if self.max_series else 0
            intake.limits = replace(
                intake.limits, series=room, labels=self.max_labels, label_bytes=self.max_label_bytes
            )
            try:
                frame, count = page.decoder.decode(got.body, until, got.open_metrics, self.sample_limit)
            except WireError as bad:
                got = str(bad)
            self._series += len(intake.tracks) - own
        self._note(page, got)
        said = {"up": 0.0}
        if isinstance(got, Got):
            said = {"up": 1.0, "scrape_samples_scraped": count, "scrape_duration_seconds": got.seconds}
        slots = self._index.slots(labels_of({NAME: name, **dict(page.target.labels)}) for name in said)
        ours = Frame(np.array([until]), slots, np.array([list(said.values())]))
        return ours if frame is None else beside([ours, frame])

    def _note(self, page: _Page, got: Got | str) -> None:
        """Tell once that a target is down, and once that it is back."""
        up = isinstance(got, Got)
        if not up and page.up is not False:
            log.warning("source %s: %s is down: %s", self.name, page.target.url, got)
        elif up and page.up is False:
            log.info("source %s: %s is up again", self.name, page.target.url)
        page.up = up

    def _connected(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=self.timeout,
                verify=self.tls.context(),
                headers={**self.headers, "accept-encoding": "gzip"},
                limits=httpx.Limits(max_connections=self.parallel),
            )
        return self._client

    def _say(self, text: str) -> None:
        """Warn once: a pull comes every few seconds."""
        if text not in self._said and len(self._said) < 100:
            self._said.add(text)
            log.warning("source %s: %s", self.name, text)


def _joined(frames: list[Frame]) -> Frame:
    """All targets' frames as one; of a series that several give, the first."""
    whole = beside(frames)
    _, first = np.unique(whole.slots, return_index=True)
    if len(first) == len(whole.slots):
        return whole
    first.sort()
    return Frame(whole.times, whole.slots[first], whole.values[:, first])

"""A Kubernetes cluster: its pods, workloads, nodes, autoscalers and events, by watches of its API."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial
from typing import Any, Literal

import httpx
import numpy as np
from pydantic import Field, PrivateAttr

from aiops.model.frame import Change, Frame, Lines
from aiops.model.series import NAME, Labels, SeriesIndex, labels_of
from aiops.model.signal import Report
from aiops.plugin import Connector, Duration
from aiops.plugin.connector import Batch, Reports
from connectors import _kubernetes_facts as facts
from connectors import _kubernetes_services as services
from connectors._kubernetes_api import Access, Collection
from connectors._kubernetes_facts import Event, Fault, Known

_LASTS = 3600.0
"""Seconds after which what is no longer told of, the API being away, is taken for over."""
_LATE = 300.0
"""Events older than this, when they are first seen, are no news."""
_MOST_SEEN = 5000

What = Literal[
    "pods",
    "nodes",
    "services",
    "endpointslices",
    "deployments",
    "statefulsets",
    "daemonsets",
    "horizontalpodautoscalers",
    "events",
]
_UNCHOSEN = ("nodes", "services", "endpointslices")
"""What `selector` does not narrow: their labels are not those of the pods behind them."""
_ROOTS: dict[str, str] = {
    "pods": "/api/v1",
    "nodes": "/api/v1",
    "services": "/api/v1",
    "endpointslices": "/apis/discovery.k8s.io/v1",
    "events": "/api/v1",
    "deployments": "/apis/apps/v1",
    "statefulsets": "/apis/apps/v1",
    "daemonsets": "/apis/apps/v1",
    "horizontalpodautoscalers": "/apis/autoscaling/v2",
}


class Kubernetes(Access, Connector):
    """Watches what a cluster says of itself.

    Bad states are alerts of their own: OOMKilled, CrashLoopBackOff, ImagePullBackOff, containers that cannot
    be created, Pending, NodeNotReady, pressure on nodes, RolloutStuck, autoscalers at their limit, services
    without endpoints. Rollouts, scaling, cordons and other selectors or ports of services are changes; the
    cluster's events are log lines; readiness, restarts, replicas and endpoints are series ``kubernetes_*``.
    Their labels say what runs on what: `pod`, `node`, and `service` as well as `deployment`, `statefulset` or
    `daemonset`, which name the workload. What a Service sends to, by its endpoint slices or else by its
    selector, are series with the Service's name as `service` and the `workload` behind it.
    """

    namespaces: list[str] = Field(
        [], description="Namespaces that are watched; none: all of them, and nodes."
    )
    watch_for: list[What] = Field(list(_ROOTS), alias="watch", description="Resources that are watched.")  # type: ignore[arg-type]
    selector: str = Field("", description="Label selector of pods and workloads, such as app=api,tier!=test.")
    label_names: list[str] = Field(
        ["app.kubernetes.io/component", "app.kubernetes.io/version"],
        description="Kubernetes labels of pods that series get; signs but letters and digits become _.",
    )
    events: Literal["warnings", "all"] = Field("warnings", description="Which events become log lines.")
    pending_after: Duration = Field(300.0, description="A pod that is pending for longer is an alert.")
    timeout: Duration = Field(15.0, gt=1, description="How long one answer may take.")

    _index: SeriesIndex = PrivateAttr(default_factory=SeriesIndex)
    _client: httpx.AsyncClient | None = PrivateAttr(None)
    _known: dict[str, list[Collection[Known]]] = PrivateAttr(default_factory=dict)
    _events: list[Collection[Event]] = PrivateAttr(default_factory=list)
    _told: dict[str, float] = PrivateAttr(default_factory=dict)
    """What fires, by its ident: since when."""
    _marks: dict[str, dict[str, str]] | None = PrivateAttr(None)
    """By uid; None before the first look, of which nothing is a change."""
    _restarts: dict[str, float] = PrivateAttr(default_factory=dict)
    _seen: dict[str, int] = PrivateAttr(default_factory=dict)
    """Events by uid: how often they had happened when they were told."""

    def open(self, index: SeriesIndex) -> None:
        self._index = index
        self._known, self._events = {}, []
        for kind in self.watch_for:
            paths = [f"{_ROOTS[kind]}{space}/{kind}" for space in self._spaces(kind)]
            if kind == "events":
                only = {"fieldSelector": "type=Warning"} if self.events == "warnings" else {}
                self._events = [Collection(path, facts.event, only) for path in paths]
            else:
                chosen = {"labelSelector": self.selector} if self.selector and kind not in _UNCHOSEN else {}
                self._known[kind] = [Collection(path, self._reader(kind), chosen) for path in paths]

    def _spaces(self, kind: str) -> list[str]:
        """Of the paths to its objects; nodes are in no namespace."""
        if not self.namespaces:
            return [""]
        return [] if kind == "nodes" else [f"/namespaces/{space}" for space in self.namespaces]

    def _reader(self, kind: str) -> Any:
        return {
            "pods": partial(facts.pod, label_names=self.label_names, pending_after=self.pending_after),
            "nodes": facts.node,
            "services": services.service,
            "endpointslices": services.endpoint_slice,
            "deployments": facts.deployment,
            "statefulsets": facts.stateful_set,
            "daemonsets": facts.daemon_set,
            "horizontalpodautoscalers": facts.autoscaler,
        }[kind]

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
        self._client = None

    async def pull(self, since: float, until: float) -> AsyncIterator[Batch]:
        """What is so as of `until`, and what happened since. Raises `PluginError`, and then loses nothing."""
        if self._client is None:
            self._client = self.client(self.timeout)
        headers = self.headers()
        every = [one for many in self._known.values() for one in many]
        asked = [one.refresh(self._client, headers) for one in every]
        asked += [one.refresh(self._client, headers) for one in self._events]
        for failure in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(failure, BaseException):
                raise failure
        known = {uid: one for many in every for uid, one in many.items.items()}
        known |= services.backed(known, whole=not self.selector)
        # what was told is remembered once it is taken: what is not taken comes again
        for change in self._changes(known, since, until):
            yield change
        self._marks = {uid: dict(one.marks) for uid, one in known.items() if one.marks}
        reports = self._reports(known, until)
        if reports:
            yield Reports(reports)
        self._told = {report.ident: report.at for report in reports if report.firing}
        frame = self._frame(known, until)
        if len(frame.slots):
            yield frame
        for lines in self._lines(known, since, until):
            yield lines
        self._remember()

    def snapshot(self) -> Mapping[str, Any]:
        if self._marks is None and not self._told:
            return {}
        return {"told": dict(self._told), "marks": dict(self._marks or {}), "events": dict(self._seen)}

    def restore(self, data: Mapping[str, Any]) -> None:
        if not data:
            return
        self._told = {str(k): float(v) for k, v in data["told"].items()}
        self._marks = {str(k): dict(v) for k, v in data["marks"].items()}
        self._seen = {str(k): int(v) for k, v in data["events"].items()}

    # -- what is made of it

    def _reports(self, known: Mapping[str, Known], until: float) -> list[Report]:
        """All that fires, again and again, and once what no longer does."""
        reports: dict[str, Report] = {}
        for uid, one in known.items():
            for fault in one.faults:
                ident = f"{uid}/{fault.part}/{fault.name}"
                if fault.since <= until < fault.until and (fault.begins or ident in self._told):
                    since = self._told.get(ident) or (fault.since if fault.since > 0 else until)
                    reports[ident] = self._report(ident, one, fault, since)
        over = [Report(ident, False, at=until) for ident in self._told if ident not in reports]
        return [*reports.values(), *over]

    def _report(self, ident: str, one: Known, fault: Fault, since: float) -> Report:
        own = {"container": fault.part} if fault.part else {}
        labels = self._labelled(fault.name, {**one.labels, **own})
        text = f"{one.title}: {fault.text}"[:1000]
        return Report(ident, True, labels, since, fault.severity, text, lasts=_LASTS)

    def _changes(self, known: Mapping[str, Known], since: float, until: float) -> Iterator[Change]:
        if self._marks is None:
            return
        for uid, one in known.items():
            was = self._marks.get(uid)
            if was is None and one.marks and since < one.created <= until:
                yield self._change(one, "deploy", "created", since, until)
            for kind, mark in one.marks.items() if was else ():
                if mark and was and was.get(kind) not in (None, "", mark):
                    yield self._change(one, kind, f"{was[kind]} -> {mark}", since, until)

    def _change(self, one: Known, kind: str, what: str, since: float, until: float) -> Change:
        at = one.changed if kind == "rollout" and since < one.changed <= until else until
        labels = labels_of({**one.labels, **self.labels})
        return Change(at, kind, f"{one.title}: {what}", labels, detail=dict(one.detail))

    def _frame(self, known: Mapping[str, Known], until: float) -> Frame:
        values: dict[Labels, float] = {}
        restarts: dict[str, float] = {}
        for uid, one in known.items():
            for name, value in one.values:
                values[self._labelled(name, one.labels)] = value
            if one.restarts == one.restarts:
                restarts[uid] = one.restarts
                new = one.restarts - self._restarts.get(uid, one.restarts)
                values[self._labelled("kubernetes_pod_restarts", one.labels)] = max(0.0, new)
        self._restarts = restarts
        row = np.array([list(values.values())], np.float64).reshape(1, len(values))
        return Frame(np.array([until]), self._index.slots(values), row)

    def _labelled(self, name: str, own: Mapping[str, str]) -> Labels:
        return labels_of({**own, **self.labels, NAME: name})

    def _lines(self, known: Mapping[str, Known], since: float, until: float) -> Iterator[Lines]:
        """Events that are new, or happened again: each stream in the order of time."""
        streams: dict[Labels, list[tuple[float, str]]] = {}
        for uid, event in self._happened().items():
            if event.count <= self._seen.get(uid, 0) or not event.time > since - _LATE:
                continue
            about = known[event.about].labels if event.about in known else event.labels
            at = event.time if since < event.time <= until else until
            streams.setdefault(labels_of({**about, **self.labels}), []).append((at, event.text))
        for labels, told in streams.items():
            told.sort(key=lambda line: line[0])
            yield Lines(labels, np.array([at for at, _ in told]), [text for _, text in told])

    def _happened(self) -> dict[str, Event]:
        return {uid: event for many in self._events for uid, event in many.items.items()}

    def _remember(self) -> None:
        counts = {uid: event.count for uid, event in self._happened().items()}
        older = {uid: count for uid, count in self._seen.items() if uid not in counts}
        self._seen = dict(list((older | counts).items())[-_MOST_SEEN:])

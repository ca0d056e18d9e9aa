"""`k8s`: one of a closed list of verbs on one object of a Kubernetes cluster, through kr8s."""

import asyncio
import datetime
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import httpx
from pydantic import ConfigDict, Field, model_validator

from aiops.plugin import Action, Fatal, NotConnected, Outcome, Retryable
from aiops.plugin.extras import needed

MARK = "forewarn.io/run-step"
"""Annotation that holds the idempotency key of the last change: a repeated patch with it changes nothing."""

_RESTARTED = "kubectl.kubernetes.io/restartedAt"
_REVISION = "deployment.kubernetes.io/revision"

_KINDS = {
    "restart": ("deployment", "statefulset", "daemonset"),
    "scale": ("deployment", "statefulset"),
    "rollback": ("deployment",),
    "cordon": ("node",),
    "uncordon": ("node",),
    "delete_pod": ("pod",),
    "status": ("deployment", "statefulset", "daemonset", "node", "pod"),
}

Kind = Literal["deployment", "statefulset", "daemonset", "node", "pod"]
Verb = Literal["restart", "scale", "rollback", "cordon", "uncordon", "delete_pod", "status"]


class K8s(Action):
    """Restart, scale, roll back, cordon or look at one object. Needs the extra ``kubernetes``.

    There is no verb for anything else, and no way to hand in a manifest. `expect` sees ``found`` (bool),
    ``desired``, ``ready`` and ``updated`` (replicas), ``settled`` (all of them are ready and new),
    ``unschedulable`` (node) and ``phase`` (pod).
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"verb": "restart", "object": "deployment", "name": "checkout", "namespace": "shop"},
                {"verb": "scale", "object": "deployment", "name": "checkout", "by": 1, "at_most": 6},
                {"verb": "cordon", "object": "node", "name": "node-7"},
                {"verb": "status", "object": "pod", "name": "checkout-0", "expect": "phase == 'Running'"},
            ]
        }
    )

    verb: Verb = Field(description="What is done; status only looks.")
    object: Kind = Field("deployment", description="Kind of the object.")
    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$", description="The object's name.")
    namespace: str = Field(
        "default",
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        description="Its namespace; a node has none.",
    )
    replicas: int | None = Field(None, ge=0, le=1000, description="scale: to so many.")
    by: int | None = Field(None, ge=-100, le=100, description="scale: by so many more, or fewer.")
    at_least: int = Field(1, ge=0, description="scale: never to fewer.")
    at_most: int = Field(10, ge=1, le=1000, description="scale: never to more.")
    kubeconfig: Path | None = Field(
        None, description="File with the cluster's address; a pod's own service account when left out."
    )
    context: str = Field("", description="The context of that file.")

    @model_validator(mode="after")
    def _fits(self) -> "K8s":
        if self.object not in _KINDS[self.verb]:
            raise ValueError(
                f"{self.verb} is for a {' or '.join(_KINDS[self.verb])}, not for a {self.object}"
            )
        if self.verb == "scale" and (self.replicas is None) == (self.by is None):
            raise ValueError("scale needs either replicas or by")
        return self

    @property
    def target(self) -> str:
        place = "" if self.object == "node" else f"{self.namespace}/"
        return f"k8s/{place}{self.object}/{self.name}"

    def plan(self) -> str:
        where = f"{self.object} {self.name}" + ("" if self.object == "node" else f" in {self.namespace}")
        if self.verb != "scale":
            return f"{self.verb.replace('_', ' ')}: {where}, at most {self.timeout:g} s"
        step = f"to {self.replicas}" if self.by is None else f"by {self.by:+d}"
        return f"scale: {where} {step}, within {self.at_least} to {self.at_most} replicas"

    async def run(self, key: str) -> Outcome:
        return await self._calling(lambda one, api: self._act(one, api, key))

    async def probe(self, key: str) -> bool | None:
        """The mark of the key tells of a change; a cordon shows by itself; a deleted pod does not."""
        if self.verb in ("delete_pod", "status"):
            return None

        async def look(one: Any, _api: Any) -> Outcome:
            marked = one.annotations.get(MARK) == key
            wanted = {"cordon": True, "uncordon": False}.get(self.verb)
            same = wanted is not None and bool(one.spec.get("unschedulable", False)) is wanted
            return Outcome(marked or same)

        try:
            return (await self._calling(look)).ok
        except (Retryable, Fatal):
            return None

    async def _calling(self, work: Callable[[Any, Any], Any]) -> Outcome:
        kr8s, sent = needed("kr8s", "kubernetes"), False
        objects = needed("kr8s.asyncio.objects", "kubernetes")
        classes = {
            "deployment": objects.Deployment,
            "statefulset": objects.StatefulSet,
            "daemonset": objects.DaemonSet,
            "node": objects.Node,
            "pod": objects.Pod,
        }
        try:
            async with asyncio.timeout(self.timeout):
                api = await self._api()
                names = {"name": self.name} | ({} if self.object == "node" else {"namespace": self.namespace})
                one = await classes[self.object]({"metadata": names}, api=api)
                await one.refresh()
                sent = True
                outcome: Outcome = await work(one, api)
                return outcome
        except kr8s.NotFoundError:
            if self.verb == "status":
                return Outcome(False, f"{self.target} does not exist", {**_data({}), "found": False})
            raise Fatal(f"{self.target} does not exist") from None
        except kr8s.ServerError as why:
            raise _classified(self.target, why) from why
        except TimeoutError as why:
            raise Retryable(
                f"{self.target}: no answer within {self.timeout:g} s", ambiguous=self.verb != "status"
            ) from why
        except (httpx.HTTPError, kr8s.APITimeoutError, OSError) as why:
            text = f"{self.target}: {why or type(why).__name__}"
            raise (Retryable(text, ambiguous=True) if sent else NotConnected(text)) from why

    async def _api(self) -> Any:
        kr8s = needed("kr8s.asyncio", "kubernetes")
        if self.kubeconfig and not self.kubeconfig.expanduser().is_file():
            raise Fatal(f"kubeconfig: there is no file {self.kubeconfig}")
        path = str(self.kubeconfig.expanduser()) if self.kubeconfig else os.environ.get("KUBECONFIG")
        try:
            return await kr8s.api(kubeconfig=path, context=self.context or None, namespace=self.namespace)
        except ValueError as why:
            raise Fatal(f"{self.target}: the cluster's address is not known: {why}") from why

    async def _act(self, one: Any, api: Any, key: str) -> Outcome:
        if self.verb in ("cordon", "uncordon"):
            mark = {"metadata": {"annotations": {MARK: key}}}
            await one.patch({**mark, "spec": {"unschedulable": self.verb == "cordon"}})
        elif self.verb == "restart":
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            await self._change(one, key, {"template": {"metadata": {"annotations": {_RESTARTED: now}}}})
        elif self.verb == "scale":
            await self._scale(one, key)
        elif self.verb == "rollback":
            await self._roll_back(one, api, key)
        elif self.verb == "delete_pod":
            await one.delete()
            return Outcome(True, f"{self.target} is deleted", _data(one.raw))
        data = _data(one.raw)
        said = ", ".join(f"{name} {value}" for name, value in data.items() if value not in (None, ""))
        return Outcome(bool(data["settled"]) if self.verb == "status" else True, said, data)

    async def _change(self, one: Any, key: str, spec: dict[str, Any]) -> None:
        """One patch that carries the key with the change, unless the key is there already."""
        if one.annotations.get(MARK) == key:
            return
        # The version makes the server refuse the patch when somebody else has changed the object meanwhile
        version = one.metadata.resourceVersion
        await one.patch({"metadata": {"annotations": {MARK: key}, "resourceVersion": version}, "spec": spec})

    async def _scale(self, one: Any, key: str) -> None:
        now = int(one.spec.get("replicas", 1))
        wanted = self.replicas if self.replicas is not None else now + (self.by or 0)
        wanted = min(max(wanted, self.at_least), self.at_most)
        if wanted == now and one.annotations.get(MARK) != key:
            raise Fatal(
                f"{self.target} has {now} replicas already, and may have {self.at_least} to {self.at_most}"
            )
        await self._change(one, key, {"replicas": wanted})

    async def _roll_back(self, one: Any, api: Any, key: str) -> None:
        """To the template of the newest ReplicaSet but one, as `kubectl rollout undo` does."""
        if one.annotations.get(MARK) == key:
            return
        objects = needed("kr8s.asyncio.objects", "kubernetes")
        owned = [
            found.raw
            async for found in objects.ReplicaSet.list(api=api, namespace=self.namespace)
            if any(
                owner.get("uid") == one.metadata.uid for owner in found.metadata.get("ownerReferences", [])
            )
        ]
        revisions = sorted(owned, key=lambda raw: int(raw["metadata"]["annotations"].get(_REVISION, 0)))
        if len(revisions) < 2:
            raise Fatal(f"{self.target} has no earlier revision to go back to")
        template = revisions[-2]["spec"]["template"].to_dict()
        template.get("metadata", {}).get("labels", {}).pop("pod-template-hash", None)
        version = one.metadata.resourceVersion
        await one.patch(
            [
                {"op": "test", "path": "/metadata/resourceVersion", "value": version},
                {"op": "add", "path": f"/metadata/annotations/{MARK.replace('/', '~1')}", "value": key},
                {"op": "replace", "path": "/spec/template", "value": template},
            ],
            type="json",
        )


def _data(raw: Any) -> dict[str, Any]:
    spec, status = raw.get("spec", {}), raw.get("status", {})
    desired = status.get("desiredNumberScheduled", spec.get("replicas"))
    ready = status.get("numberReady", status.get("readyReplicas", 0))
    updated = status.get("updatedNumberScheduled", status.get("updatedReplicas", 0))
    phase = str(status.get("phase", ""))
    fresh = status.get("observedGeneration", 0) >= raw.get("metadata", {}).get("generation", 0)
    up = any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions", []))
    settled = up if desired is None else fresh and ready >= desired and updated >= desired
    return {
        "found": True,
        "desired": desired,
        "ready": ready,
        "updated": updated,
        "settled": settled,
        "unschedulable": bool(spec.get("unschedulable", False)),
        "phase": phase,
    }


def _classified(target: str, why: Any) -> Retryable | Fatal:
    code = why.response.status_code if why.response is not None else 0
    text = f"{target}: {code or ''} {why}".replace("  ", " ")
    if code == 429 or code >= 500:
        after = why.response.headers.get("Retry-After", "")
        return Retryable(text, after=float(after) if after.isdigit() else None)
    if code == 409:
        return Retryable(f"{target}: somebody else changed it meanwhile")
    if code in (401, 403):
        return Fatal(f"{text}; does the account's role hold this verb?")
    return Fatal(text)

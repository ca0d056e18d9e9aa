"""What delivery tools post about a change, each in its own shape. Times that are not told are NaN.

GitHub: https://docs.github.com/webhooks/webhook-events-and-payloads; GitLab: .../user/project/integrations/
webhook_events; Argo CD: the `Application` object; Flux: notification-controller events; Kubernetes: `Event`;
Jenkins: its Notification plugin; CloudEvents 1.0 (https://cloudevents.io) around any of them, and CDEvents.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from aiops.model.frame import Change
from aiops.model.series import labels_of

LONGEST = 500
"""Characters of a title."""
_DETAILS = 20
_OWN = ("service", "host", "instance", "namespace", "environment", "version")
"""Labels that may stand beside the title."""

Body = Mapping[str, Any]
Read = Callable[[Body], list[Change]]


class NoChange(ValueError):
    """The body has none of the shapes; says what is missing."""


def read(headers: Mapping[str, str], body: Any) -> list[Change]:
    """The changes that one request tells of; none for an event that changes nothing. Raises `NoChange`.

    `headers` have names in lower case.
    """
    if isinstance(body, list):
        return [change for one in body for change in read(headers, one)]
    if not isinstance(body, Mapping):
        raise NoChange("a change is a JSON object, or a list of them")
    if "ce-type" in headers:
        event = {"type": headers["ce-type"], "time": headers.get("ce-time"), "data": body}
        return _cloud_event(event | {"subject": headers.get("ce-subject")}, headers)
    if "specversion" in body and "type" in body:
        return _cloud_event(body, headers)
    if about := headers.get("x-github-event"):
        return _GITHUB.get(about, _nothing)(body)
    if "x-gitlab-event" in headers:
        return _GITLAB.get(str(body.get("object_kind")), _nothing)(body)
    return next((found for known, found in _SHAPES if known(body)), _generic)(body)


def _cloud_event(event: Body, headers: Mapping[str, str]) -> list[Change]:
    data = event.get("data")
    inner = {name: value for name, value in headers.items() if not name.startswith("ce-")}
    try:
        found = read(inner, data) if data else []
    except NoChange:
        found = []
    if found:
        return found
    kind, subject = str(event["type"]), event.get("subject") or {}
    if isinstance(subject, Mapping):  # CDEvents
        content = _of(subject, "content")
        name = _of(content, "service").get("id") or subject.get("id") or ""
        detail = {"artifact": content.get("artifactId"), "environment": _of(content, "environment").get("id")}
    else:
        name, detail = str(subject), {}
    parts = kind.split(".")
    what = " ".join(parts[2:4]) if kind.startswith("dev.cdevents.") else parts[-1]
    title = f"{name} {what}".strip()
    return [_change(event.get("time"), _kind_of(kind), title, {"service": name}, "", detail)]


def _generic(body: Body) -> list[Change]:
    """``{title, kind?, time?, labels? or service?, url?, detail?}``; or `message`, `text` as title."""
    title = next((str(body[k]) for k in ("title", "message", "text", "summary", "name") if body.get(k)), "")
    if not title:
        raise NoChange("a change needs a `title`")
    labels = body.get("labels") or {}
    if not isinstance(labels, Mapping):
        raise NoChange("`labels` must be an object of texts")
    own = {k: body[k] for k in _OWN if k in body} | dict(labels)
    time = next((body[k] for k in ("time", "timestamp", "at", "date") if body.get(k) is not None), None)
    kind = str(body.get("kind") or "change")
    return [_change(time, kind, title, own, body.get("url"), _of(body, "detail"))]


def _github_deployment(body: Body) -> list[Change]:
    deployment, status = _of(body, "deployment"), _of(body, "deployment_status")
    if status and status.get("state") not in ("success", "failure", "error", "in_progress"):
        return []
    name, where = _of(body, "repository").get("name"), deployment.get("environment", "")
    said = status.get("state", "created")
    ref = deployment.get("ref") or str(deployment.get("sha", ""))[:12]
    detail = {"sha": deployment.get("sha"), "by": _of(body, "sender").get("login"), "state": said}
    time = status.get("updated_at") or status.get("created_at") or deployment.get("created_at")
    url = status.get("log_url") or status.get("target_url") or _of(body, "repository").get("html_url")
    labels = {"service": name, "environment": where}
    return [_change(time, "deploy", f"{name} {ref} to {where}: {said}", labels, url, detail)]


def _github_release(body: Body) -> list[Change]:
    release, name = _of(body, "release"), _of(body, "repository").get("name")
    if body.get("action") != "published":
        return []
    title = f"{name} {release.get('tag_name', '')} released"
    time, url = release.get("published_at"), release.get("html_url")
    return [_change(time, "release", title, {"service": name}, url, {"by": _of(body, "sender").get("login")})]


def _github_workflow(body: Body) -> list[Change]:
    run, name = _of(body, "workflow_run"), _of(body, "repository").get("name")
    if body.get("action") != "completed":
        return []
    title = f"{name} {run.get('name', 'workflow')} #{run.get('run_number', '')}: {run.get('conclusion')}"
    detail = {"sha": run.get("head_sha"), "branch": run.get("head_branch")}
    return [_change(run.get("updated_at"), "pipeline", title, {"service": name}, run.get("html_url"), detail)]


def _gitlab_deployment(body: Body) -> list[Change]:
    if body.get("status") not in ("success", "failed", "running"):
        return []
    name, where = _of(body, "project").get("name"), body.get("environment", "")
    title = f"{name} {body.get('short_sha', '')} to {where}: {body['status']}"
    labels, detail = {"service": name, "environment": where}, {"by": _of(body, "user").get("username")}
    url = body.get("deployable_url")
    return [_change(body.get("status_changed_at"), "deploy", title, labels, url, detail)]


def _gitlab_pipeline(body: Body) -> list[Change]:
    about, name = _of(body, "object_attributes"), _of(body, "project").get("name")
    if about.get("status") not in ("success", "failed"):
        return []
    title = f"{name} pipeline {about.get('id', '')} on {about.get('ref', '')}: {about['status']}"
    return [_change(about.get("finished_at"), "pipeline", title, {"service": name}, about.get("url"), {})]


def _argo(body: Body) -> list[Change]:
    app = _application(body)
    name, status = _of(app, "metadata").get("name", ""), _of(app, "status")
    operation, sync = _of(status, "operationState"), _of(status, "sync")
    phase = operation.get("phase") or sync.get("status") or "changed"
    revision = str(sync.get("revision") or _of(operation, "syncResult").get("revision") or "")[:12]
    labels = {"service": name, "namespace": _of(_of(app, "spec"), "destination").get("namespace")}
    detail = {"revision": sync.get("revision"), "health": _of(status, "health").get("status")}
    time = operation.get("finishedAt") or operation.get("startedAt")
    return [_change(time, "rollout", f"{name} {revision} sync: {phase}", labels, body.get("url"), detail)]


def _kubernetes(body: Body) -> list[Change]:
    """Flux's events and Kubernetes' own name what they are about alike."""
    about = _of(body, "involvedObject") or _of(body, "regarding")
    name, reason = about.get("name", ""), body.get("reason", "")
    labels = {"service": name, "namespace": about.get("namespace")}
    title = f"{about.get('kind', '')} {name} {reason}: {body.get('message') or body.get('note') or ''}"
    time = body.get("timestamp") or body.get("lastTimestamp") or body.get("eventTime")
    revision = [v for k, v in _of(body, "metadata").items() if k.endswith("revision")]
    detail = {"revision": revision[0] if revision else None}
    return [_change(time, "rollout", title.strip(": "), labels, "", detail)]


def _jenkins(body: Body) -> list[Change]:
    build, name = _of(body, "build"), str(body.get("name", ""))
    if build.get("phase") not in ("COMPLETED", "FINALIZED", "FINISHED"):
        return []
    title = f"{name} #{build.get('number', '')}: {build.get('status', '')}"
    labels = {"service": name.rpartition("/")[2]}
    return [_change(build.get("timestamp"), "pipeline", title, labels, build.get("full_url"), {})]


def _nothing(_: Body) -> list[Change]:
    return []


_GITHUB: dict[str, Read] = {
    "deployment": _github_deployment,
    "deployment_status": _github_deployment,
    "release": _github_release,
    "workflow_run": _github_workflow,
}
_GITLAB: dict[str, Read] = {"deployment": _gitlab_deployment, "pipeline": _gitlab_pipeline}


def _application(body: Body) -> Body:
    return next((one for key in ("app", "application") if (one := _of(body, key))), body)


_SHAPES: Sequence[tuple[Callable[[Body], bool], Read]] = (
    (lambda b: not {"sync", "operationState"}.isdisjoint(_of(_application(b), "status")), _argo),
    (lambda b: bool(_of(b, "involvedObject") or _of(b, "regarding")), _kubernetes),
    (lambda b: "phase" in _of(b, "build"), _jenkins),
)  # fmt: skip


def _of(body: Body, key: str) -> Body:
    found = body.get(key)
    return found if isinstance(found, Mapping) else {}


def _kind_of(event: str) -> str:
    """The word for a CloudEvent's type."""
    known = ("deploy", "rollback", "upgrade", "release", "scale", "config", "pipeline", "restart")
    return next((word for word in known if word in event.lower()), "change")


def _change(time: Any, kind: str, title: str, labels: Body, url: Any, detail: Body) -> Change:
    named = labels_of({str(k): str(v) for k, v in labels.items() if v not in (None, "")})
    told = {str(k): str(v)[:LONGEST] for k, v in list(detail.items())[:_DETAILS] if v not in (None, "")}
    return Change(_seconds(time), kind[:32], title[:LONGEST], named, str(url or ""), told)


def _seconds(time: Any) -> float:
    """Epoch seconds of ISO 8601, or of seconds, milli-, micro- or nanoseconds; NaN when there is none."""
    if isinstance(time, str) and time and not time.replace(".", "", 1).isdigit():
        try:
            at = datetime.fromisoformat(time.removesuffix(" UTC").strip())
        except ValueError as why:
            raise NoChange(f"{time[:40]!r} is no time: ISO 8601 or epoch seconds") from why
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    try:
        value = float(time)
    except (TypeError, ValueError):
        return math.nan
    while value > 1e11:
        value /= 1000
    return value if math.isfinite(value) else math.nan

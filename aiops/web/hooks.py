"""The `webhooks` of the OpenAPI document: what Forewarn by itself posts to others, or asks of them."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header

from aiops.model.problem import NotifyReason
from aiops.web.schema_ticket import TicketEvent, TicketTaken

EVENT = "application/cloudevents+json"

_SAYS = {
    NotifyReason.OPENED: "A problem was opened",
    NotifyReason.BREACHED: "Users notice it now",
    NotifyReason.UPDATED: "Something is new",
    NotifyReason.REMEDIATING: "A playbook is at work on it",
    NotifyReason.ESCALATED: "A person is asked",
    NotifyReason.RESOLVED: "It is over",
    NotifyReason.REOPENED: "It is back",
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Taken; so is any other 2xx, whatever its body."},
    "3XX": {"description": "Not followed: a dead letter, until a person replays it."},
    "4XX": {"description": "Refused for good: a dead letter. But 408 and 425 are tried again, as 5xx are."},
    429: {"description": "Tried again, after `Retry-After` if that is given."},
    "5XX": {"description": "Tried again under the same `webhook-id`, after `Retry-After` if that is given."},
}


async def told(
    event: Annotated[TicketEvent, Body(media_type=EVENT)],
    webhook_id: Annotated[str, Header(description="The same on every attempt: drop repeats by it.")],
    webhook_timestamp: Annotated[int, Header(description="Of this attempt, in seconds since 1970.")],
    webhook_signature: Annotated[
        str,
        Header(
            description="One a secret, with a blank between: `v1,` and the HMAC-SHA256, in base64, of id, "
            "timestamp and body, joined by dots."
        ),
    ],
) -> None:
    """To each sink of the kind `webhook` whose routes say so. Signed by Standard Webhooks.

    Messages of one problem come in their order, at least once.
    """


async def well() -> None:
    """Each of `watchdogs` is asked while a sample would go all the way: its silence is the alarm."""


def webhooks() -> APIRouter:
    """For `FastAPI(webhooks=...)`: its routes are described and never served."""
    router = APIRouter()
    for reason in NotifyReason:
        router.add_api_route(
            f"problem.{reason.value}",
            told,
            methods=["POST"],
            summary=_SAYS[reason],
            response_model=TicketTaken,
            responses=_ANSWERS,
            operation_id=f"told_problem_{reason.value}",
        )
    heard: dict[int | str, dict[str, Any]] = {200: {"description": "Heard; so is any other 2xx."}}
    router.add_api_route("watchdog", well, methods=["GET"], summary="All is well", responses=heard)
    return router

"""What every answer of the API is made of."""

import math
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

T = TypeVar("T")


_LAST = datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp()


def _moment(value: Any) -> Any:
    """A time that no calendar has, as of a ramp that hardly rises, is the calendar's last."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(min(max(value, 0.0), _LAST), UTC) if math.isfinite(value) else None
    return value


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _moments(values: Any) -> Any:
    return [_moment(one) for one in values] if isinstance(values, list) else values


def _all_finite(values: Any) -> Any:
    return [_finite(one) for one in values] if isinstance(values, list) else values


def _mapping(value: Any) -> Any:
    return value if isinstance(value, dict) else dict(value)


_WHEN = {"examples": ["2026-01-31T09:26:53.589Z"]}
Instant = Annotated[datetime, BeforeValidator(_moment), Field(json_schema_extra=_WHEN)]
"""From epoch seconds."""
MaybeInstant = Annotated[datetime | None, BeforeValidator(_moment), Field(json_schema_extra=_WHEN)]
Number = Annotated[float | None, BeforeValidator(_finite)]
Instants = Annotated[list[datetime], BeforeValidator(_moments)]
"""As `Instant` and `Number`, for hundreds at a time: a call for each costs as much as all the rest."""
Numbers = Annotated[list[float | None], BeforeValidator(_all_finite)]
LabelMap = Annotated[
    dict[str, str],
    BeforeValidator(_mapping),
    Field(json_schema_extra={"examples": [{"service": "checkout", "host": "web-1"}]}),
]


class Schema(BaseModel):
    """Base: built from rows and from objects alike; what is not declared stays inside."""

    model_config = ConfigDict(from_attributes=True, extra="ignore")


class Page(Schema, Generic[T]):
    """One page of a list, newest first."""

    items: list[T]
    next: str | None = Field(
        None, description="Pass it as `cursor` for the page after; null at the end.", examples=["NDE"]
    )

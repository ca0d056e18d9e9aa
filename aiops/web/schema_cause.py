"""Likely causes, as the API tells them."""

from pydantic import Field

from aiops.web.schema_base import Instant, Schema


class Cause(Schema):
    """A component that may have caused a problem."""

    component: str = Field(examples=["redis"])
    score: float
    share: float = Field(description="Its part of all evidence, 0 to 1.")
    reasons: list[str] = Field(description="In words, the strongest first.")
    counterfactual: str = Field(examples=["would not have fired if latency p95 < 412 ms"])


class Causes(Schema):
    """Likely causes, by the last look."""

    at: Instant
    known: bool = Field(description="False: the evidence is thin, and no automation should act on it.")
    because: str = Field(examples=["redis stands out"])
    ranked: list[Cause] = Field(description="The likeliest first.")

"""How tickets are written."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from aiops.config.blocks import Block
from aiops.core.templates import check_template


def _is_template(text: str) -> str:
    check_template(text)
    return text


TemplateText = Annotated[str, AfterValidator(_is_template)]
"""Jinja in a sandbox: expressions, filters, `if`, and one `for`."""


class TicketStyle(Block):
    """Language, texts of one's own, and fields that may not be empty."""

    language: Literal["en", "zh"] = Field("en", description="English or Simplified Chinese.")
    title: TemplateText = Field(
        "",
        description="Jinja over `problem`, the ticket's fields, such as `[{{ problem.severity }}] "
        "{{ problem.title }}`; the usual title when left out.",
    )
    text: TemplateText = Field(
        "", description="Jinja over `problem` for all that a person reads; the usual text when left out."
    )
    defaults: dict[str, str] = Field(
        default_factory=dict,
        description="What stands in a field that would be empty, as in `{labels.category: operations}`.",
    )
    required: list[str] = Field(
        default_factory=list,
        description="Fields, such as `labels.service`; the ticket says which of them are not known.",
    )


class Tickets(TicketStyle):
    """How tickets are written; for single sinks otherwise under `sinks`."""

    sinks: dict[str, TicketStyle] = Field(
        default_factory=dict, description="By the name of a sink: all of the above, in place of it."
    )

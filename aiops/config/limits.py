"""When a value counts as breached, and the hard limits that are declared so."""

from pydantic import Field, model_validator

from aiops.config.blocks import Block
from aiops.core.derived import Derived
from aiops.model.signal import Severity
from aiops.plugin import Duration, SelectorText


class BreachRule(Block):
    """When a value counts as breached."""

    above: float | None = Field(None, description="Breached while the value is greater.")
    below: float | None = Field(None, description="Breached while the value is smaller.")
    for_: Duration = Field(0.0, alias="for", description="How long without a break.")

    @model_validator(mode="after")
    def _one_side(self) -> "BreachRule":
        if (self.above is None) == (self.below is None):
            raise ValueError("give either above or below")
        return self

    @property
    def bound(self) -> float:
        return self.above if self.above is not None else float(self.below or 0.0)

    @property
    def sign(self) -> int:
        """+1 when too high is bad, -1 when too low is."""
        return 1 if self.above is not None else -1


class Limit(Block):
    """A hard limit on series; with a horizon, its crossing is also forecast."""

    name: str = Field("", description="In words; made from the series and the bound when left out.")
    match: SelectorText = Field(description="Which series.")
    share_of: SelectorText | None = Field(
        None,
        description="Judged is the share of these series, of the same labels but those asked for by `=`: "
        "`node_filesystem_size_bytes` for `node_filesystem_avail_bytes`.",
    )
    until: bool = Field(
        False, description="The value is a moment (epoch seconds): judged are the seconds left until then."
    )
    breach: BreachRule
    horizon: Duration = Field(0.0, description="How far ahead a crossing is announced; 0 = not at all.")
    severity: Severity = Field(Severity.MAJOR, description="Of a problem that crosses it, or will.")

    @model_validator(mode="after")
    def _derived_once(self) -> "Limit":
        if self.until and self.share_of:
            raise ValueError("give either share_of or until")
        if (self.until or self.share_of) and not self.derived.metric:
            raise ValueError("with share_of or until, match has to name a metric")
        return self

    @property
    def derived(self) -> Derived:
        """What is judged, with `share_of` or `until`."""
        return Derived(self.match, self.share_of)

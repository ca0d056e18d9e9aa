"""How a plug-in tells the engine what went wrong. It only classifies; the engine retries.

PluginError
+-- Retryable        may work later: the engine backs off, or waits `after` seconds
|   +-- NotConnected   nobody answered; counts against the source's or sink's health
|   +-- Busy           nobody is served just now, whatever is asked
+-- Fatal            will not work again as it stands: a person has to change something
    +-- Unproven       somebody spoke to us without proving who they are
"""


class PluginError(Exception):
    """Base of the tree above; its text is shown to people."""


class Retryable(PluginError):
    """May work later. ``after``: seconds that the other side asked us to wait, if it did.

    ``ambiguous``: the other side may have acted (the answer was lost), so search before repeating.
    """

    def __init__(self, text: str, after: float | None = None, ambiguous: bool = False) -> None:
        super().__init__(text)
        self.after = after
        self.ambiguous = ambiguous


class NotConnected(Retryable):
    """Nobody answered at the address."""


class Busy(Retryable):
    """Nobody is served just now: too much is asked, or the server behind a gateway is away."""


class Fatal(PluginError):
    """Repeating it cannot help."""


class Unproven(Fatal):
    """A signature or token is missing, wrong or too old."""

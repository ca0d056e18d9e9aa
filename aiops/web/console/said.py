"""Words that stand in the store or in the address bar, and those that scripts say: for the catalogue."""

from aiops.web.language import gettext as _
from aiops.web.language import noted

STATES = (
    noted("open"),
    noted("remediating"),
    noted("escalated"),
    noted("resolved"),
    noted("predicted"),
    noted("active"),
    noted("firing"),
    noted("pending"),
    noted("expired"),
    noted("queued"),
    noted("awaiting approval"),
    noted("running"),
    noted("verifying"),
    noted("succeeded"),
    noted("failed"),
    noted("rolled back"),
    noted("interrupted"),
    noted("live"),
    noted("due"),
    noted("sent"),
    noted("dead"),
    noted("closed"),
    noted("created"),
    noted("revoked"),
    noted("critical"),
    noted("major"),
    noted("minor"),
    noted("info"),
    noted("anomaly"),
    noted("forecast"),
    noted("limit"),
    noted("burn"),
    noted("log"),
    noted("foreign"),
    noted("silence"),
    noted("problem"),
    noted("alert"),
    noted("run"),
    noted("delivery"),
    noted("ticket"),
    noted("series"),
    noted("token"),
    noted("account"),
    noted("config"),
    noted("hold"),
    noted("viewer"),
    noted("responder"),
    noted("author"),
    noted("admin"),
    noted("warned"),
    noted("silent"),
    noted("averted"),
    noted("empty"),
    noted("harmless"),
    noted("precheck"),
    noted("step"),
    noted("verify"),
    noted("rollback"),
    noted("planned"),
    noted("begun"),
    noted("done"),
    noted("observe"),
    noted("suggest"),
    noted("approve"),
    noted("auto"),
    noted("opened"),
    noted("breached"),
    noted("updated"),
    noted("reopened"),
    noted("acknowledged"),
    noted("comment"),
)
"""What `words.plain` is asked to translate."""

_TIES = (
    noted("merged into"),
    noted("took in"),
    noted("split from"),
    noted("gave"),
    noted("related"),
)
_LEADS = (
    noted("< 1 min"),
    noted("1-5 min"),
    noted("5-15 min"),
    noted("15-30 min"),
    noted("30-60 min"),
    noted("1-4 h"),
    noted("4-24 h"),
    noted("> 1 d"),
)
_FILTERS = {
    "state": noted("State"),
    "stage": noted("Stage"),
    "severity": noted("Severity"),
    "kind": noted("Kind"),
    "entity": noted("Entity"),
    "sink": noted("Sink"),
}


_SPANS = {
    "7d": noted("The last week"),
    "30d": noted("The last 30 days"),
    "90d": noted("The last 90 days"),
    "365d": noted("The last year"),
}


def span(name: str) -> str:
    """How far back a page looks."""
    return _(_SPANS[name])


def filters(name: str) -> str:
    """A filter's name for those who hear it."""
    return _(_FILTERS[name])


def tie(how: str) -> str:
    """How another problem belongs to this one."""
    return _(how)


def for_scripts() -> dict[str, str]:
    """What scripts say, as data of the page: they carry no words of their own."""
    return {
        "away": _("The engine does not answer; trying again"),
        "silent": _("The engine did not answer"),
        "back": _("The engine is back"),
        "link-copied": _("Link copied"),
        "text-copied": _("Copied as Markdown"),
        "expected": _("expected"),
        "range-to": _("to"),
        "failed": _("That did not work"),
    }

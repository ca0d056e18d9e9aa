"""What the configuration declares of series: limits, SLIs and objectives, as rules."""

from aiops.config import Config
from aiops.config.models import Sli
from aiops.core.derived import Derived
from aiops.core.objectives import Objective
from aiops.core.rootcause_gather import family_of_sli
from aiops.core.rootcause_score import Family
from aiops.core.rules import Rule
from aiops.core.slis import Named
from aiops.model.selector import Selector
from aiops.model.series import NAME, Labels, labels_of
from aiops.model.signal import AlertKind

SLI_METRIC = "forewarn_sli"


def sli_labels(name: str, labels: dict[str, str]) -> Labels:
    """The series under which an SLI's query is recorded."""
    return labels_of({NAME: SLI_METRIC, "sli": name, **labels})


def named_slis(config: Config) -> list[Named]:
    """SLIs over series that a source yields, which are to bear labels of their own."""
    return [Named(sli.of.match, sli.labels) for sli in config.slis if sli.of.match and sli.labels]


def derived_of(config: Config) -> list[Derived]:
    """What limits are judged by that no source yields."""
    return [limit.derived for limit in config.all_limits if limit.until or limit.share_of]


def slis_of(config: Config) -> dict[str, Family]:
    """What each SLI speaks of."""
    return {sli.name: family_of_sli(sli.name, sli.of.query or str(sli.of.match)) for sli in config.slis}


def rules_of(config: Config) -> list[Rule]:
    """Limits and SLIs as rules."""
    rules = []
    for limit in config.all_limits:
        breach = limit.breach
        name = limit.name or f"{limit.match} {'>' if breach.sign > 0 else '<'} {breach.bound:g}"
        rules.append(
            Rule(
                AlertKind.LIMIT,
                name,
                limit.derived.selector if limit.until or limit.share_of else limit.match,
                breach.bound,
                breach.sign,
                limit.severity,
                breach.for_,
                limit.horizon,
                limit.until,
            )
        )
    for sli in config.slis:
        breach = sli.breach
        rules.append(
            Rule(
                AlertKind.SLI,
                sli.name,
                _series_of(sli),
                breach.bound,
                breach.sign,
                sli.severity,
                breach.for_,
                sli.horizon,
            )
        )
    return rules


def objectives_of(config: Config) -> list[Objective]:
    """SLIs that have an objective over a window."""
    return [
        Objective(
            sli.name,
            _series_of(sli),
            sli.objective.target,
            sli.objective.window,
            sli.objective.counts == "share",
            sli.breach.bound,
            sli.breach.sign,
            sli.severity,
        )
        for sli in config.slis
        if sli.objective
    ]


def _series_of(sli: Sli) -> Selector:
    if sli.of.match:
        return Named(sli.of.match, sli.labels).selector
    return Selector.exact(dict(sli_labels(sli.name, sli.labels)))

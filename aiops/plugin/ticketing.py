"""What sinks of ticket systems share: fields by expression, and the way back.

Import it as ``from aiops.plugin.ticketing import TicketSink``.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from html import escape, unescape
from html.parser import HTMLParser
from typing import Annotated, Any, ClassVar, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from aiops.plugin.errors import Fatal, Retryable
from aiops.plugin.expression import LEVELS, Expression, ExpressionError, checked
from aiops.plugin.http import Answer, HttpSink, plain
from aiops.plugin.params import Duration, Secret
from aiops.plugin.signed import verified
from aiops.plugin.sink import Message, SinkChange


def _speaks_of_the_problem(text: str) -> str:
    checked(text, ("problem",))
    return text


FieldText = Annotated[str, AfterValidator(_speaks_of_the_problem)]
"""CEL over `problem`: the ticket's body, and its `level`."""


class TicketSink(HttpSink):
    """Base of sinks whose tickets people work on."""

    rates: ClassVar[tuple[str, ...]] = ()
    """Names of the fields that `rated` gives."""

    mapping: dict[str, FieldText] = Field(
        default_factory=dict,
        description="Further fields of a new ticket: their names there, and CEL over `problem` for their "
        "values, as in `{Priority: 'problem.level >= level.major ? 90 : 10'}`; null leaves it out.",
    )
    follow: list[str] = Field(
        default_factory=list,
        description="Fields that are set anew with each message, so that they keep in step with the problem: "
        "of `mapping`, or what the kind itself sets by severity. All others are people's once they are set.",
    )
    poll: Duration = Field(
        60.0, description="How often it is asked what people did; webhooks are faster. 0: never."
    )
    hook_secret: Secret | None = Field(
        None,
        description="With which the other side proves itself at `/api/v1/inbound/NAME`; see docs/tickets.md.",
    )
    ignore: list[str] = Field(
        default_factory=list,
        description="Users whose doings are not taken for people's, such as other integrations.",
    )

    @model_validator(mode="after")
    def _follows_what_there_is(self) -> Self:
        known = [*self.rates, *self.mapping]
        if unknown := [name for name in self.follow if name not in known]:
            given = ", ".join(known) or "none"
            raise ValueError(
                f"follow: {unknown[0]} is given by nothing: add it to `mapping` (known: {given})"
            )
        return self

    @property
    def poll_every(self) -> float:
        return self.poll

    async def hear(self, headers: Mapping[str, str], body: bytes, now: float) -> list[SinkChange]:
        """Whether the other side speaks. What changed is for `changes` to tell, so a replay does no harm."""
        if self.hook_secret is None:
            raise Fatal(f"sink {self.name}: give `hook_secret` to take webhooks")
        self._prove(plain(self.hook_secret), headers, body, now)
        return []

    # RT sends while it still holds the change's transaction: on SQLite it could not answer us meanwhile

    def _prove(self, secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Raises `Unproven`. By Standard Webhooks, unless the system has a way of its own."""
        verified([secret], headers, body, now)

    def mapped(self, message: Message) -> dict[str, Any]:
        """The values of `mapping`. Raises `Fatal` that names the field whose expression fails."""
        problem = {**message.body, "key": message.key, "level": LEVELS.get(message.severity, 1)}
        found = {}
        for name, text in self.mapping.items():
            try:
                value = Expression(text).value({"problem": problem})
            except ExpressionError as why:
                raise Fatal(f"sink {self.name}: `mapping: {{{name}: ...}}`: {why}") from why
            if value is not None:
                found[name] = value
        return found

    def rated(self, message: Message) -> dict[str, Any]:
        """Fields that say how bad it is, from the severity."""
        return {}

    def followed(self, message: Message) -> dict[str, Any]:
        """What an update sets anew; nothing in what is to be closed. Raises as `mapped` does."""
        if not self.follow or message.reason == "resolved":
            return {}
        fields = {**self.rated(message), **self.mapped(message)}
        return {name: value for name, value in fields.items() if name in self.follow}

    def into(self, message: Message, own: str) -> str:
        """Where in the system the ticket goes: as the route says, else `own`."""
        return str(message.body.get("queue") or own)

    def people(self, who: str, *ours: str) -> bool:
        """Whether `who` is a person: neither empty, nor us, nor to be ignored."""
        return bool(who) and who not in ours and who not in self.ignore


def told_by_us(text: str) -> bool:
    """Whether a text begins with a message's mark: ours, whoever is said to have written it.

    Further down it may stand because a person has quoted us.
    """
    return text.lstrip().startswith("[fw-")


def rows(answer: Answer, *path: str) -> list[dict[str, Any]]:
    """The list of objects at ``path`` of a JSON answer. Raises `Retryable` where there is none."""
    found: Any = answer.object() if path else answer.json()
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, list):
        what = f"no list `{'.'.join(path)}`" if path else "JSON that is no list"
        raise Retryable(
            f"{answer.where} answered {answer.status} with {what}: is `url` its API?", ambiguous=True
        )
    return [one for one in found if isinstance(one, dict)]


def moment(text: Any, zone: tzinfo | str = UTC) -> float:
    """Epoch s of an ISO time, or of ``2026-01-31 09:30:00`` there; 0 for what is no time."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return 0.0
    here = ZoneInfo(zone) if isinstance(zone, str) else zone
    return (at if at.tzinfo else at.replace(tzinfo=here)).timestamp()


def stamp(at: float, zone: tzinfo | str = UTC) -> str:
    """``2026-01-31 09:30:00`` there."""
    here = ZoneInfo(zone) if isinstance(zone, str) else zone
    return datetime.fromtimestamp(at, here).strftime("%Y-%m-%d %H:%M:%S")


def as_html(text: str) -> str:
    """A paragraph for each part of a plain text, its lines kept."""
    parts = escape(text, quote=False).split("\n\n")
    return "".join(f"<p>{part.replace(chr(10), '<br>')}</p>" for part in parts if part.strip())


def without_html(text: str) -> str:
    """The text of a piece of HTML, a line a paragraph; other text as it is."""
    if "<" not in text and "&" not in text:
        return text
    reader = _Text()
    reader.feed(unescape(text) if "<" not in text else text)
    reader.close()
    lines = "".join(reader.parts).splitlines()
    return "\n".join(line.strip() for line in lines if line.strip())


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in ("p", "br", "div", "li", "tr"):
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

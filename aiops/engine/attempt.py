"""Calling an action: once, again where that is safe, and what its answer means. No fault of it escapes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from aiops.config.secret_files import secrets_of
from aiops.core.acts import Retry
from aiops.core.expressions import Expression, ExpressionError
from aiops.core.log_redact import MASK, masked
from aiops.engine.clock import Clock
from aiops.plugin import Action, Fatal, Outcome, PluginError, Retryable
from aiops.plugin.params import format_duration

log = logging.getLogger("aiops.run")

BACKSTOP = 5.0
"""Seconds over its own timeout after which an action that ignores it is cut off."""


SETTLE = 2.0
"""Seconds between a lost answer and the probe: what was asked for may take effect a moment later."""
LOOK = 0.5


async def attempts(
    action: Action,
    retry: Retry,
    key: str,
    context: Mapping[str, Any],
    clock: Clock,
    sure: Callable[[], Awaitable[None]],
) -> Outcome:
    """Do it, and again as `retry` allows; whether it was done, what it said and what it found.

    What may have acted although its answer was lost is done again only when it is idempotent, or when its
    probe says that it has not happened. `sure` is called before each attempt and raises when the run is no
    longer ours.
    """
    left = retry.times
    while True:
        await sure()
        wait = retry.wait
        try:
            came = judged(action, await once(action, key), context)
            again = not came.ok
        except Retryable as why:
            came, again = Outcome(False, str(why)), True
            wait = max(wait, why.after or 0.0)
            if why.ambiguous and not action.idempotent:
                happened = await probe_until(action, key, clock, SETTLE)
                came, again = Outcome(happened is True, str(why)), happened is False
        except Fatal as why:
            came, again = Outcome(False, str(why)), False
        if came.ok or not again or left <= 0:
            return came
        left -= 1
        await clock.sleep(wait)


async def once(action: Action, key: str) -> Outcome:
    """One call. Raises `Retryable` or `Fatal`, and nothing else. What it says is without secrets."""
    try:
        async with asyncio.timeout(action.timeout + BACKSTOP):
            came = await action.run(key)
        mine = _secrets(action)
        return replace(came, output=_discreet(mine, came.output), data=_without(came.data, mine))
    except PluginError as why:
        why.args = (_discreet(_secrets(action), str(why)), *why.args[1:])
        raise
    except TimeoutError as why:
        text = f"{action.kind} did not end within {format_duration(action.timeout)}"
        raise Retryable(text, ambiguous=True) from why
    except Exception as why:
        log.exception("%s: the action %s broke", key, action.kind)
        said = f"the action {action.kind} broke: {type(why).__name__}: {why}"
        raise Fatal(_discreet(_secrets(action), said)) from why


def _discreet(secrets: Sequence[str], text: str) -> str:
    """`text` without `secrets`, those of the action, which servers echo, nor what looks like one.

    It is stored, told to tickets and shown.
    """
    return masked(str(_without(text, secrets)))


def _secrets(action: Action) -> list[str]:
    """Its own, in plain text; what cannot be read was not said either."""
    found = []
    for secret in secrets_of(action):
        with suppress(ValueError):
            found.append(secret.read().get_secret_value())
    return [one for one in found if one]


def _without(value: Any, secrets: Sequence[str]) -> Any:
    """`value` with each of `secrets` blanked, however deep it stands: what is registered is stored, too."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, MASK)
        return value
    if isinstance(value, Mapping):
        return {name: _without(one, secrets) for name, one in value.items()} if secrets else value
    if isinstance(value, list | tuple):
        return [_without(one, secrets) for one in value] if secrets else value
    return value


async def probe(action: Action, key: str) -> bool | None:
    """Whether it has happened; None when that cannot be told, or may not be trusted."""
    if action.never_retry:
        return None
    try:
        async with asyncio.timeout(action.timeout + BACKSTOP):
            return await action.probe(key)
    except Exception as why:
        log.warning("%s: the probe of %s: %s", key, action.kind, why)
        return None


async def probe_until(action: Action, key: str, clock: Clock, seconds: float) -> bool | None:
    """As `probe`, but no is the answer only after `seconds`, in which it may still come about."""
    if type(action).probe is Action.probe:
        return None
    end = clock.now() + seconds
    while True:
        happened = await probe(action, key)
        left = end - clock.now()
        if happened is not False or left <= 0:
            return happened
        await clock.sleep(min(LOOK, left))


def judged(action: Action, outcome: Outcome, context: Mapping[str, Any]) -> Outcome:
    """The outcome by the step's own `expect`, else by what the action itself says.

    The action's own data hides what earlier steps registered, and `problem` hides both.
    """
    if not action.expect:
        return outcome
    try:
        held = Expression(action.expect).test({**context, **outcome.data, "problem": context["problem"]})
    except ExpressionError as why:
        return replace(outcome, ok=False, output=f"{why}\n{outcome.output}")
    said = f"`{action.expect}` {'holds' if held else 'does not hold'}: {outcome.output}"
    return replace(outcome, ok=held, output=said)

"""OpenID Connect, authorization code with PKCE (RFC 7636): the talk with the provider."""

import logging
import secrets
from dataclasses import dataclass
from typing import Any

import httpx

from aiops.config.web import Oidc
from aiops.web.language import noted

log = logging.getLogger("aiops.web")

TIMEOUT = 10.0
"""Seconds for each answer of the provider."""
LEEWAY = 60
"""Seconds by which its clock may differ from ours."""
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures of an ID token that count: never `none`, never one under a shared secret."""

AWAY = noted("The sign-in service does not answer as it should. Try again, or show a token.")
STRANGE = noted("This sign-in was not begun here, or took too long. Begin again.")
REFUSED = noted("The sign-in service did not let you in.")
UNPROVEN = noted("The sign-in service's answer does not hold.")
NO_ROLE = noted("You are known, but none of your groups has a role here.")
CLOSED = noted("This account was closed here.")


class Failed(Exception):
    """Nobody is signed in; the text says why, to the person."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Where to send the person, and what must come back."""

    url: str
    state: str
    verifier: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the provider vouches for."""

    subject: str
    name: str
    groups: list[str]


async def begin(settings: Oidc, back: str) -> Begun:
    """Raises `Failed` when the provider does not say where to go."""
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    async with _client(settings, back) as client:
        about = await _about(settings, client)
        url, _ = client.create_authorization_url(
            about["authorization_endpoint"], state=state, nonce=nonce, code_verifier=verifier
        )
    return Begun(url, state, verifier, nonce)


async def end(settings: Oidc, back: str, code: str, verifier: str, nonce: str) -> Person:
    """Who came back with `code`. Raises `Failed` for anything that does not hold."""
    from authlib.integrations.base_client.errors import OAuthError

    async with _client(settings, back) as client:
        about = await _about(settings, client)
        try:
            given = await client.fetch_token(about["token_endpoint"], code=code, code_verifier=verifier)
            keys = (await client.get(about["jwks_uri"], withhold_token=True)).raise_for_status().json()
            claims = _proven(settings, given.get("id_token", ""), keys, nonce)
            if settings.claim not in claims and "userinfo_endpoint" in about:
                more = (await client.get(about["userinfo_endpoint"])).raise_for_status().json()
                if more.get("sub") != claims["sub"]:
                    raise Failed(UNPROVEN)
                claims = more | claims
        except OAuthError as why:
            raise Failed(REFUSED) from why
        except (httpx.HTTPError, KeyError, ValueError) as why:
            raise Failed(AWAY) from why
    return _person(settings, claims)


def _client(settings: Oidc, back: str) -> Any:
    from authlib.integrations.httpx_client import AsyncOAuth2Client

    try:
        secret = settings.secret.read().get_secret_value() if settings.secret else None
    except ValueError as why:
        log.warning("single sign-on: %s", why)
        raise Failed(AWAY) from why
    return AsyncOAuth2Client(
        client_id=settings.client_id,
        client_secret=secret,
        token_endpoint_auth_method="client_secret_basic" if settings.secret else "none",
        scope=" ".join(settings.scopes),
        redirect_uri=back,
        code_challenge_method="S256",
        timeout=TIMEOUT,
    )


async def _about(settings: Oidc, client: Any) -> dict[str, Any]:
    """The provider's own description (OpenID Connect Discovery 1.0)."""
    url = f"{settings.issuer}/.well-known/openid-configuration"
    try:
        about = (await client.get(url, withhold_token=True)).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as why:
        raise Failed(AWAY) from why
    if not isinstance(about, dict) or str(about.get("issuer", "")).rstrip("/") != settings.issuer:
        raise Failed(AWAY)
    return about


def _proven(settings: Oidc, token: str, keys: Any, nonce: str) -> dict[str, Any]:
    """The claims of an ID token whose signature, issuer, audience, times and nonce hold."""
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    registry = jwt.JWTClaimsRegistry(
        leeway=LEEWAY,
        iss={"essential": True, "values": [settings.issuer, settings.issuer + "/"]},
        aud={"essential": True, "value": settings.client_id},
        nonce={"essential": True, "value": nonce},
        sub={"essential": True},
        exp={"essential": True},
    )
    try:
        found = jwt.decode(token, KeySet.import_key_set(keys), algorithms=ALGORITHMS)
        registry.validate(found.claims)
    except JoseError as why:
        raise Failed(UNPROVEN) from why
    return found.claims


def _person(settings: Oidc, claims: dict[str, Any]) -> Person:
    groups = claims.get(settings.claim, [])
    groups = [groups] if isinstance(groups, str) else groups
    name = str(claims.get("preferred_username") or claims.get("email") or claims["sub"])
    given = [str(one) for one in groups] if isinstance(groups, list) else []
    return Person(str(claims["sub"])[:255], name[:100], given)

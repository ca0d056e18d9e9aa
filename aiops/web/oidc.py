"""OpenID Connect, authorization code with PKCE (RFC 7636): the talk with the provider."""

import logging
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

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
NO_TEAM = noted("You are known, but none of your groups has a team here.")
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
    from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
    from authlib.oauth2.rfc7636 import create_s256_code_challenge

    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    async with httpx.AsyncClient(timeout=TIMEOUT) as client:
        about = await _about(settings, client)
    url = prepare_grant_uri(
        about["authorization_endpoint"],
        settings.client_id,
        "code",
        redirect_uri=back,
        scope=" ".join(settings.scopes),
        state=state,
        nonce=nonce,
        code_challenge=create_s256_code_challenge(verifier),
        code_challenge_method="S256",
    )
    return Begun(url, state, verifier, nonce)


async def end(settings: Oidc, back: str, code: str, verifier: str, nonce: str) -> Person:
    """Who came back with `code`. Raises `Failed` for anything that does not hold."""
    async with httpx.AsyncClient(timeout=TIMEOUT) as client:
        about = await _about(settings, client)
        try:
            given = await _exchanged(settings, client, about["token_endpoint"], back, code, verifier)
            keys = (await client.get(about["jwks_uri"])).raise_for_status().json()
            claims = _proven(settings, str(given.get("id_token", "")), keys, nonce)
            if settings.claim not in claims and "userinfo_endpoint" in about:
                claims = await _more(client, about["userinfo_endpoint"], given["access_token"], claims)
        except (httpx.HTTPError, KeyError, ValueError) as why:
            log.warning("single sign-on: the provider's answer is of no use: %s", why)
            raise Failed(AWAY) from why
    return _person(settings, claims)


async def _exchanged(
    settings: Oidc, client: httpx.AsyncClient, url: str, back: str, code: str, verifier: str
) -> dict[str, Any]:
    """What the provider gives for the code. Raises `Failed` when it gives nothing."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": back,
        "code_verifier": verifier,
        "client_id": settings.client_id,
    }
    auth = None
    if settings.secret is not None:
        try:
            secret = settings.secret.read().get_secret_value()
        except ValueError as why:
            log.warning("single sign-on: %s", why)
            raise Failed(AWAY) from why
        # RFC 6749, 2.3.1: both are form-encoded before they are joined
        auth = httpx.BasicAuth(quote_plus(settings.client_id), quote_plus(secret))
    answer = await client.post(url, data=form, auth=auth or httpx.USE_CLIENT_DEFAULT)
    if 400 <= answer.status_code < 500:
        log.warning("single sign-on: the provider refuses the code: %s", answer.text[:300])
        raise Failed(REFUSED)
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


async def _more(client: httpx.AsyncClient, url: str, token: str, claims: dict[str, Any]) -> dict[str, Any]:
    """The claims, and those of the UserInfo endpoint; what the ID token says goes first."""
    headers = {"Authorization": f"Bearer {token}"}
    more = (await client.get(url, headers=headers)).raise_for_status().json()
    if more.get("sub") != claims["sub"]:
        raise Failed(UNPROVEN)
    return {**more, **claims}


async def _about(settings: Oidc, client: httpx.AsyncClient) -> dict[str, Any]:
    """The provider's own description (OpenID Connect Discovery 1.0)."""
    url = f"{settings.issuer}/.well-known/openid-configuration"
    try:
        about = (await client.get(url)).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as why:
        log.warning("single sign-on: %s: %s", url, why)
        raise Failed(AWAY) from why
    if str(about.get("issuer", "")).rstrip("/") != settings.issuer:
        log.warning("single sign-on: %s speaks for the issuer %s", url, about.get("issuer"))
        raise Failed(AWAY)
    found: dict[str, Any] = about
    return found


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

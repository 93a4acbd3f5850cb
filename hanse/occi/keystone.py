"""Logging in at the Keystone that a cloud names: from the challenge to a scoped token (identity API v3 and v2.0).

The negotiation is a generator of requests, so that the client here and the probe engine can both drive it:

    talk = negotiate("https://keystone.example:5000/", PasswordLogin("anna", "..."))
    ask = next(talk); ...; ask = talk.send(Said(status, headers, body))      # StopIteration.value is the Token

Nothing is sent to another origin than that of the address given: of what Keystone says of itself the paths count.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from hanse.occi.text import excerpt

# ooi and rOCCI name Keystone, Synnefo its own; double quotes or single ones.
_CHALLENGE = re.compile(r"""^\s*(?:Keystone|snf-auth)\s+uri=("|')(.+)\1\s*$""", re.IGNORECASE)
MOST_PROJECTS = 20
_ENOUGH = timedelta(seconds=60)


class LoginError(Exception):
    """Keystone gave no token. A sentence; `status` is the HTTP status of its last answer, 0 for none."""

    def __init__(self, sentence: str, status: int = 0) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class PasswordLogin:
    """A name and a password, in a domain (v3)."""

    user: str
    password: str = field(repr=False)
    domain: str = "Default"


@dataclass(frozen=True)
class ProxyLogin:
    """The TLS client certificate of the connection (a VOMS proxy); names of Keystone's federation are the site's."""

    identity_provider: str = "egi.eu"
    protocols: tuple[str, ...] = ("mapped",)


@dataclass(frozen=True)
class OidcLogin:
    """An access token of an OpenID provider."""

    access_token: str = field(repr=False)
    identity_provider: str = "egi.eu"
    protocols: tuple[str, ...] = ("openid", "oidc")


@dataclass(frozen=True)
class TokenLogin:
    """A Keystone token without a project, which somebody has fetched already."""

    token: str = field(repr=False)


Login = PasswordLogin | ProxyLogin | OidcLogin | TokenLogin


@dataclass(frozen=True)
class Ask:
    """A request to Keystone: a body is sent as JSON."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None


@dataclass(frozen=True)
class Said:
    """What Keystone answered; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Token:
    """A token for one project, good until `expires_at`."""

    id: str = field(repr=False)
    project: str
    expires_at: datetime

    def holds(self, now: datetime) -> bool:
        """Whether it will still be taken in a minute."""
        return self.expires_at - now > _ENOUGH


Talk = Generator[Ask, Said, Token]


def login_address(challenge: str | None) -> str | None:
    """The address in a WWW-Authenticate challenge of Keystone or snf-auth; None when it is another or
    none."""
    match = _CHALLENGE.match(challenge or "")
    return match.group(2) if match else None


def negotiate(address: str, login: Login, project: str = "") -> Talk:
    """Get a token for a project: the one whose name or id is `project`, else each in turn, those of `ops` first.

    Raises LoginError: no version we speak, refused, no project, an answer that is not Keystone's."""
    version, root = yield from _version(address)
    unscoped = yield from (_unscoped_v3 if version == 3 else _unscoped_v2)(root, login)
    projects = yield from _projects(version, root, unscoped)
    last = LoginError(f"{root} lists no project for us.")
    for name, number in _in_order(projects, project):
        try:
            return (yield from _scoped(version, root, unscoped, name, number))
        except LoginError as refused:
            last = refused
    raise last


def _version(address: str) -> Generator[Ask, Said, tuple[int, str]]:
    said = yield Ask("GET", address, {"Accept": "application/json"})
    content = _content(said, address, (200, 300))
    listed = content.get("versions")
    versions = listed.get("values", []) if isinstance(listed, dict) else [content.get("version")]
    for prefix, number in (("v3", 3), ("v2", 2)):
        for one in versions if isinstance(versions, list) else []:
            if isinstance(one, dict) and str(one.get("id", "")).startswith(prefix):
                return number, _self_link(one, address)
    raise LoginError(f"{address} offers neither version 3 nor version 2.0 of the identity API.", said.status)


def _self_link(version: dict[str, Any], address: str) -> str:
    links = version.get("links")
    for link in links if isinstance(links, list) else []:
        if isinstance(link, dict) and link.get("rel") == "self":
            return urljoin(address, urlsplit(str(link.get("href", ""))).path).rstrip("/")
    return address.rstrip("/")


def _unscoped_v3(root: str, login: Login) -> Generator[Ask, Said, str]:
    if isinstance(login, TokenLogin):
        return login.token
    if isinstance(login, PasswordLogin):
        user = {"name": login.user, "domain": {"name": login.domain}, "password": login.password}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
        said = yield _post(f"{root}/auth/tokens", body)
        return _subject_token(said, root)
    headers = {"Authorization": f"Bearer {login.access_token}"} if isinstance(login, OidcLogin) else {}
    said = Said(0, {}, b"")
    for protocol in login.protocols:
        provider = f"{root}/OS-FEDERATION/identity_providers/{quote(login.identity_provider, safe='')}"
        address = f"{provider}/protocols/{quote(protocol, safe='')}/auth"
        said = yield Ask("POST", address, {"Accept": "application/json", **headers}, b"")
        if said.status != 404:
            break
    return _subject_token(said, root)


def _unscoped_v2(root: str, login: Login) -> Generator[Ask, Said, str]:
    if isinstance(login, TokenLogin):
        return login.token
    if isinstance(login, OidcLogin):
        raise LoginError(f"{root} is version 2.0 of the identity API, which takes no OpenID tokens.")
    given: dict[str, Any] = {"voms": True}
    if isinstance(login, PasswordLogin):
        given = {"passwordCredentials": {"username": login.user, "password": login.password}}
    said = yield _post(f"{root}/tokens", {"auth": given})
    return _token_v2(said, root)[0]


def _projects(version: int, root: str, token: str) -> Generator[Ask, Said, list[tuple[str, str]]]:
    place, name = ("auth/projects", "projects") if version == 3 else ("tenants", "tenants")
    said = yield Ask("GET", f"{root}/{place}", {"Accept": "application/json", "X-Auth-Token": token})
    listed = _content(said, root, (200,)).get(name)
    found = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return [(str(one.get("name", "")), str(one["id"])) for one in found if one.get("id")]


def _in_order(projects: list[tuple[str, str]], wanted: str) -> list[tuple[str, str]]:
    if wanted:
        chosen = [one for one in projects if wanted in one]
        if not chosen:
            names = ", ".join(name for name, _ in projects[:MOST_PROJECTS]) or "none"
            raise LoginError(f"There is no project {wanted!r} for us; there are: {names}.")
        return chosen
    return sorted(projects, key=lambda one: "ops" not in one[0].lower())[:MOST_PROJECTS]


def _scoped(version: int, root: str, token: str, name: str, number: str) -> Generator[Ask, Said, Token]:
    if version == 2:
        said = yield _post(f"{root}/tokens", {"auth": {"tenantId": number, "token": {"id": token}}})
        identifier, expires = _token_v2(said, root)
        return Token(identifier, name, expires)
    identity = {"methods": ["token"], "token": {"id": token}}
    body = {"auth": {"identity": identity, "scope": {"project": {"id": number}}}}
    said = yield _post(f"{root}/auth/tokens", body)
    identifier = _subject_token(said, root)
    inside = _content(said, root, (200, 201)).get("token")
    return Token(identifier, name, _time(inside.get("expires_at") if isinstance(inside, dict) else None))


def _post(address: str, body: dict[str, Any]) -> Ask:
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    return Ask("POST", address, headers, json.dumps(body).encode())


def _subject_token(said: Said, root: str) -> str:
    _content(said, root, (200, 201))
    token = said.headers.get("x-subject-token", "")
    if not token:
        raise LoginError(f"{root} answered {said.status} without a token.", said.status)
    return token


def _token_v2(said: Said, root: str) -> tuple[str, datetime]:
    access = _content(said, root, (200, 203)).get("access")
    token = access.get("token") if isinstance(access, dict) else None
    if not isinstance(token, dict) or not token.get("id"):
        raise LoginError(f"{root} answered {said.status} without a token.", said.status)
    return str(token["id"]), _time(token.get("expires"))


def _time(text: object) -> datetime:
    """When a token ends; one that does not say so is kept for a short while only."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return datetime.now(UTC) + 5 * _ENOUGH
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _content(said: Said, address: str, expected: tuple[int, ...]) -> dict[str, Any]:
    if said.status not in expected:
        words = excerpt(said.body[:400].decode("utf-8", "replace").strip(), 160)
        raise LoginError(f"{address} answered {said.status}: {words or 'nothing more'}", said.status)
    try:
        content = json.loads(said.body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise LoginError(f"{address} answered {said.status} with what is not Keystone's JSON.", said.status)
    return content

"""What registry and membership say, as far as the cross-checks compare with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.database import FollowCursor, Followed
from hanse.errors import Unavailable
from hanse.identity import names

Subjects = Mapping[str, str]
Name = TypeVar("Name", bytes, str)
OIDC = "oidc:"
AskMembers = Callable[[str], Subjects]
"""Gives subject by certificate key of the members of a VO, as membership answers it. Raises Unavailable."""


@dataclass(frozen=True)
class KnownSite:
    """A site of the registry: its certification with since when, the VOs it supports, whom to write to."""

    name: str
    certification: str
    certified_since: datetime | None
    vos: frozenset[str]


@dataclass
class Members:
    """Who is, or was, in a VO by certificate subject: until when (None = is a member now).

    `nameless` counts certificates whose subject nobody told: with them, a name that is not found proves nothing.
    `signed_in` are those who come in by OpenID Connect, by principal key.
    """

    until: dict[bytes, datetime | None] = field(default_factory=dict)
    nameless: int = 0
    why: str = ""
    signed_in: dict[str, datetime | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """Sites by name and VOs with their members; None where the feed was never read. `issuers` are the OpenID Connect
    providers that people sign in with.
    """

    sites: Mapping[str, KnownSite] | None
    members: Mapping[str, Members] | None
    issuers: tuple[str, ...] = ()


def same_name(subject: str) -> bytes:
    """A subject as it is compared, however it is written (slash or RFC 2253); another text stands for itself."""
    try:
        return names.canonical(names.parse(subject))
    except (names.NameFault, ValueError):
        return subject.strip().encode()


def known(session: Session, ask_members: AskMembers | None = None, issuers: Sequence[str] = ()) -> Known:
    """Everything that is followed. `ask_members` fills in subjects that no feed tells."""
    read = set(session.scalars(select(FollowCursor.source).where(FollowCursor.pulled_at.is_not(None))))
    return Known(
        sites=_sites(session) if "registry" in read else None,
        members=_members(session, ask_members) if "vomsdb" in read else None,
        issuers=tuple(issuers),
    )


def _bodies(session: Session, kind: str) -> Iterable[dict[str, Any]]:
    return session.scalars(select(Followed.body).where(Followed.kind == kind))


def _sites(session: Session) -> dict[str, KnownSite]:
    return {body["name"]: _site(body) for body in _bodies(session, "site")}


def _site(body: Mapping[str, Any]) -> KnownSite:
    shares = body.get("supports") or ()
    return KnownSite(
        name=body["name"],
        certification=body.get("certification") or "",
        certified_since=_moment(body.get("certification_since")),
        vos=frozenset(share["vo"] for share in shares),
    )


def _moment(value: str | None) -> datetime | None:
    if not value:
        return None
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _members(session: Session, ask_members: AskMembers | None) -> dict[str, Members]:
    """Members by VO: the feed tells their keys, and their subjects come from whoever tells them."""
    told = {
        body["key"]: body["subject_slash"]
        for body in _bodies(session, "identity")
        if body.get("key") and body.get("subject_slash")
    }
    found = {body["name"]: Members() for body in _bodies(session, "vo")}
    bodies = [body for body in _bodies(session, "membership") if body.get("vo") in found]
    asked: dict[str, Subjects] = {}
    for vo in found:
        held = {key for body in bodies if body["vo"] == vo for key in body.get("keys") or ()}
        keys = {key for key in held if not key.startswith(OIDC)}
        if ask_members is not None and keys - set(told):
            asked[vo] = _asked(vo, ask_members, found[vo])
    for body in bodies:
        _enter(found[body["vo"]], body, told | dict(asked.get(body["vo"], {})))
    return found


def _asked(vo: str, ask_members: AskMembers, members: Members) -> Subjects:
    try:
        return ask_members(vo)
    except Unavailable as error:
        members.why = error.detail
        return {}


def _enter(members: Members, body: Mapping[str, Any], told: Subjects) -> None:
    active = body.get("state") == "active"
    ended = None if active else (_moment(body.get("until")) or datetime.min.replace(tzinfo=UTC))
    # newer feeds may tell the subjects themselves
    subjects = [subject for subject in body.get("subjects") or () if subject]
    for key in body.get("keys") or ():
        if key.startswith(OIDC):
            _hold(members.signed_in, key, ended)
        elif key in told:
            subjects.append(told[key])
        elif not body.get("subjects"):
            members.nameless += 1
    for subject in map(same_name, subjects):
        _hold(members.until, subject, ended)


def _hold(until: dict[Name, datetime | None], name: Name, ended: datetime | None) -> None:
    """Who is a member by any membership is one, whatever ended."""
    if ended is None or until.get(name, ended) is not None:
        until[name] = ended


def months_of_use(first: date, last: date) -> str:
    """`November 2026` or `September 2026 to November 2026`."""
    return f"{first:%B %Y}" if first == last else f"{first:%B %Y} to {last:%B %Y}"

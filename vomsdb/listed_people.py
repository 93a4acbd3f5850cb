"""Members as other programs list them: with what stops them and their own attributes, by number, page by page.

Whoever gets no attribute certificate counts as suspended here, for the reason the attribute authority gives: programs
that read such lists know no other way of being stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from hanse.errors import NotFound
from vomsdb import members, vos
from vomsdb.members import Profile
from vomsdb.models import AttributeValue, Certificate, Member, MemberCertificate
from vomsdb.suspensions import WORDS

_AT_ONCE = 5000


@dataclass(frozen=True)
class Listed:
    """A member, what stops it ("" = nothing) and why, and its own attributes by name."""

    profile: Profile
    code: str
    reason: str
    attributes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Stats:
    """How many members there are, removed ones left out; expired ones count as suspended, too."""

    users: int
    suspended: int
    expired: int


def _living(vo: str) -> tuple[ColumnElement[bool], ...]:
    return (Member.vo == vo, Member.state != "removed")


def _has_ended() -> ColumnElement[bool]:
    return or_(Member.state == "expired", Member.until <= func.now())


def _stopped() -> ColumnElement[bool]:
    return or_(Member.state != "active", Member.until <= func.now(), Member.aup_due <= func.now())


def of_vo(session: Session, vo: str, start: int, size: int) -> list[Listed]:
    """The members from the place `start` on, by number. Raises NotFound without the VO."""
    vos.found(session, vo)
    return _listed(
        session, select(Member.id).where(*_living(vo)).order_by(Member.id).offset(start).limit(size)
    )


def suspended(session: Session, vo: str, most: int) -> list[Listed]:
    """Those who are stopped."""
    vos.found(session, vo)
    return _listed(session, select(Member.id).where(*_living(vo), _stopped()).order_by(Member.id).limit(most))


def expired(session: Session, vo: str, most: int) -> list[Listed]:
    """Those whose membership has ended."""
    vos.found(session, vo)
    return _listed(
        session, select(Member.id).where(*_living(vo), _has_ended()).order_by(Member.id).limit(most)
    )


def one(session: Session, vo: str, number: int, key: str) -> Listed:
    """A member by number, or by the key of a certificate where the number is 0. Raises NotFound."""
    held = (
        select(MemberCertificate.member_id)
        .join(Certificate, Certificate.id == MemberCertificate.certificate_id)
        .where(Certificate.key == key)
    )
    which = Member.id == number if number else Member.id.in_(held)
    vos.found(session, vo)
    found = _listed(session, select(Member.id).where(and_(*_living(vo)), which).limit(1))
    if not found:
        raise NotFound(f"{vo} has no such member.")
    return found[0]


def stats(session: Session, vo: str) -> Stats:
    """How many there are. Raises NotFound without the VO."""
    vos.found(session, vo)
    counts = select(func.count(), func.count().filter(_stopped()), func.count().filter(_has_ended())).where(
        *_living(vo)
    )
    users, stopped, ended = session.execute(counts).one()
    return Stats(users, stopped, ended)


def _listed(session: Session, query: Select[int]) -> list[Listed]:
    ids = list(session.scalars(query))
    found: list[Listed] = []
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        values = _values(session, part)
        by_id = {profile.member.id: profile for profile in members.of_ids(session, part)}
        found += [_one(by_id[number], values.get(number, [])) for number in part]
    return found


def _values(session: Session, ids: Sequence[int]) -> dict[int, list[tuple[str, str]]]:
    query = select(AttributeValue.member_id, AttributeValue.name, AttributeValue.value)
    rows = session.execute(query.where(AttributeValue.member_id.in_(ids)).order_by(AttributeValue.name))
    found: dict[int, list[tuple[str, str]]] = {}
    for number, name, value in rows:
        assert number is not None
        found.setdefault(number, []).append((name, value))
    return found


def _one(profile: Profile, attributes: Sequence[tuple[str, str]]) -> Listed:
    member, now = profile.member, datetime.now(UTC)
    code, reason = member.suspension_code or "", member.suspension_reason or ""
    if not code and (member.state == "expired" or member.until <= now):
        code = "MEMBERSHIP_EXPIRATION"
    elif not code and member.aup_due is not None and member.aup_due <= now:
        code = "FAILED_TO_SIGN_AUP"
    return Listed(profile, code, reason or WORDS.get(code, ""), tuple(attributes))


def moment(at: datetime) -> str:
    """A time as VOMS-Admin writes it: UTC, whole seconds, without a zone."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")

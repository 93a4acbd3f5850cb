"""Which groups and roles an attribute certificate may name, for how long, and why somebody gets none.

The rules are those of voms-server, kept because both clients rely on them: every group held is always named, roles
only when asked for, and one thing asked for that is not held fails the whole request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.identity.principals import X509Identity
from hanse.identity.trust import VerifiedChain
from hanse.identity.voms import BACK_DATED, SigningAuthority, VomsError, extract, long_fqan
from vomsdb import generic_attributes, members, suspensions
from vomsdb.models import Certificate, Member, MemberCertificate, Vo

MOST_ASKED = 100
SHORTENED, NOT_FIRST = 2, 1


@dataclass(eq=False)
class Fault(Exception):
    """A refusal as both protocols tell it: word and HTTP status (REST), number (legacy), and a sentence."""

    code: str
    status: int
    number: int
    message: str


def bad_request(message: str) -> Fault:
    """What was asked for cannot be given."""
    return Fault("BadRequest", 400, 1005, message)


def no_such_user(message: str) -> Fault:
    """The caller is nobody this VO knows."""
    return Fault("NoSuchUser", 403, 1001, message)


def suspended(reason: str) -> Fault:
    """The caller is a member who may not act now; both clients show the reason."""
    return Fault("SuspendedUser", 403, 1004, f"User is currently suspended!\nSuspension reason: {reason}")


@dataclass(frozen=True)
class Wanted:
    """One thing asked for: a group, a role in a group, a role wherever held (no path), or everything."""

    path: str | None
    role: str | None = None

    @property
    def fqan(self) -> str:
        """In short form."""
        return f"{self.path or ''}/Role={self.role}" if self.role else f"{self.path}"


EVERYTHING = Wanted(None)


@dataclass(frozen=True)
class Ask:
    """A request for an attribute certificate, as far as both protocols agree."""

    wanted: tuple[Wanted, ...]
    order: tuple[Wanted, ...] = ()
    targets: tuple[str, ...] = ()
    lifetime_s: int = 43200
    list_only: bool = False


@dataclass(frozen=True)
class Warned:
    """Something the client should know although it got its certificate."""

    number: int
    message: str


@dataclass(frozen=True)
class Issued:
    """An attribute certificate (DER; empty when only a list was asked for), what it names, and warnings."""

    der: bytes
    fqans: tuple[str, ...]
    warnings: tuple[Warned, ...]


def issue(
    session: Session, authority: SigningAuthority, ask: Ask, chain: VerifiedChain, cap: timedelta
) -> Issued:
    """Signs what the caller may have, in the transaction that read it. Raises Fault.

    The member stays locked for reading until the transaction ends, so a suspension is either seen here or waits.
    A limited proxy gets nothing: it was made to be given away with fewer rights than its owner's.
    """
    if chain.limited:
        raise bad_request(
            "A limited proxy gets no attribute certificate; use the certificate or a full proxy."
        )
    vo = session.get(Vo, _vo_of(session, ask, chain.identity))
    if vo is None or vo.state != "production":
        raise bad_request(f"{_vo_name(ask)}: this server has no such VO in service.")
    member = _member(session, vo.name, chain.identity)
    fqans = _chosen(session, vo.name, member, ask, chain)
    if ask.list_only:
        return Issued(b"", fqans, ())
    now = datetime.now(UTC)
    asked = now + timedelta(seconds=ask.lifetime_s)
    until, why = _end(asked, now, vo, member, chain, cap)
    warnings = [] if why is None else [_shortened(until - now, why)]
    if ask.order and ask.order[0].fqan != fqans[0]:
        warnings.append(
            Warned(NOT_FIRST, f"{ask.order[0].fqan} could not be selected as the first attribute.")
        )
    generic = [
        (one.name, one.value, one.qualifier) for one in generic_attributes.held(session, member, fqans)
    ]
    lifetime = now - BACK_DATED, until
    der = authority.issue(chain.end_entity, vo.name, fqans, lifetime, ask.targets, generic)
    return Issued(der, fqans, tuple(warnings))


# --- who ----------------------------------------------------------------------------------------------------------


def _vo_of(session: Session, ask: Ask, identity: X509Identity) -> str:
    """The VO of the request: the first part of the paths asked for, or else the only one the caller is in."""
    names = {wanted.path.split("/")[1] for wanted in (*ask.wanted, *ask.order) if wanted.path}
    if len(names) > 1:
        raise bad_request(f"One request concerns one VO, not {', '.join(sorted(names))}.")
    if names:
        return names.pop()
    own = {p.member.vo for p in members.of_keys(session, frozenset({identity.key}))}
    if not own:
        raise no_such_user("User unknown to the VOs of this server.")
    if len(own) > 1:
        raise bad_request(f"You are in several VOs ({', '.join(sorted(own))}); name one of them.")
    return own.pop()


def _vo_name(ask: Ask) -> str:
    return next((w.path.split("/")[1] for w in (*ask.wanted, *ask.order) if w.path), "VO")


def _member(session: Session, vo: str, identity: X509Identity) -> Member:
    query = (
        select(Member, MemberCertificate)
        .join(MemberCertificate, MemberCertificate.member_id == Member.id)
        .join(Certificate, Certificate.id == MemberCertificate.certificate_id)
        .where(Certificate.key == identity.key, Member.vo == vo, Member.state != "removed")
        .with_for_update(read=True, of=[Member, MemberCertificate])
    )
    row = session.execute(query).first()
    if row is None:
        raise no_such_user(f"{vo}: User unknown to this VO.")
    member, link = row
    _check_active(member, link)
    return member


def _check_active(member: Member, link: MemberCertificate) -> None:
    now = datetime.now(UTC)
    if member.state == "suspended":
        words = suspensions.WORDS.get(member.suspension_code or "", "suspended")
        raise suspended(f"{words}: {member.suspension_reason}")
    if member.state == "expired" or member.until <= now:
        raise suspended(
            f"the membership ended on {member.until:%d %b %Y}; ask the VO's managers to extend it"
        )
    if link.state == "suspended":
        raise suspended(f"this certificate is suspended: {link.suspension_reason}")
    if member.aup_due is not None and member.aup_due <= now:
        raise suspended(f"AUP not signed in time; the last day was {member.aup_due:%d %b %Y}")


# --- what ---------------------------------------------------------------------------------------------------------


def _chosen(session: Session, vo: str, member: Member, ask: Ask, chain: VerifiedChain) -> tuple[str, ...]:
    held = members.fqans_of(session, [member])[member.id]
    carried = _carried(chain.proxies, vo)
    if carried is not None:
        held = tuple(fqan for fqan in held if long_fqan(fqan) in carried)
    groups = [fqan for fqan in held if "/Role=" not in fqan]
    named: list[str] = []
    for wanted in ask.wanted:
        named += _satisfied(vo, wanted, held)
    whole = list(dict.fromkeys([*named, *groups]))
    first = [wanted.fqan for wanted in ask.order if wanted.fqan in whole]
    found = tuple(dict.fromkeys([*first, *whole]))
    if not found:
        raise bad_request(f"{vo}: there is nothing in common with what the proxy carries already.")
    return found


def _carried(proxies: Sequence[x509.Certificate], vo: str) -> frozenset[str] | None:
    """What the proxy holds of this VO already; whoever was given it must not get more from here. None = nothing."""
    try:
        found = next(filter(None, map(extract, proxies)), ())
    except VomsError as fault:
        raise bad_request(f"The proxy's own attribute certificate cannot be read: {fault}") from fault
    names = [fqan for certificate in found if certificate.vo == vo for fqan in certificate.fqans]
    return frozenset(names) if names else None


def _satisfied(vo: str, wanted: Wanted, held: Sequence[str]) -> list[str]:
    if wanted == EVERYTHING:
        return list(held)
    if wanted.path is None:
        found = [fqan for fqan in held if fqan.endswith(f"/Role={wanted.role}")]
    else:
        found = [fqan for fqan in held if fqan == wanted.fqan]
    if not found:
        raise bad_request(f"{vo}: Unable to satisfy {wanted.fqan} request!")
    return found


# --- how long -----------------------------------------------------------------------------------------------------


def _end(
    asked: datetime, now: datetime, vo: Vo, member: Member, chain: VerifiedChain, cap: timedelta
) -> tuple[datetime, str | None]:
    """When it ends, and what made that sooner than asked (None = nothing)."""
    limits = [
        (asked, None),
        (now + min(cap, timedelta(seconds=vo.ac_lifetime_s)), "that is the longest this VO gives"),
        (member.until, "your membership ends then"),
        (chain.not_after, "your certificate ends then"),
    ]
    if member.aup_due is not None:
        limits.append((member.aup_due, "the new AUP must be signed by then"))
    return min(limits, key=lambda limit: limit[0])


def _shortened(left: timedelta, why: str) -> Warned:
    """The Java client knows this warning by the word validity."""
    seconds = int(left.total_seconds())
    return Warned(
        SHORTENED, f"The validity of this VOMS AC in your proxy is shortened to {seconds} seconds: {why}."
    )

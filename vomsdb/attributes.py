"""Which groups and roles an attribute certificate may name, for how long, and why somebody gets none.

The rules are those of voms-server, kept because both clients rely on them: every group held is always named, roles
only when asked for, and one thing asked for that is not held fails the whole request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509

from hanse.identity.trust import VerifiedChain
from hanse.identity.voms import BACK_DATED, SigningAuthority, VomsError, extract, long_fqan
from vomsdb import suspensions
from vomsdb.standing import Looks, Membership, Standing

MOST_ASKED = 100
MOST_LOOKS = 5
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
    looks: Looks, authority: SigningAuthority, ask: Ask, chain: VerifiedChain, cap: timedelta
) -> Issued:
    """Signs what the caller may have, and looks again before it is handed out. Raises Fault.

    What was signed for a standing that has changed meanwhile is thrown away: after a suspension is committed nobody
    is handed a certificate. A limited proxy gets nothing: it was made to be given away with fewer rights than its
    owner's.
    """
    if chain.limited:
        raise bad_request(
            "A limited proxy gets no attribute certificate; use the certificate or a full proxy."
        )
    key = chain.identity.key
    vo = _vo_of(looks, ask, key)
    seen = looks.standing(key, vo)
    for _ in range(MOST_LOOKS):
        issued = _issued(seen, authority, ask, chain, cap)
        after = looks.standing(key, vo)
        if after == seen:
            return issued
        seen = after
    raise Fault("InternalError", 500, 1006, "The membership changes just now; try again in a moment.")


def _issued(
    standing: Standing | None, authority: SigningAuthority, ask: Ask, chain: VerifiedChain, cap: timedelta
) -> Issued:
    if standing is None or standing.state != "production":
        raise bad_request(f"{_vo_name(ask)}: this server has no such VO in service.")
    member = _active(standing)
    fqans = _chosen(standing.vo, member, ask, chain)
    if ask.list_only:
        return Issued(b"", fqans, ())
    now = datetime.now(UTC)
    asked = now + timedelta(seconds=ask.lifetime_s)
    until, why = _end(asked, now, standing, member, chain, cap)
    warnings = [] if why is None else [_shortened(until - now, why)]
    if ask.order and ask.order[0].fqan != fqans[0]:
        warnings.append(
            Warned(NOT_FIRST, f"{ask.order[0].fqan} could not be selected as the first attribute.")
        )
    generic = [
        (name, value, whose or standing.vo)
        for name, value, whose in member.values
        if not whose or whose in fqans
    ]
    lifetime = now - BACK_DATED, until
    der = authority.issue(chain.end_entity, standing.vo, fqans, lifetime, ask.targets, generic)
    return Issued(der, fqans, tuple(warnings))


# --- who ----------------------------------------------------------------------------------------------------------


def _vo_of(looks: Looks, ask: Ask, key: str) -> str:
    """The VO of the request: the first part of the paths asked for, or else the only one the caller is in."""
    names = {wanted.path.split("/")[1] for wanted in (*ask.wanted, *ask.order) if wanted.path}
    if len(names) > 1:
        raise bad_request(f"One request concerns one VO, not {', '.join(sorted(names))}.")
    if names:
        return names.pop()
    own = looks.vos(key)
    if not own:
        raise no_such_user("User unknown to the VOs of this server.")
    if len(own) > 1:
        raise bad_request(f"You are in several VOs ({', '.join(own)}); name one of them.")
    return own[0]


def _vo_name(ask: Ask) -> str:
    return next((w.path.split("/")[1] for w in (*ask.wanted, *ask.order) if w.path), "VO")


def _active(standing: Standing) -> Membership:
    """The caller's membership; raises Fault, with the reason, for who is none or may not act now."""
    member, now = standing.membership, datetime.now(UTC)
    if member is None:
        raise no_such_user(f"{standing.vo}: User unknown to this VO.")
    if member.state == "suspended":
        words = suspensions.WORDS.get(member.suspension_code or "", "suspended")
        raise suspended(f"{words}: {member.suspension_reason}")
    if member.state == "expired" or member.until <= now:
        raise suspended(
            f"the membership ended on {member.until:%d %b %Y}; ask the VO's managers to extend it"
        )
    if member.certificate_state == "suspended":
        raise suspended(f"this certificate is suspended: {member.certificate_reason}")
    if member.aup_due is not None and member.aup_due <= now:
        raise suspended(f"AUP not signed in time; the last day was {member.aup_due:%d %b %Y}")
    return member


# --- what ---------------------------------------------------------------------------------------------------------


def _chosen(vo: str, member: Membership, ask: Ask, chain: VerifiedChain) -> tuple[str, ...]:
    held = member.fqans
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
    asked: datetime, now: datetime, vo: Standing, member: Membership, chain: VerifiedChain, cap: timedelta
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

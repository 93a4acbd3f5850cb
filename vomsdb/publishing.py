"""From the tables to signed snapshots, one a state of a VO, and telling the sites that there is a new one."""

from __future__ import annotations

import base64
from functools import lru_cache

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session, defer

from hanse.database import FollowCursor
from hanse.identity.names import rfc2253, slash
from vomsdb import manifests, members, snapshots
from vomsdb.models import (
    Agent,
    Certificate,
    Member,
    MemberCertificate,
    Replica,
    Snapshot,
    Vo,
    VoChange,
)
from vomsdb.press import Press
from vomsdb.snapshots import HeldCertificate

_SUPPORTED = """
    select distinct site.body ->> 'name' as site, supported ->> 'vo' as vo
    from followed site cross join lateral jsonb_array_elements(site.body -> 'supports') supported
    join vo on vo.name = supported ->> 'vo'
    where site.kind = 'site' and coalesce(site.body ->> 'certification', '') not in ('Closed', 'Suspended')
"""


def follow_the_registry(session: Session) -> None:
    """A replica for each VO at each site that supports it, as the registry's feed says; the others go.

    A site that no longer supports a VO gets no further manifest of it, so that its entries end by themselves. While
    the feed has told of no site at all, nothing is taken away.
    """
    wanted = f"insert into replica (site, vo) {_SUPPORTED} order by 1, 2 on conflict do nothing"
    gone = (
        f"delete from replica where (site, vo) not in ({_SUPPORTED})"  # noqa: S608
        " and exists (select from followed where kind = 'site')"
    )
    session.execute(text(wanted))
    session.execute(text(gone))


def registry_read(session: Session) -> tuple[str | None, int, int] | None:
    """By what replicas are to be followed anew: how far the registry's feed was read, and how many VOs there are.

    None while no feed is followed.
    """
    query = select(FollowCursor.epoch, FollowCursor.cursor).where(FollowCursor.source == "registry")
    place = session.execute(query).first()
    if place is None:
        return None
    return place.epoch, place.cursor, session.scalar(select(func.count()).select_from(Vo)) or 0


def publish_changed(session: Session, press: Press) -> int:
    """Snapshots and manifests of all VOs that changed since their last snapshot; how many VOs."""
    newest = select(Snapshot.revision).where(Snapshot.vo == Vo.name).order_by(Snapshot.seq.desc()).limit(1)
    changed = select(func.max(VoChange.revision)).where(VoChange.vo == Vo.name)
    stale = changed.scalar_subquery() > func.coalesce(newest.scalar_subquery(), -1)
    if session.scalar(select(Vo.name).where(stale).limit(1)) is None:
        return 0
    manifests.one_at_a_time(session)
    names = list(session.scalars(select(Vo.name).where(stale).order_by(Vo.name)))
    urgent = [_publish(session, vo, press) for vo in names]
    # agents come last, as with everybody who holds replicas: in another order two would wait for one another
    for vo, how in zip(names, urgent, strict=True):
        if how is not None:
            _tell(session, vo, urgent=how)
    return len(names)


def _publish(session: Session, vo: str, press: Press) -> bool | None:
    """A snapshot of the VO as it is now with its manifests, unless the last one still tells it.

    Returns whether a suspension is among the changes, so that agents are told before all others; None when there is
    nothing to tell.
    """
    covered = session.scalar(select(func.max(VoChange.revision)).where(VoChange.vo == vo)) or 0
    newest = select(Snapshot).where(Snapshot.vo == vo).order_by(Snapshot.seq.desc()).limit(1)
    last = session.scalar(newest.options(defer(Snapshot.payload)))
    current = _state(session, vo)
    content = snapshots.digest(snapshots.snapshot(press.federation, vo, 0, current))
    if last is not None and last.content == content:
        _cover(session, last, covered)
        return None
    urgent = _urgent(session, vo, last.revision if last else 0)
    number = max(last.seq + 1 if last else 1, session.get_one(Vo, vo).least_seq)
    session.add(_make(vo, number, covered, current, content, press))
    session.flush()
    manifests.write(session, press, vo=vo)
    return urgent


def restored(session: Session) -> None:
    """After a restore: every VO is published anew, under a number that no site has seen.

    Sites refuse a state with a lower number than theirs. Seconds since 1970 are more than anything published before.
    """
    session.execute(update(Vo).values(least_seq=func.floor(func.extract("epoch", func.clock_timestamp()))))
    session.execute(update(Snapshot).values(content="", revision=-1))


def _cover(session: Session, snapshot: Snapshot, revision: int) -> None:
    """Changes that cancelled each other are at every site that holds the snapshot already."""
    snapshot.revision = revision
    holding = (Replica.vo == snapshot.vo, Replica.held_sha256 == snapshot.sha256)
    session.execute(update(Replica).where(*holding).values(held_revision=revision))


def _urgent(session: Session, vo: str, since: int) -> bool:
    query = select(func.bool_or(VoChange.urgent)).where(VoChange.vo == vo, VoChange.revision > since)
    return bool(session.scalar(query))


def _make(
    vo: str, seq: int, revision: int, current: list[snapshots.Member], content: str, press: Press
) -> Snapshot:
    envelope = press.key.sign(snapshots.snapshot(press.federation, vo, seq, current))
    return Snapshot(
        sha256=snapshots.digest(envelope.payload),
        vo=vo,
        seq=seq,
        revision=revision,
        members=len(current),
        content=content,
        payload=envelope.payload,
        signature=envelope.signature,
        key_id=envelope.key_id,
    )


def _state(session: Session, vo: str) -> list[snapshots.Member]:
    """Active members with a certificate that is not suspended, by id; none of a VO that is not in production."""
    if session.get_one(Vo, vo).state != "production":
        return []
    active = (Member.vo == vo, Member.state == "active")
    held: dict[int, list[HeldCertificate]] = {}
    certificates = (
        select(MemberCertificate.member_id, Certificate.subject_der, Certificate.issuer_der)
        .join(Certificate, Certificate.id == MemberCertificate.certificate_id)
        .join(Member, Member.id == MemberCertificate.member_id)
        .where(*active, MemberCertificate.state == "active")
        .order_by(Certificate.id)
    )
    for member_id, subject, issuer in session.execute(certificates):
        held.setdefault(member_id, []).append(_held(subject, issuer))
    fqans = members.fqans_in(session, vo)
    rows = select(Member.id, func.least(Member.until, Member.aup_due)).where(*active).order_by(Member.id)
    return [
        snapshots.Member(
            id=str(member_id),
            certs=tuple(held[member_id]),
            fqans=fqans(member_id),
            state="active",
            not_after=snapshots.moment(ends),
        )
        for member_id, ends in session.execute(rows)
        if member_id in held
    ]


@lru_cache(maxsize=20_000)
def _held(subject: bytes, issuer: bytes) -> HeldCertificate:
    return HeldCertificate(
        subject_der=base64.b64encode(subject).decode("ascii"),
        issuer_der=base64.b64encode(issuer).decode("ascii"),
        dn_slash=slash(subject, ascii=True),
        dn_rfc2253=rfc2253(subject),
    )


def _tell(session: Session, vo: str, *, urgent: bool) -> None:
    """Agents of sites with this VO get a push; an urgent one does not wait for the pause after a failure."""
    sites = select(Replica.site).where(Replica.vo == vo)
    waiting = update(Agent).where(Agent.site.in_(sites))
    if urgent:
        session.execute(waiting.values(push_at=func.now(), failures=0))
    else:
        session.execute(waiting.where(Agent.push_at.is_(None)).values(push_at=func.now()))


def purge(session: Session) -> int:
    """Forgets snapshots that no site holds or should hold, a day after the next one was made; how many.

    What a site holds is kept however long the site is away, so that a delta leads it on from there.
    """
    gone = text(
        "delete from snapshot s where s.made_at < now() - interval '1 day'"
        " and exists (select from snapshot n where n.vo = s.vo and n.seq > s.seq"
        " and n.made_at < now() - interval '1 day')"
        " and not exists (select from replica r where s.sha256 = r.sha256 or s.sha256 = r.held_sha256)"
    )
    count: int = session.execute(gone).rowcount  # type: ignore[attr-defined]
    session.execute(text("delete from delta where made_at < now() - interval '7 days'"))
    session.execute(text("delete from attempt where at < now() - interval '30 days'"))
    session.execute(text("delete from acknowledgement where at < now() - interval '90 days'"))
    return count

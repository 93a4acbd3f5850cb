"""From the tables to signed documents: one snapshot per state of a VO, one manifest per site and VO."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from hanse.identity.names import rfc2253, slash
from vomsdb import members, snapshots
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
from vomsdb.snapshots import HeldCertificate, Manifest, SigningKey


@dataclass(frozen=True)
class Press:
    """What is needed to make signed documents."""

    federation: str
    key: SigningKey
    valid_for: timedelta
    """How long a site may go on without hearing more."""


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


def _one_at_a_time(session: Session) -> None:
    """Whoever writes documents waits for the others until their transactions end: they touch the same rows in
    different orders, and two would hold one another up."""
    session.execute(text("select pg_advisory_xact_lock(hashtextextended('vomsdb documents', 0))"))


def publish_changed(session: Session, press: Press) -> int:
    """Snapshots and manifests of all VOs that changed since their last snapshot; how many VOs."""
    newest = select(Snapshot.revision).where(Snapshot.vo == Vo.name).order_by(Snapshot.seq.desc()).limit(1)
    changed = select(func.max(VoChange.revision)).where(VoChange.vo == Vo.name)
    stale = changed.scalar_subquery() > func.coalesce(newest.scalar_subquery(), -1)
    if session.scalar(select(Vo.name).where(stale).limit(1)) is None:
        return 0
    _one_at_a_time(session)
    names = list(session.scalars(select(Vo.name).where(stale).order_by(Vo.name)))
    for vo in names:
        publish(session, vo, press)
    return len(names)


def publish(session: Session, vo: str, press: Press) -> Snapshot:
    """The snapshot of the VO as it is now, made and signed unless the last one still tells it.

    Agents are told at once when something changed, and before all others when a suspension is among the changes.
    """
    _one_at_a_time(session)  # two publishers would give one sequence number twice
    last = session.scalar(select(Snapshot).where(Snapshot.vo == vo).order_by(Snapshot.seq.desc()).limit(1))
    covered = session.scalar(select(func.max(VoChange.revision)).where(VoChange.vo == vo)) or 0
    if last is not None and last.revision >= covered:
        return last
    current = _state(session, vo)
    content = snapshots.digest(snapshots.snapshot(press.federation, vo, 0, current))
    if last is not None and last.content == content:
        _cover(session, last, covered)
        return last
    urgent = _urgent(session, vo, last.revision if last else 0)
    made = _make(vo, last.seq + 1 if last else 1, covered, current, content, press)
    session.add(made)
    session.flush()
    write_manifests(session, press, vo=vo)
    _tell(session, vo, urgent=urgent)
    return made


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
    rows = list(
        session.scalars(select(Member).where(Member.vo == vo, Member.state == "active").order_by(Member.id))
    )
    held: dict[int, list[HeldCertificate]] = {}
    certificates = (
        select(MemberCertificate.member_id, Certificate.subject_der, Certificate.issuer_der)
        .join(Certificate, Certificate.id == MemberCertificate.certificate_id)
        .join(Member, Member.id == MemberCertificate.member_id)
        .where(Member.vo == vo, Member.state == "active", MemberCertificate.state == "active")
        .order_by(Certificate.id)
    )
    for member_id, subject, issuer in session.execute(certificates):
        held.setdefault(member_id, []).append(_held(subject, issuer))
    fqans = members.fqans_of(session, rows)
    return [
        snapshots.Member(
            id=str(member.id),
            certs=tuple(held[member.id]),
            fqans=fqans[member.id],
            state="active",
            not_after=snapshots.moment(min(member.until, member.aup_due or member.until)),
        )
        for member in rows
        if member.id in held
    ]


def _held(subject: bytes, issuer: bytes) -> HeldCertificate:
    return HeldCertificate(
        subject_der=base64.b64encode(subject).decode("ascii"),
        issuer_der=base64.b64encode(issuer).decode("ascii"),
        dn_slash=slash(subject, ascii=True),
        dn_rfc2253=rfc2253(subject),
    )


def write_manifests(
    session: Session,
    press: Press,
    *,
    vo: str | None = None,
    site: str | None = None,
    older_than: timedelta | None = None,
) -> int:
    """Signs a manifest of the newest snapshot for each replica chosen; how many.

    With `older_than` only those whose manifest is older, or names another snapshot than the newest.
    """
    query = select(Replica)
    query = query if vo is None else query.where(Replica.vo == vo)
    query = query if site is None else query.where(Replica.site == site)
    now = datetime.now(UTC)
    newest = _newest(session, vo)
    if not any(_outdated(replica, newest, now, older_than) for replica in session.scalars(query)):
        return 0
    _one_at_a_time(session)
    newest, written = _newest(session, vo), 0
    locked = query.order_by(Replica.site, Replica.vo).with_for_update()
    for replica in session.scalars(locked.execution_options(populate_existing=True)):
        if _outdated(replica, newest, now, older_than):
            _sign(replica, newest[replica.vo], press, now)
            written += 1
    session.flush()
    return written


class _Head(NamedTuple):
    """The newest snapshot of a VO, without its payload."""

    seq: int
    sha256: str


def _newest(session: Session, vo: str | None) -> dict[str, _Head]:
    """By VO; of one VO or of all."""
    query = select(Snapshot.vo, Snapshot.seq, Snapshot.sha256).ext(distinct_on(Snapshot.vo))
    query = query.order_by(Snapshot.vo, Snapshot.seq.desc())
    rows = session.execute(query if vo is None else query.where(Snapshot.vo == vo))
    return {name: _Head(seq, sha256) for name, seq, sha256 in rows}


def _outdated(
    replica: Replica, newest: Mapping[str, _Head], now: datetime, older_than: timedelta | None
) -> bool:
    head = newest.get(replica.vo)
    if head is None:
        return False
    if older_than is None or replica.manifest_at is None or replica.sha256 != head.sha256:
        return True
    return now - replica.manifest_at > older_than


def _sign(replica: Replica, snapshot: _Head, press: Press, now: datetime) -> None:
    replica.seq, replica.sha256 = snapshot.seq, snapshot.sha256
    replica.manifest_at, replica.valid_until = now, now + press.valid_for
    manifest = Manifest(
        federation=press.federation,
        site=replica.site,
        vo=replica.vo,
        seq=snapshot.seq,
        sha256=snapshot.sha256,
        generated_at=snapshots.moment(now),
        valid_until=snapshots.moment(replica.valid_until),
    )
    replica.manifest = press.key.sign(manifest.payload()).as_json()


def _tell(session: Session, vo: str, *, urgent: bool) -> None:
    """Agents of sites with this VO get a push; an urgent one does not wait for the pause after a failure."""
    sites = select(Replica.site).where(Replica.vo == vo)
    waiting = update(Agent).where(Agent.site.in_(sites))
    if urgent:
        session.execute(waiting.values(push_at=func.now(), failures=0))
    else:
        session.execute(waiting.where(Agent.push_at.is_(None)).values(push_at=func.now()))


def purge(session: Session) -> int:
    """Forgets snapshots that no site holds or should hold, the newest of each VO kept; how many."""
    gone = text(
        "delete from snapshot s where s.made_at < now() - interval '7 days'"
        " and exists (select from snapshot n where n.vo = s.vo and n.seq > s.seq)"
        " and not exists (select from replica r where s.sha256 in (r.sha256, r.held_sha256))"
    )
    count: int = session.execute(gone).rowcount  # type: ignore[attr-defined]
    session.execute(text("delete from attempt where at < now() - interval '30 days'"))
    session.execute(text("delete from acknowledgement where at < now() - interval '90 days'"))
    return count

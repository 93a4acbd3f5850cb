"""From rows to what goes over the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

from hanse.errors import FieldFault, Refused
from hanse.identity.principals import X509Identity
from hanse.web import ground
from vomsdb import member_requests
from vomsdb.member_requests import Asked
from vomsdb.members import Profile
from vomsdb.models import Acknowledgement, Application, Aup, GroupManager, Vo, VoManager
from vomsdb.promise import Pair, Promise
from vomsdb.schemas.asked import GroupManagerOut, MemberRequestOut
from vomsdb.schemas.members import CertificateIn
from vomsdb.schemas.people import CertificateOut, MemberOut, RequestOut, SubjectOut, SuspensionOut
from vomsdb.schemas.replication import AcknowledgementOut, PairOut, State
from vomsdb.schemas.vos import AupOut, ManagerOut, VoOut
from vomsdb.settings import VomsdbSettings
from vomsdb.vos import identity_from_names, identity_from_pem

Row = TypeVar("Row")


def settings() -> VomsdbSettings:
    """The settings of this service."""
    held = ground().settings
    assert isinstance(held, VomsdbSettings)
    return held


def promise() -> Promise:
    """The promise of the settings."""
    here = settings()
    return Promise(timedelta(seconds=here.late_after_s), timedelta(seconds=here.breach_after_s))


def number_after(cursor: str | None) -> int:
    """The id to go on after, from a cursor of a list by id. Raises Refused."""
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 16):
        reason = "take it from `next` of the page before"
        raise Refused("The cursor is not one of ours.", FieldFault("cursor", reason))
    return int(cursor)


def cut(rows: Sequence[Row], limit: int) -> tuple[Sequence[Row], bool]:
    """The rows of the page, and whether more follow, from one row more than were asked for."""
    return rows[:limit], len(rows) > limit


def identity_of(given: CertificateIn, field: str) -> X509Identity:
    """Whose certificate it is, from PEM or from the printed names. Raises Refused naming the field."""
    if given.certificate is not None:
        return identity_from_pem(given.certificate, field)
    return identity_from_names(given.subject or "", given.issuer or "", "subject")


def vo_out(vo: Vo, members: int | None = None, managers: Sequence[VoManager] = ()) -> VoOut:
    """A VO's card."""
    return VoOut(
        name=vo.name,
        description=vo.description,
        discipline=vo.discipline,
        scope=vo.scope,
        homepage=vo.homepage,
        state=vo.state,
        aup_version=vo.aup_version,
        membership_days=vo.membership_days,
        ac_lifetime_s=vo.ac_lifetime_s,
        members=members,
        managers=[manager.name for manager in managers],
        created_at=vo.created_at,
    )


def manager_out(manager: VoManager) -> ManagerOut:
    """A manager, for those who may see addresses."""
    return ManagerOut(
        key=manager.key,
        name=manager.name,
        email=manager.email,
        subject=manager.subject,
        issuer=manager.issuer,
        since=manager.since,
    )


def aup_out(aup: Aup) -> AupOut:
    """A version of an AUP."""
    return AupOut(
        vo=aup.vo,
        version=aup.version,
        text=aup.text,
        days_to_sign=aup.days_to_sign,
        published_at=aup.published_at,
        published_by=aup.published_by,
    )


def request_out(application: Application, doubts: Sequence[str] = ()) -> RequestOut:
    """A request, for its applicant and the VO's managers."""
    return RequestOut(
        id=application.id,
        vo=application.vo,
        state=application.state,
        name=application.name,
        email=application.email,
        institution=application.institution,
        motivation=application.motivation,
        known_by="certificate" if application.subject_der is not None else "sign_in",
        subject=application.subject,
        issuer=application.issuer,
        aup_version=application.aup_version,
        created_at=application.created_at,
        expires_at=application.expires_at,
        confirmed_at=application.confirmed_at,
        decided_at=application.decided_at,
        decided_by=application.decided_by_name,
        reason=application.reason,
        member=application.member_id,
        doubts=list(doubts),
    )


def member_out(profile: Profile) -> MemberOut:
    """A member, for the VO's managers and the member."""
    member, person = profile.member, profile.person
    suspension = None
    if member.suspension_code is not None:
        suspension = SuspensionOut(
            code=member.suspension_code,
            reason=member.suspension_reason,
            at=member.suspended_at,
            by=member.suspended_by,
        )
    return MemberOut(
        id=member.id,
        vo=member.vo,
        person=person.id,
        name=person.name,
        email=person.email,
        institution=person.institution,
        kind=member.kind,
        owner=member.owner_id,
        purpose=member.purpose,
        state=member.state,
        suspension=suspension,
        since=member.since,
        until=member.until,
        aup_version=member.aup_version,
        aup_signed_at=member.aup_signed_at,
        aup_due=member.aup_due,
        aup_signed_by=member.aup_signed_by,
        certificates=[
            CertificateOut(
                id=held.certificate.id,
                key=held.certificate.key,
                subject=held.certificate.subject,
                issuer=held.certificate.issuer,
                state=held.state,
                reason=held.reason,
            )
            for held in profile.certificates
        ],
        subjects=[SubjectOut.model_validate(one, from_attributes=True) for one in profile.subjects],
        fqans=list(profile.fqans),
    )


def asked_out(asked: Asked) -> MemberRequestOut:
    """What a member asks for, for the member and for who decides."""
    request = asked.request
    return MemberRequestOut(
        id=request.id,
        vo=request.vo,
        member=request.member_id,
        name=asked.person.name,
        kind=request.kind,
        fqan=member_requests.fqan_of(request),
        subject=request.subject,
        issuer=request.issuer,
        motivation=request.motivation,
        challenge=request.challenge,
        proved_at=request.proved_at,
        state=request.state,
        created_at=request.created_at,
        expires_at=request.expires_at,
        decided_at=request.decided_at,
        decided_by=request.decided_by_name,
        reason=request.reason,
        doubts=list(asked.doubts),
    )


def group_manager_out(manager: GroupManager) -> GroupManagerOut:
    """A manager of a group, for those who may see addresses."""
    return GroupManagerOut.model_validate(manager, from_attributes=True)


def acknowledgement_out(row: Acknowledgement) -> AcknowledgementOut:
    """What a site confirmed."""
    return AcknowledgementOut(
        id=row.id,
        site=row.site,
        vo=row.vo,
        at=row.at,
        sha256=row.sha256,
        changes=row.changes,
        oldest_change_at=row.oldest_change_at,
        took_s=max(0, int((row.at - row.oldest_change_at).total_seconds())),
    )


def pair_out(pair: Pair) -> PairOut:
    """A VO at a site."""
    return PairOut(
        site=pair.site,
        vo=pair.vo,
        state=pair.state,
        age_s=pair.age_s,
        why=pair.why,
        missing=pair.missing,
        expected=State(seq=pair.expected_seq, sha256=pair.expected_sha256),
        held=State(seq=pair.held_seq, sha256=pair.held_sha256),
        since=pair.since,
        acked_at=pair.acked_at,
        applied_at=pair.applied_at,
        valid_until=pair.valid_until,
        counts=dict(pair.counts),
        errors=list(pair.errors),
        agent_version=pair.agent_version,
        heard_at=pair.heard_at,
        clock_off_s=pair.clock_off_s,
    )

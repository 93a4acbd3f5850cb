"""Requests to join a VO: sent, confirmed by mail, decided once by a manager who is somebody else.

submitted -> pending (e-mail confirmed) -> approved | rejected (reason)
submitted, pending -> withdrawn | expired
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.principals import Principal
from hanse.revisions import Actor
from vomsdb import mails, members, vos
from vomsdb.ledger import Ledger, actor, revision
from vomsdb.models import Application, Certificate, Vo

OPEN = ("submitted", "pending")


@dataclass(frozen=True)
class Form:
    """What an applicant fills in."""

    name: str
    email: str
    institution: str
    motivation: str
    aup_version: int
    aup_accepted: bool


@dataclass(frozen=True)
class Terms:
    """How requests are handled: where people confirm, and for how long."""

    confirm_url: str
    """Address that a token is appended to."""
    confirm_within: timedelta
    decide_within: timedelta


def submit(session: Session, vo_name: str, form: Form, by: Principal, terms: Terms) -> Application:
    """A new request; a mail with the confirmation link is queued. Raises Refused, Conflict, NotFound."""
    vo = vos.found(session, vo_name)
    shown = _shown(by)
    _check_form(vo, form)
    _check_not_member(session, vo.name, by)
    token = secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    application = Application(
        vo=vo.name,
        **shown,
        name=form.name,
        email=form.email,
        institution=form.institution,
        motivation=form.motivation,
        aup_version=form.aup_version,
        created_at=now,
        expires_at=now + terms.confirm_within,
        token_hash=token_hash(token),
    )
    _insert(session, application)
    _ask_to_confirm(session, application, terms.confirm_url + token)
    with revision(
        session, actor(by), f"request to join {vo.name}, AUP version {form.aup_version} accepted"
    ) as log:
        put(log, application)
    return application


def _shown(by: Principal) -> dict[str, Any]:
    """What the applicant is known by: a certificate, or the subject of an identity provider. Raises Refused."""
    if by.x509 is not None:
        return {
            "key": by.x509.key,
            "subject_der": by.x509.subject_der,
            "issuer_der": by.x509.issuer_der,
            "subject": by.x509.subject_slash,
            "issuer": by.x509.issuer_slash,
        }
    if by.oidc is not None:
        return {"key": by.oidc.key, "subject": by.oidc.subject, "issuer": by.oidc.issuer}
    raise Refused(
        "Apply with your certificate, or signed in with your institution: a token proves no new person."
    )


def _check_form(vo: Vo, form: Form) -> None:
    faults = []
    if not form.aup_accepted:
        faults.append(FieldFault("aup_accepted", f"must be given: {vo.name} takes nobody without it"))
    if form.aup_version != vo.aup_version:
        faults.append(
            FieldFault("aup_version", f"must be {vo.aup_version}, the version in force; read it first")
        )
    if form.email.count("@") != 1 or any(c.isspace() for c in form.email) or form.email.startswith("-"):
        faults.append(FieldFault("email", "must be one address, as anna@example.org"))
    if not form.name.strip():
        faults.append(FieldFault("name", "must not be empty"))
    if vo.state != "production":
        raise Refused(f"{vo.name} is {vo.state} and takes no members.")
    if faults:
        raise Refused("The request cannot be sent yet.", *faults)


def _check_not_member(session: Session, vo: str, by: Principal) -> None:
    for own in members.of_keys(session, by.keys | {by.key}):
        if own.member.vo == vo:
            raise Conflict(f"You are a member of {vo} already ({own.member.state}).")


def _insert(session: Session, application: Application) -> None:
    try:
        with session.begin_nested():
            session.add(application)
            session.flush()
    except IntegrityError as fault:
        raise Conflict(f"You have an open request to join {application.vo} already; see /me.") from fault


def token_hash(token: str) -> str:
    """Only this stands in the database, so that nobody can confirm from a copy of it."""
    return hashlib.sha256(token.encode()).hexdigest()


def _ask_to_confirm(session: Session, application: Application, link: str) -> None:
    mails.write(
        session,
        application.email,
        "confirm_address",
        f"application:{application.id}",
        application.vo,
        request=application,
        link=link,
    )


def by_token(session: Session, token: str) -> Application:
    """The request a confirmation token belongs to; reading changes nothing. Raises NotFound, Conflict."""
    application = session.scalar(select(Application).where(Application.token_hash == token_hash(token)))
    if application is None:
        raise NotFound("This confirmation link is not known here. Copy it whole from the mail.")
    if application.state != "submitted":
        raise Conflict(f"This link was used already: the request is {application.state}.")
    if application.expires_at <= datetime.now(UTC):
        raise Conflict("This link has expired; send a new request.")
    return application


def confirm(session: Session, token: str, terms: Terms) -> Application:
    """The address is real: the request waits for a manager now. Raises NotFound, Conflict."""
    application = locked(session, by_token(session, token).id)
    if application.state != "submitted":
        raise Conflict(f"This link was used already: the request is {application.state}.")
    now = datetime.now(UTC)
    application.state, application.confirmed_at = "pending", now
    application.expires_at = now + terms.decide_within
    for manager in vos.managers_of(session, application.vo):
        if manager.email:
            _tell_manager(session, application, manager.name, manager.email)
    with revision(session, Actor(application.key, application.name), "e-mail address confirmed") as ledger:
        put(ledger, application)
    return application


def _tell_manager(session: Session, application: Application, name: str, email: str) -> None:
    about = f"application:{application.id}"
    mails.write(session, email, "application_waits", about, application.vo, request=application, name=name)


def locked(session: Session, application_id: int) -> Application:
    """The request as it is now, held until the transaction ends; raises NotFound."""
    application = session.scalar(
        select(Application)
        .where(Application.id == application_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if application is None:
        raise NotFound(f"There is no request {application_id}.")
    return application


def tell_applicant(session: Session, application: Application, words: str) -> None:
    """Queues a mail about where the request stands."""
    about = f"application:{application.id}"
    mails.write(
        session,
        application.email,
        "application_state",
        about,
        application.vo,
        request=application,
        words=words,
    )


def put(ledger: Ledger, application: Application) -> None:
    """Requests stand in the log without what only concerns the person and the manager."""
    body = {
        "vo": application.vo,
        "key": application.key,
        "state": application.state,
        "aup_version": application.aup_version,
        "reason": application.reason,
    }
    ledger.put("application", str(application.id), body)


# --- looking ------------------------------------------------------------------------------------------------------


def in_vo(session: Session, vo: str, state: str | None, after: int = 0, limit: int = 50) -> list[Application]:
    """Requests to join the VO, oldest first."""
    query = select(Application).where(Application.vo == vo, Application.id > after)
    if state is not None:
        query = query.where(Application.state == state)
    return list(session.scalars(query.order_by(Application.id).limit(limit)))


def one(session: Session, vo: str, application_id: int) -> Application | None:
    """One request to join the VO."""
    application = session.get(Application, application_id)
    return application if application is not None and application.vo == vo else None


def of_keys(session: Session, keys: frozenset[str]) -> list[Application]:
    """Somebody's own requests, newest first."""
    return list(
        session.scalars(select(Application).where(Application.key.in_(keys)).order_by(Application.id.desc()))
    )


def pending_count(session: Session, vo: str | None = None) -> int:
    """How many requests wait for a decision."""
    query = select(func.count()).select_from(Application).where(Application.state == "pending")
    return session.scalar(query if vo is None else query.where(Application.vo == vo)) or 0


def unconfirmed_count(session: Session, vo: str) -> int:
    """How many applicants have not confirmed their address yet."""
    query = select(func.count()).select_from(Application)
    return session.scalar(query.where(Application.vo == vo, Application.state == "submitted")) or 0


def doubts(session: Session, applications: Sequence[Application]) -> dict[int, list[str]]:
    """What a manager should know before approving, for each request; nothing speaks against most."""
    subjects = [application.subject for application in applications]
    same_name: dict[str, set[str]] = {}
    for subject, key in session.execute(
        select(Certificate.subject, Certificate.key).where(Certificate.subject.in_(subjects))
    ):
        same_name.setdefault(subject, set()).add(key)
    for application in applications:
        same_name.setdefault(application.subject, set()).add(application.key)
    earlier = select(Application.key, Application.vo).where(
        Application.state == "rejected", Application.key.in_([a.key for a in applications])
    )
    rejected = {(key, vo) for key, vo in session.execute(earlier)}
    found: dict[int, list[str]] = {}
    for application in applications:
        notes = found.setdefault(application.id, [])
        if same_name[application.subject] - {application.key}:
            notes.append("same name, another CA")
        if (application.key, application.vo) in rejected:
            notes.append("was rejected before")
    return found

"""What the buttons on members' pages do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from flask import flash, redirect, request
from pydantic import Field
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as AnyResponse

from hanse.errors import Conflict, FieldFault, HanseError, Refused
from hanse.identity.permissions import Permission
from hanse.identity.principals import Subject
from hanse.web import FormFaults, Pages, authorise, current_principal, ground, read_form
from vomsdb import (
    aups,
    certificates,
    generic_attributes,
    group_managers,
    groups,
    lifetimes,
    members,
    robots,
    subjects,
    suspensions,
)
from vomsdb.permissions import ARRANGE_MEMBER, CERTIFY, LINK, PUBLISH_AUP, REMOVE, SIGN_FOR, SUSPEND
from vomsdb.robots import Account
from vomsdb.schemas.fields import Fqan, Id, Issuer, Line, Name, Pem, Reason, SubjectName, Text, Wire
from vomsdb.views.members import member_page
from vomsdb.vos import identity_from_pem

pages = Pages("vomsdb_member_acts", __name__)


class MemberForm(Wire):
    """What can be done on a member's page."""

    action: Literal[
        "suspend", "restore", "give", "take", "remove", "prolong", "add", "drop", "link", "owner", "ask", "sign",
        "value", "no-value", "drop-subject", "add-subject",
    ]  # fmt: skip
    code: Literal["SECURITY_INCIDENT", "HR_DB_VALIDATION", "OTHER"] = "OTHER"
    reason: Reason = ""
    certificate: Id | None = None
    subject: Id | None = None
    issuer: Issuer | None = None
    sub: SubjectName | None = None
    pem: Pem = ""
    fqan: Fqan | None = None
    until: date | None = None
    owner: Id | None = None
    version: Annotated[int, Field(ge=1)] = 1
    attribute: Line = ""
    value: Line = ""


@pages.post("/members/<int:member_id>", permission=SUSPEND)
def change_member(member_id: int) -> AnyResponse:
    """One act on one member, each with its own permission."""
    filled, form = read_form(MemberForm)
    if filled is None:
        return member_page(member_id, form, 422)
    permission, act = _ACTS[filled.action]
    try:
        with ground().db.transaction() as session:
            vo = members.profile(session, member_id).member.vo
            authorise(permission, f"vo:{vo}")
            act(session, member_id, filled)
    except (Refused, Conflict) as fault:
        return member_page(member_id, FormFaults.of(fault, request.form.to_dict()), 422)
    return redirect(f"/vos/{vo}/members" if filled.action == "remove" else f"/members/{member_id}", 303)


def _suspend(session: Session, member_id: int, filled: MemberForm) -> None:
    caller = current_principal()
    if filled.certificate:
        certificates.suspend_certificate(session, member_id, filled.certificate, filled.reason, caller)
    else:
        suspensions.suspend(session, member_id, filled.code, filled.reason, caller)


def _restore(session: Session, member_id: int, filled: MemberForm) -> None:
    caller = current_principal()
    if filled.certificate:
        certificates.restore_certificate(session, member_id, filled.certificate, filled.reason, caller)
    else:
        suspensions.restore(session, member_id, filled.reason, caller)


def _arrange(session: Session, member_id: int, filled: MemberForm) -> None:
    if filled.fqan is None:
        raise Refused("Choose a group or role.", FieldFault("fqan", "must be chosen"))
    caller, member = current_principal(), members.locked(session, member_id)
    group_managers.check_may_arrange(session, member, filled.fqan, caller)
    act = groups.give if filled.action == "give" else groups.take
    act(session, member_id, filled.fqan, caller)


def _add_subject(session: Session, member_id: int, filled: MemberForm) -> None:
    if filled.issuer is None or filled.sub is None:
        missing = [name for name in ("issuer", "sub") if getattr(filled, name) is None]
        raise Refused("Say whose sign-in it is.", *(FieldFault(name, "must be given") for name in missing))
    subjects.add(session, member_id, Subject(filled.issuer, filled.sub), current_principal())


def _drop_subject(session: Session, member_id: int, filled: MemberForm) -> None:
    subjects.drop(session, member_id, filled.subject or 0, filled.reason, current_principal())


def _prolong(session: Session, member_id: int, filled: MemberForm) -> None:
    lifetimes.prolong(session, member_id, end_of(filled.until), current_principal())


def end_of(day: date | None) -> datetime | None:
    """The last moment of a day, UTC."""
    return None if day is None else datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=UTC)


def _remove(session: Session, member_id: int, filled: MemberForm) -> None:
    lifetimes.remove(session, member_id, filled.reason, current_principal())


def _add(session: Session, member_id: int, filled: MemberForm) -> None:
    certificates.add(session, member_id, identity_from_pem(filled.pem, "pem"), current_principal())


def _drop(session: Session, member_id: int, filled: MemberForm) -> None:
    certificates.drop(session, member_id, filled.certificate or 0, filled.reason, current_principal())


def _link(session: Session, member_id: int, filled: MemberForm) -> None:
    key = identity_from_pem(filled.pem, "pem").key
    certificates.link(session, member_id, key, filled.reason, current_principal())


def _owner(session: Session, member_id: int, filled: MemberForm) -> None:
    robots.hand_over(session, member_id, filled.owner or 0, filled.reason, current_principal())


def _ask(session: Session, member_id: int, filled: MemberForm) -> None:
    vo = members.profile(session, member_id).member.vo
    aups.ask_again(session, vo, member_id, 15, current_principal())


def _sign(session: Session, member_id: int, filled: MemberForm) -> None:
    aups.sign_for(session, member_id, filled.version, filled.reason, current_principal())


def _value(session: Session, member_id: int, filled: MemberForm) -> None:
    caller = current_principal()
    if filled.action == "value":
        generic_attributes.set_of_member(session, member_id, filled.attribute, filled.value, caller)
    else:
        vo = members.profile(session, member_id).member.vo
        generic_attributes.unset_of_member(session, vo, member_id, filled.attribute, caller)


_ACTS: Mapping[str, tuple[Permission, Callable[[Session, int, MemberForm], None]]] = {
    "suspend": (SUSPEND, _suspend),
    "restore": (SUSPEND, _restore),
    "give": (ARRANGE_MEMBER, _arrange),
    "take": (ARRANGE_MEMBER, _arrange),
    "prolong": (REMOVE, _prolong),
    "remove": (REMOVE, _remove),
    "add": (CERTIFY, _add),
    "drop": (CERTIFY, _drop),
    "drop-subject": (CERTIFY, _drop_subject),
    "add-subject": (CERTIFY, _add_subject),
    "link": (LINK, _link),
    "owner": (CERTIFY, _owner),
    "ask": (PUBLISH_AUP, _ask),
    "sign": (SIGN_FOR, _sign),
    "value": (CERTIFY, _value),
    "no-value": (CERTIFY, _value),
}


class ProlongForm(Wire):
    """The ticked ones of the list of memberships that end; without a day by the VO's usual days."""

    member: list[Id] = Field(default_factory=list, max_length=500)
    until: date | None = None


@pages.post("/vos/<vo>/ending", permission=REMOVE)
def prolong_ticked(vo: str) -> AnyResponse:
    """Each by itself: one that is refused does not stop the others."""
    authorise(REMOVE, f"vo:{vo}")
    filled, faults = read_form(ProlongForm)
    if filled is None:
        raise Refused("Nothing was prolonged.", *(FieldFault(k, v) for k, v in faults.faults.items()))
    done = 0
    for number in filled.member:
        try:
            with ground().db.transaction() as session:
                members.in_vo(session, vo, number)
                lifetimes.prolong(session, number, end_of(filled.until), current_principal())
            done += 1
        except HanseError as fault:
            flash(f"Member {number}: {fault.detail}")
    flash(f"{done} prolonged." if filled.member else "Nobody was ticked, so nothing was prolonged.")
    return redirect(f"/vos/{vo}/ending", 303)


class RobotForm(Wire):
    """A new robot or service."""

    kind: Literal["robot", "service"] = "robot"
    name: Name
    purpose: Text = ""
    pem: Pem


@pages.post("/members/<int:member_id>/robots", permission=CERTIFY)
def create_robot(member_id: int) -> AnyResponse:
    """A robot or a service of which the member is the owner."""
    filled, form = read_form(RobotForm)
    if filled is None:
        return member_page(member_id, form, 422)
    try:
        with ground().db.transaction() as session:
            vo = members.profile(session, member_id).member.vo
            authorise(CERTIFY, f"vo:{vo}")
            identity = identity_from_pem(filled.pem, "pem")
            account = Account(filled.kind, filled.name, filled.purpose, member_id, identity)
            made = robots.create(session, vo, account, current_principal()).id
    except (Refused, Conflict) as fault:
        return member_page(member_id, FormFaults.of(fault, request.form.to_dict()), 422)
    return redirect(f"/members/{made}", 303)

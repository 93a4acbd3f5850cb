"""VOMS-Admin's JSON API (apiv2), as its command line and workload managers call it, with or without `.action`.

A client certificate, and on each call the header X-VOMS-CSRF-GUARD with any value. Errors come as `actionErrors`, under
the status that says what they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, request
from werkzeug.exceptions import BadRequest, HTTPException

from hanse.errors import FieldFault, HanseError, NotFound, Refused
from hanse.identity.permissions import check
from hanse.web import Protocol, current_principal, ground
from hanse.web.problems import status_of
from vomsdb import listed_people, members, suspensions
from vomsdb.importing import single
from vomsdb.importing.records import CertificateRecord, PersonRecord
from vomsdb.listed_people import Listed
from vomsdb.permissions import DECIDE, SEE_MEMBERS, SUSPEND
from vomsdb.vos import identity_from_names

protocol = Protocol("vomsdb_voms_admin", __name__)
GUARD = "X-VOMS-CSRF-GUARD"
PATH = "/voms/<vo>/apiv2/<action>"
PAGE = 100
MOST = 10_000
LONGEST_BODY = 65_536
Answer = Mapping[str, Any]


@protocol.errorhandler(HanseError)
def refused(fault: HanseError) -> Response:
    """The reason where VOMS-Admin's clients look for it."""
    words = " ".join([fault.detail, *(f"{one.field}: {one.reason}." for one in fault.fields)])
    return _json({"actionErrors": [words]}, status_of(fault))


@protocol.errorhandler(HTTPException)
def refused_early(fault: HTTPException) -> Response:
    """What was refused before it was read."""
    return _json({"actionErrors": [fault.description or fault.name]}, fault.code or 500)


@protocol.route(PATH, ["GET"], permission=SEE_MEMBERS)
def read(vo: str, action: str) -> Response:
    """users, user-info, suspended-users, expired-users, user-stats."""
    _guarded()
    answer = _named(READS, action)(vo)
    return _json(answer)


@protocol.route(PATH, ["POST"], permission=SUSPEND)
def write(vo: str, action: str) -> Response:
    """create-user, suspend-user, restore-user."""
    check(current_principal(), SUSPEND, f"vo:{vo}")
    _guarded()
    return _json(_named(WRITES, action)(vo, _body()))


def _guarded() -> None:
    if GUARD not in request.headers:
        raise BadRequest(f"The header {GUARD} is missing; send it with any value.")


def _named(table: Mapping[str, Callable[..., Answer]], action: str) -> Callable[..., Answer]:
    name = action.removesuffix(".action")
    if name not in table:
        raise NotFound(f"There is no {name[:100]} here; there are {', '.join(table)}.")
    return table[name]


def _json(answer: Answer, status: int = 200) -> Response:
    return Response(json.dumps(answer), status, content_type="application/json")


# --- reading ------------------------------------------------------------------------------------------------------


def _users(vo: str) -> Answer:
    start, size = _number("startIndex", 0), min(_number("pageSize", PAGE) or PAGE, MOST)
    with ground().db.transaction() as session:
        found = listed_people.of_vo(session, vo, start, size)
        count = listed_people.stats(session, vo).users
        return {"startIndex": start, "pageSize": size, "count": count, "result": [user(one) for one in found]}


def _number(name: str, usual: int) -> int:
    given = request.args.get(name, "")
    if not given:
        return usual
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        raise Refused("The page cannot be given.", FieldFault(name, "must be a number"))
    return int(given)


def _user_info(vo: str) -> Answer:
    number, dn, ca = _number("userId", 0), request.args.get("dn", ""), request.args.get("ca", "")
    if not number and not (dn and ca):
        raise Refused("Nobody is named.", FieldFault("userId", "give it, or dn and ca"))
    with ground().db.transaction() as session:
        key = "" if number else identity_from_names(dn, ca, "dn").key
        return user(listed_people.one(session, vo, number, key))


def _suspended(vo: str) -> Answer:
    with ground().db.transaction() as session:
        found = listed_people.suspended(session, vo, MOST)
        return {"suspendedUsers": [user(one) for one in found]}


def _expired(vo: str) -> Answer:
    with ground().db.transaction() as session:
        return {"expiredUsers": [user(one) for one in listed_people.expired(session, vo, MOST)]}


def _stats(vo: str) -> Answer:
    with ground().db.transaction() as session:
        found = listed_people.stats(session, vo)
    return {
        "usersCount": found.users,
        "suspendedUsersCount": found.suspended,
        "expiredUsersCount": found.expired,
    }


def user(one: Listed) -> dict[str, Any]:
    """A member as VOMS-Admin describes a user; what it knows beside that is null."""
    member, person = one.profile.member, one.profile.person
    first, _, last = person.name.rpartition(" ")
    return {
        "id": member.id,
        "name": first or last,
        "surname": last if first else None,
        "institution": person.institution or None,
        "address": None,
        "phoneNumber": None,
        "emailAddress": person.email,
        "creationTime": listed_people.moment(member.since),
        "endTime": listed_people.moment(member.until),
        "suspended": bool(one.code),
        "suspensionReasonCode": one.code or None,
        "suspensionReason": one.reason or None,
        "certificates": [
            {
                "subjectString": held.certificate.subject,
                "issuerString": held.certificate.issuer,
                "creationTime": listed_people.moment(held.certificate.added_at),
                "suspended": held.state == "suspended",
                "suspensionReason": held.reason,
            }
            for held in one.profile.certificates
        ],
        "fqans": list(one.profile.fqans),
        "attributes": [{"name": name, "value": value} for name, value in one.attributes],
        "aupAcceptanceRecords": [
            {
                "aupVersion": str(member.aup_version),
                "lastAcceptanceDate": listed_people.moment(member.aup_signed_at),
                "daysBeforeExpiration": None,
                "valid": member.aup_due is None,
            }
        ],
    }


READS: Mapping[str, Callable[[str], Answer]] = {
    "users": _users,
    "user-info": _user_info,
    "suspended-users": _suspended,
    "expired-users": _expired,
    "user-stats": _stats,
}


# --- writing ------------------------------------------------------------------------------------------------------


def _body() -> Mapping[str, Any]:
    if (request.content_length or 0) > LONGEST_BODY:
        raise Refused(f"The body has more than {LONGEST_BODY:,} bytes.")
    sent = request.get_data()
    if len(sent) > LONGEST_BODY:
        raise Refused(f"The body has more than {LONGEST_BODY:,} bytes.")
    try:
        body = json.loads(sent)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Refused(
            "The body is no JSON object.", FieldFault("body", "must be as VOMS-Admin's clients send it")
        )
    return body


def _text(body: Mapping[str, Any], name: str, longest: int = 512) -> str:
    value = body.get(name, "")
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > longest or not value.isprintable():
        raise Refused(
            "The call cannot be carried out.", FieldFault(name, f"must be a text of {longest} signs at most")
        )
    return value.strip()


def _suspend(vo: str, body: Mapping[str, Any]) -> Answer:
    reason = _text(body, "suspensionReason")
    with ground().db.transaction() as session:
        number = listed_people.one(session, vo, 0, _key(body)).profile.member.id
        suspensions.suspend(session, number, "OTHER", reason, current_principal())
    return {"actionMessages": [f"Member {number} is suspended."]}


def _restore(vo: str, body: Mapping[str, Any]) -> Answer:
    with ground().db.transaction() as session:
        number = listed_people.one(session, vo, 0, _key(body)).profile.member.id
        suspensions.restore(session, number, "restored by VOMS-Admin's interface", current_principal())
    return {"actionMessages": [f"Member {number} is restored."]}


def _key(body: Mapping[str, Any]) -> str:
    subject, issuer = _text(body, "certificateSubject", 2000), _text(body, "caSubject", 2000)
    return identity_from_names(subject, issuer, "certificateSubject").key


def _create(vo: str, body: Mapping[str, Any]) -> Answer:
    check(current_principal(), DECIDE, f"vo:{vo}")
    given = body.get("user")
    fields = given if isinstance(given, dict) else {}
    certificate = CertificateRecord(_text(body, "certificateSubject", 2000), _text(body, "caSubject", 2000))
    record = PersonRecord(
        key="",
        record="create-user",
        name=" ".join(part for part in (_text(fields, "name"), _text(fields, "surname")) if part),
        email=_text(fields, "emailAddress"),
        institution=_text(fields, "institution"),
        certificates=(certificate,),
        signed=False,
    )
    with ground().db.transaction() as session:
        member = single.create(session, vo, record, "VOMS-Admin's interface", current_principal())
        profile = members.profile(session, member.id)
        return {"actionMessages": [f"{profile.person.name} is member {member.id} of {vo}."]}


WRITES: Mapping[str, Callable[[str, Mapping[str, Any]], Answer]] = {
    "create-user": _create,
    "suspend-user": _suspend,
    "restore-user": _restore,
}

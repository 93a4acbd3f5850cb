"""The answers of VOMS-Admin to users.action: one page or several, from files or from a running service."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from hanse.errors import FieldFault, Refused, TooLarge, Unavailable
from hanse.http import Client, HttpError
from vomsdb.importing.records import CertificateRecord, Contents, PersonRecord, enough, moment, moment_or_note

SYSTEM = "voms-admin"  # the numbers are those of its database
PAGE = 100
MAX_PAGES = 2000
MAX_BYTES = 200_000_000
DEADLINE_S = 60


def read(pages: Sequence[bytes]) -> Contents:
    """Everybody in the pages. Raises Refused naming the page or how many people are missing."""
    users: dict[str, Mapping[str, Any]] = {}
    told = 0
    if sum(map(len, pages)) > MAX_BYTES:
        raise TooLarge(f"The pages have more than {MAX_BYTES:,} bytes together.")
    for number, text in enumerate(pages, 1):
        result, count = _page(number, text)
        told = max(told, count)
        for at, user in enumerate(result):
            if not isinstance(user, dict) or not isinstance(user.get("id"), int):
                raise Refused("A page cannot be read.", FieldFault(f"page {number}, user {at}", "has no id"))
            users[str(user["id"])] = user
    if told > len(users):
        raise Refused(
            "Pages are missing.",
            FieldFault("users", f"{len(users)} of {told} are here; save every page (startIndex, pageSize)"),
        )
    enough(users)
    return _contents(users)


def _page(number: int, text: bytes) -> tuple[list[Any], int]:
    try:
        page = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused("A page cannot be read.", FieldFault(f"page {number}", "is not JSON")) from None
    if isinstance(page, list):
        return page, len(page)
    if not isinstance(page, dict) or not isinstance(page.get("result"), list):
        raise Refused("A page cannot be read.", FieldFault(f"page {number}", "has no result of users.action"))
    count = page.get("count")
    return page["result"], count if isinstance(count, int) else 0


def _contents(users: Mapping[str, Mapping[str, Any]]) -> Contents:
    contents = Contents("VOMS-Admin's answers", SYSTEM)
    for key, user in sorted(users.items(), key=lambda one: int(one[0])):
        contents.people.append(_person(contents, key, user))
    contents.name_what_people_hold()
    if any(person.signed is None for person in contents.people):
        contents.remarks.append(
            "No signatures of the AUP are told: whoever was not suspended for it counts as having signed."
        )
    return contents


def _text(user: Mapping[str, Any], name: str) -> str:
    value = user.get(name)
    return value.strip() if isinstance(value, str) else ""


def _list(contents: Contents, record: str, user: Mapping[str, Any], name: str) -> list[Any]:
    value = user.get(name)
    if value is None or isinstance(value, list):
        return value or []
    contents.note(record, name, "must be a list")
    return []


def _person(contents: Contents, key: str, user: Mapping[str, Any]) -> PersonRecord:
    record = f"user {key}"
    code = _text(user, "suspensionReasonCode") or "OTHER"
    signed_at, signed = _signed(contents, record, user)
    named = " ".join(part for part in (_text(user, "name"), _text(user, "surname")) if part)
    return PersonRecord(
        key=key,
        record=record,
        name=named,
        email=_text(user, "emailAddress"),
        institution=_text(user, "institution"),
        certificates=_certificates(contents, record, user),
        fqans=tuple(sorted({one for one in _list(contents, record, user, "fqans") if isinstance(one, str)})),
        attributes=_attributes(contents, record, user),
        since=_at(contents, record, user, "creationTime"),
        until=_at(contents, record, user, "endTime"),
        code=code if user.get("suspended") is True else "",
        reason=_text(user, "suspensionReason"),
        signed_at=signed_at,
        signed=signed,
    )


def _signed(contents: Contents, record: str, user: Mapping[str, Any]) -> tuple[datetime | None, bool | None]:
    """(the last signature, whether one of them is valid); services before 3.8 tell none, and nobody knows then."""
    if not isinstance(user.get("aupAcceptanceRecords"), list):
        return None, None
    latest, valid = None, False
    for one in _list(contents, record, user, "aupAcceptanceRecords"):
        if not isinstance(one, dict):
            contents.note(record, "aupAcceptanceRecords", "must be a list of objects")
            continue
        at = _at(contents, record, one, "lastAcceptanceDate")
        latest = at if latest is None or (at is not None and at > latest) else latest
        valid = valid or one.get("valid") is True
    return latest, valid


def _at(contents: Contents, record: str, user: Mapping[str, Any], name: str) -> datetime | None:
    """A time as text, or as milliseconds since 1970."""
    value = user.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value / 1000, tz=moment("1970-01-01").tzinfo)  # type: ignore[union-attr]
        except (ValueError, OverflowError, OSError):
            contents.note(record, name, "is no time")
            return None
    return moment_or_note(contents, record, name, _text(user, name))


def _certificates(contents: Contents, record: str, user: Mapping[str, Any]) -> tuple[CertificateRecord, ...]:
    found = []
    for one in _list(contents, record, user, "certificates"):
        if not isinstance(one, dict):
            contents.note(record, "certificates", "must be a list of objects")
            continue
        reason = _text(one, "suspensionReason") or "suspended in VOMS-Admin"
        suspended = reason if one.get("suspended") is True else ""
        found.append(CertificateRecord(_text(one, "subjectString"), _text(one, "issuerString"), suspended))
    return tuple(found)


def _attributes(contents: Contents, record: str, user: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for one in _list(contents, record, user, "attributes"):
        if isinstance(one, dict) and isinstance(one.get("name"), str) and isinstance(one.get("value"), str):
            found[one["name"]] = one["value"]
        else:
            contents.note(record, "attributes", "each must have a name and a value")
    return found


def fetched(client: Client, vo: str, told: Callable[[str], None]) -> list[bytes]:
    """Every page of a running VOMS-Admin. Raises Unavailable with what it answered."""
    pages: list[bytes] = []
    while len(pages) < MAX_PAGES:
        path = f"/voms/{vo}/apiv2/users.action?startIndex={len(pages) * PAGE}&pageSize={PAGE}"
        try:
            answer = client.get(path)
        except HttpError as fault:
            raise Unavailable(f"VOMS-Admin did not answer: {fault}") from fault
        if not answer.ok:
            raise Unavailable(
                f"VOMS-Admin answered {answer.status} to {path}; may this certificate read the VO?"
            )
        result, count = _page(len(pages) + 1, answer.body)
        pages.append(answer.body)
        told(f"{min(len(pages) * PAGE, count)} of {count} people")
        if not result or len(pages) * PAGE >= count:
            break
    return pages

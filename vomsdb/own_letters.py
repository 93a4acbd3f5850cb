"""Letters in the words of a VO's managers: subject and text with placeholders, in place of the usual template.

A text of a manager is never read as a template: `{name}` and the others listed for the letter are put in once, and
names that the letter does not know are refused when it is saved. Some letters say what nobody can do without, as the
link to confirm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import FieldFault, NotFound, Refused
from hanse.identity.principals import Principal
from vomsdb import letters
from vomsdb.ledger import actor, revision
from vomsdb.models import VoLetter

LONGEST_SUBJECT, LONGEST_BODY = 200, 5000
_PLACE = re.compile(r"\{([a-z_]+)\}")
#: Placeholder -> how it is made of the facts of the letter.
_MEMBER = {
    "name": "{{ owner or person.name }}",
    "member": "{{ person.name }}",
    "vo": "{{ member.vo }}",
    "until": "{{ member.until|moment }}",
}
_REQUEST = {"name": "{{ request.name }}", "vo": "{{ request.vo }}", "certificate": "{{ request.subject }}"}


@dataclass(frozen=True)
class Kind:
    """A letter that a VO may write itself: when it is sent, its placeholders, and those it must have."""

    name: str
    when: str
    places: Mapping[str, str]
    needed: tuple[str, ...] = ()


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "confirm_address",
            "somebody asks to join: the address is to be confirmed",
            {**_REQUEST, "link": "{{ link }}", "expires": "{{ request.expires_at|moment }}"},
            ("link",),
        ),
        Kind(
            "confirm_soon",
            "the address was not confirmed, and the request is about to expire",
            {**_REQUEST, "expires": "{{ request.expires_at|moment }}"},
        ),
        Kind(
            "application_state",
            "a request to join was approved, rejected, or expired",
            {**_REQUEST, "state": "{{ request.state }}", "usual": "{{ words }}"},
            ("usual",),
        ),
        Kind("ending", "a membership ends soon", {**_MEMBER, "managers": "{{ managers }}"}, ("until",)),
        Kind("ended", "a membership has ended", _MEMBER),
        Kind("prolonged", "a membership was prolonged", _MEMBER),
        Kind(
            "suspended",
            "a member was suspended",
            {**_MEMBER, "why": "{{ why }}", "reason": "{{ reason }}"},
            ("reason",),
        ),
        Kind("restored", "a member was restored", {**_MEMBER, "reason": "{{ reason }}"}),
        Kind(
            "aup_reminder",
            "the AUP is to be signed",
            {**_MEMBER, "version": "{{ version }}", "due": "{{ member.aup_due|moment }}"},
            ("due",),
        ),
        Kind("robot_owned", "somebody answers for a robot or a service now", _MEMBER),
        Kind(
            "request_decided",
            "what a member asked for was decided",
            {
                "name": "{{ person.name }}",
                "vo": "{{ request.vo }}",
                "what": "{{ what }}",
                "state": "{{ request.state }}",
                "reason": "{{ request.reason or '' }}",
            },
            ("state",),
        ),
    )
}


@dataclass(frozen=True)
class Text:
    """Subject and body, with placeholders or as they are sent."""

    subject: str
    body: str


def kind_of(name: str) -> Kind:
    """The letter of that name; raises NotFound."""
    if name not in KINDS:
        raise NotFound(f"There is no letter {name[:64]} that a VO writes itself.")
    return KINDS[name]


def of_vo(session: Session, vo: str) -> dict[str, VoLetter]:
    """The letters that the VO writes itself, by name."""
    return {row.name: row for row in session.scalars(select(VoLetter).where(VoLetter.vo == vo))}


def written(session: Session, template: str, vo: str, **facts: object) -> tuple[str, str]:
    """(subject, body) of a letter: in the VO's words where it has some, else the usual ones."""
    own = session.get(VoLetter, (vo, template)) if vo and template in KINDS else None
    if own is None:
        return letters.written(template, **facts)
    filled = _filled(KINDS[template], Text(own.subject, own.body), facts)
    return filled.subject, filled.body


def _filled(kind: Kind, text: Text, facts: Mapping[str, object]) -> Text:
    def put_in(found: re.Match[str]) -> str:
        return letters.rendered(kind.places[found[1]], **facts)

    return Text(_PLACE.sub(put_in, text.subject), _PLACE.sub(put_in, text.body))


def start_of(kind: Kind) -> Text:
    """Something to write on from, with all that the letter must have."""
    return Text("", "\n\n".join(("Dear {name},", *(f"{{{name}}}" for name in kind.needed))) + "\n")


def check(kind: Kind, text: Text) -> None:
    """Raises Refused, naming the field, for a text that cannot be sent."""
    faults = []
    for field, content, longest in (
        ("subject", text.subject, LONGEST_SUBJECT),
        ("body", text.body, LONGEST_BODY),
    ):
        unknown = sorted(set(_PLACE.findall(content)) - set(kind.places))
        if not content.strip():
            faults.append(FieldFault(field, "must not be empty"))
        elif len(content) > longest:
            faults.append(FieldFault(field, f"must have {longest} characters at most"))
        elif unknown:
            known = ", ".join(f"{{{name}}}" for name in kind.places)
            faults.append(
                FieldFault(
                    field, f"names {{{unknown[0]}}}, which this letter does not know; it knows {known}"
                )
            )
    if not faults and "\n" in text.subject.strip():
        faults.append(FieldFault("subject", "must be one line"))
    lacking = [name for name in kind.needed if f"{{{name}}}" not in text.body]
    if not faults and lacking:
        faults.append(FieldFault("body", f"must have {{{lacking[0]}}}: whoever reads it cannot do without"))
    if faults:
        raise Refused("The letter cannot be sent like this.", *faults)


def save(session: Session, vo: str, name: str, text: Text, by: Principal) -> VoLetter:
    """The letter is in the VO's words from now. Raises Refused, NotFound."""
    check(kind_of(name), text)
    row = session.get(VoLetter, (vo, name)) or VoLetter(vo=vo, name=name)
    row.subject, row.body = text.subject.strip(), text.body
    row.changed_by, row.changed_at = by.name, datetime.now(UTC)
    session.add(row)
    with revision(session, actor(by), f"letter {name} of {vo} in its own words") as ledger:
        body = {"vo": vo, "name": name, "subject": row.subject, "body": row.body}
        ledger.put("letter", f"{vo} {name}", body)
    return row


def reset(session: Session, vo: str, name: str, by: Principal) -> None:
    """The usual words again. Raises NotFound."""
    row = session.get(VoLetter, (vo, kind_of(name).name))
    if row is None:
        raise NotFound(f"{vo} sends the usual letter {name} already.")
    session.delete(row)
    with revision(session, actor(by), f"letter {name} of {vo} in the usual words again") as ledger:
        ledger.delete("letter", f"{vo} {name}")


# --- how it would look --------------------------------------------------------------------------------------------


def preview(kind: Kind, text: Text | None, vo: str) -> Text:
    """The letter as somebody would get it, with made-up facts; None = the usual words. Raises Refused."""
    facts = _sample(vo)
    if text is None:
        return Text(*letters.written(kind.name, **facts))
    check(kind, text)
    return _filled(kind, text, facts)


def _sample(vo: str) -> dict[str, object]:
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(days=7)
    person = SimpleNamespace(name="Anna Example", email="anna@example.org", institution="Example Institute")
    member = SimpleNamespace(
        vo=vo, kind="person", state="active", until=soon, aup_due=soon, purpose="transfers"
    )
    asked = SimpleNamespace(
        name=person.name,
        vo=vo,
        state="approved",
        subject="/DC=org/DC=example/CN=Anna Example",
        expires_at=soon,
        created_at=soon - timedelta(days=10),
        reason=None,
        decided_by_name="a manager",
    )
    return {
        "person": person,
        "owner": person.name,
        "member": member,
        "request": asked,
        "words": "You are a member now; your page /me gives the commands for a proxy.",
        "link": "https://membership.example.org/confirm/EXAMPLE",
        "managers": "Marta Example",
        "why": "another reason",
        "reason": "an example of a reason",
        "version": 2,
        "what": f"the group /{vo}/example",
    }

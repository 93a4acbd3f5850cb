"""Generic attributes: names a VO knows, with values for members, for groups and for roles in groups.

In an attribute certificate each value stands with a qualifier, which says whose it is: the VO for a member's own, the
group or role for the others. A member has the values of all groups that are held and of the roles that are named.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, and_, delete, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.principals import Principal
from vomsdb import groups, members, vos
from vomsdb.ledger import Ledger, actor, revision
from vomsdb.models import AttributeClass, AttributeValue, Member

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,63}")
LONGEST = 255


@dataclass(frozen=True)
class Value:
    """A value as an attribute certificate tells it."""

    name: str
    value: str
    qualifier: str


def define(session: Session, vo: str, given: AttributeClass, by: Principal) -> AttributeClass:
    """A new attribute of the VO. Raises Refused, Conflict, NotFound."""
    vos.found(session, vo)
    if not _NAME.fullmatch(given.name):
        fault = FieldFault(
            "name", "must begin with a letter; letters, digits and _ . : - may follow, 64 at most"
        )
        raise Refused("The attribute cannot be made.", fault)
    if session.get(AttributeClass, (vo, given.name)) is not None:
        raise Conflict(f"{vo} has an attribute {given.name} already.")
    session.add(given)
    with revision(session, actor(by), f"attribute {given.name} of {vo} defined") as ledger:
        body = {"vo": vo, "name": given.name, "description": given.description}
        ledger.put("attribute", f"{vo} {given.name}", {**body, "distinct_values": given.distinct_values})
    return given


def forget(session: Session, vo: str, name: str, by: Principal) -> None:
    """The attribute with all its values goes. Raises NotFound."""
    found = _class(session, vo, name)
    values = list(
        session.scalars(select(AttributeValue).where(AttributeValue.vo == vo, AttributeValue.name == name))
    )
    for value in values:
        session.delete(value)
    session.flush()
    session.delete(found)
    with revision(
        session, actor(by), f"attribute {name} of {vo} and its {len(values)} values forgotten"
    ) as ledger:
        for value in values:
            ledger.delete("attribute_value", str(value.id))
        ledger.delete("attribute", f"{vo} {name}")


def _class(session: Session, vo: str, name: str) -> AttributeClass:
    found = session.get(AttributeClass, (vo, name))
    if found is None:
        raise NotFound(f"{vo} has no attribute {name}.")
    return found


def set_of_member(session: Session, member_id: int, name: str, value: str, by: Principal) -> AttributeValue:
    """The member's own value. Raises Refused, Conflict, NotFound."""
    member = members.locked(session, member_id)
    kind = _class(session, member.vo, name)
    _check(value)
    if kind.distinct_values:
        taken = _values(member.vo, name).where(
            AttributeValue.value == value, AttributeValue.member_id.is_distinct_from(member.id)
        )
        session.scalar(select(AttributeClass).where(AttributeClass.vo == member.vo).with_for_update())
        if session.scalar(taken) is not None:
            raise Conflict(f"Another member has {name} = {value}, and each value may stand once.")
    found = session.scalar(_values(member.vo, name).where(AttributeValue.member_id == member.id))
    row = found or AttributeValue(vo=member.vo, name=name, member_id=member.id)
    _write(session, row, value, by)
    return row


def set_of_fqan(session: Session, vo: str, fqan: str, name: str, value: str, by: Principal) -> AttributeValue:
    """The value of all in a group, or of all who hold a role there. Raises Refused, Conflict, NotFound."""
    path, role = groups.of_vo(session, vo, fqan)
    if _class(session, vo, name).distinct_values:
        raise Conflict(f"Each value of {name} may stand once, so that no group or role can have one.")
    _check(value)
    of_it = AttributeValue.path == path, AttributeValue.role.is_not_distinct_from(role)
    found = session.scalar(_values(vo, name).where(*of_it).with_for_update())
    row = found or AttributeValue(vo=vo, name=name, path=path, role=role)
    _write(session, row, value, by)
    return row


def _values(vo: str, name: str) -> Select[AttributeValue]:
    return select(AttributeValue).where(AttributeValue.vo == vo, AttributeValue.name == name)


def _check(value: str) -> None:
    if not value or len(value.encode()) > LONGEST or not value.isprintable():
        raise Refused(
            "The value cannot stand in an attribute certificate.",
            FieldFault("value", f"must be printable text, 1 to {LONGEST} bytes"),
        )


def _write(session: Session, row: AttributeValue, value: str, by: Principal) -> None:
    row.value = value
    try:
        with session.begin_nested():
            session.add(row)
            session.flush()
    except IntegrityError as fault:
        raise Conflict("Somebody else set this attribute just now; look at it and try again.") from fault
    with revision(session, actor(by), f"attribute {row.name} = {value}") as ledger:
        _put(ledger, row)


def _put(ledger: Ledger, row: AttributeValue) -> None:
    body = {"vo": row.vo, "attribute": row.name, "value": row.value}
    member = None if row.member_id is None else str(row.member_id)
    ledger.put("attribute_value", str(row.id), {**body, "member": member, "fqan": fqan_of(row)})


def fqan_of(row: AttributeValue) -> str | None:
    """The group or role whose value it is."""
    return f"{row.path}/Role={row.role}" if row.role else row.path


def unset(session: Session, vo: str, value_id: int, by: Principal) -> None:
    """A value goes. Raises NotFound."""
    row = session.get(AttributeValue, value_id)
    if row is None or row.vo != vo:
        raise NotFound(f"{vo} has no value {value_id}.")
    session.execute(delete(AttributeValue).where(AttributeValue.id == value_id))
    with revision(session, actor(by), f"attribute {row.name} taken") as ledger:
        ledger.delete("attribute_value", str(value_id))


def unset_of_member(session: Session, vo: str, member_id: int, name: str, by: Principal) -> None:
    """The member's own value of the attribute goes. Raises NotFound."""
    row = session.scalar(_values(vo, name).where(AttributeValue.member_id == member_id))
    unset(session, vo, 0 if row is None else row.id, by)


# --- looking ------------------------------------------------------------------------------------------------------


def classes(session: Session, vo: str) -> list[AttributeClass]:
    """The attributes of the VO, by name."""
    return list(
        session.scalars(select(AttributeClass).where(AttributeClass.vo == vo).order_by(AttributeClass.name))
    )


def of_groups(session: Session, vo: str) -> list[AttributeValue]:
    """The values of groups and roles, by name."""
    query = select(AttributeValue).where(AttributeValue.vo == vo, AttributeValue.path.is_not(None))
    return list(session.scalars(query.order_by(AttributeValue.name, AttributeValue.path)))


def held(session: Session, member: Member, fqans: Sequence[str]) -> list[Value]:
    """What an attribute certificate of the member tells when it names these groups and roles, by name."""
    named = [groups.parts(fqan) for fqan in fqans]
    of_names = [
        and_(AttributeValue.path == path, AttributeValue.role.is_not_distinct_from(role))
        for path, role in named
    ]
    query = select(AttributeValue).where(
        AttributeValue.vo == member.vo, or_(AttributeValue.member_id == member.id, *of_names)
    )
    rows = session.scalars(query.order_by(AttributeValue.name, AttributeValue.id))
    return [Value(row.name, row.value, fqan_of(row) or member.vo) for row in rows]


def of_member(session: Session, member: Member) -> list[AttributeValue]:
    """The member's own values, by name."""
    query = select(AttributeValue).where(AttributeValue.member_id == member.id)
    return list(session.scalars(query.order_by(AttributeValue.name)))

"""Which members and groups a SCIM filter means, asked of the database: never row by row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, String, and_, cast, false, func, not_, or_, select, true
from sqlalchemy.orm import Session

from hanse.identity.names import parse, slash
from vomsdb.models import (
    Certificate,
    Group,
    Member,
    MemberCertificate,
    MemberGroup,
    MemberRole,
    Person,
    ProviderSubject,
)
from vomsdb.scim import group_ids
from vomsdb.scim.faults import bad_filter
from vomsdb.scim.filters import Both, Compare, Either, Filter, Not, Value, Within
from vomsdb.scim.names import INDIGO_USER, MEMBERSHIP, plain

Condition = ColumnElement[bool]
_INDIGO, _OWN = INDIGO_USER.lower() + ":", MEMBERSHIP.lower() + ":"


@dataclass(frozen=True)
class Reach:
    """The VOs whose members the caller sees; None = all."""

    vos: frozenset[str] | None

    def of_members(self) -> Condition:
        """Members that are there still, of these VOs."""
        living = Member.state != "removed"
        return living if self.vos is None else and_(living, Member.vo.in_(self.vos))

    def of_groups(self) -> Condition:
        """Groups of these VOs."""
        return true() if self.vos is None else Group.vo.in_(self.vos)


def members(reach: Reach, wanted: Filter | None) -> Select[Any]:
    """The numbers of the members that the filter means. Raises ScimRefused (invalidFilter)."""
    query = select(Member.id).where(reach.of_members())
    return query if wanted is None else query.where(_condition(wanted, _user))


def groups(reach: Reach, wanted: Filter | None) -> Select[Any]:
    """The paths of the groups that the filter means. Raises ScimRefused (invalidFilter)."""
    query = select(Group.path).where(reach.of_groups())
    return query if wanted is None else query.where(_condition(wanted, _group))


def counted(session: Session, query: Select[Any]) -> int:
    """How many there are in all."""
    return session.scalar(select(func.count()).select_from(query.subquery())) or 0


def page(session: Session, query: Select[Any], order: Any, start: int, count: int) -> list[Any]:
    """`count` of them from the `start`th on, counted from 1."""
    return list(session.scalars(query.order_by(order).offset(start - 1).limit(count)))


# --- from the tree to conditions ---

_Leaf = Callable[[Compare], Condition]


def _condition(wanted: Filter, leaf: _Leaf) -> Condition:
    match wanted:
        case Not(inner):
            return not_(func.coalesce(_condition(inner, leaf), false()))
        case Both(left, right):
            return and_(_condition(left, leaf), _condition(right, leaf))
        case Either(left, right):
            return or_(_condition(left, leaf), _condition(right, leaf))
        case Within(attribute, inner):
            return _condition(_spread(attribute, inner), leaf)
        case Compare():
            return leaf(wanted)


def _spread(attribute: str, inner: Filter) -> Filter:
    """`emails[value eq "x"]` as `emails.value eq "x"`: for attributes of which each has one value that is compared."""
    if not isinstance(inner, Compare):
        raise bad_filter(f"Inside {attribute}[...] one comparison is understood; join several outside of it.")
    return Compare(f"{attribute}.{inner.attribute}", inner.operator, inner.value)


def _user(asked: Compare) -> Condition:
    name = plain(asked.attribute)
    found = _USER.get(name)
    if found is None:
        raise bad_filter(f"Users are not found by {asked.attribute}; by {', '.join(_SPOKEN)}.")
    return found(asked)


def _group(asked: Compare) -> Condition:
    name = plain(asked.attribute)
    if name == "displayname":
        return _text(Group.path, asked, exact=True)
    if name == "id":
        return (
            Group.path == (group_ids.path_of(_string(asked)) or "")
            if asked.operator == "eq"
            else _only_eq(asked)
        )
    if name == _OWN + "vo":
        return _text(Group.vo, asked, exact=True)
    if name in ("members", "members.value"):
        member = _number(asked)
        inside = select(MemberGroup.path).where(MemberGroup.member_id == member)
        root = select("/" + Member.vo).where(Member.id == member)
        return or_(Group.path.in_(inside), Group.path.in_(root))
    raise bad_filter(
        f"Groups are not found by {asked.attribute}; by id, displayName, members, {MEMBERSHIP}:vo."
    )


def _text(column: Any, asked: Compare, *, exact: bool = False) -> Condition:
    """Compares text, without regard to capital letters unless `exact` (caseExact of RFC 7643)."""
    if asked.operator == "pr":
        return func.coalesce(column, "") != ""
    if asked.value is None and asked.operator in ("eq", "ne"):
        empty = func.coalesce(column, "") == ""
        return empty if asked.operator == "eq" else not_(empty)
    value = _string(asked)
    left, right = (column, value) if exact else (func.lower(column), value.lower())
    held = func.coalesce(left, "")
    match asked.operator:
        case "eq":
            return left == right
        case "ne":
            return held != right
        case "co":
            return held.contains(right, autoescape=True)
        case "sw":
            return held.startswith(right, autoescape=True)
        case "ew":
            return held.endswith(right, autoescape=True)
        case _:
            return _ordered(held, asked.operator, right)


def _ordered(column: Any, operator: str, value: Any) -> Condition:
    match operator:
        case "gt":
            found: Condition = column > value
        case "ge":
            found = column >= value
        case "lt":
            found = column < value
        case "le":
            found = column <= value
        case _:
            raise bad_filter(f"{operator} does not fit here.")
    return found


def _time(column: Any) -> _Leaf:
    def compared(asked: Compare) -> Condition:
        if asked.operator == "pr":
            return column.is_not(None)  # type: ignore[no-any-return]
        try:
            value = datetime.fromisoformat(_string(asked))
        except ValueError:
            raise bad_filter("A time reads 2026-11-25T12:00:00Z.") from None
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        if asked.operator == "eq":
            return column == moment  # type: ignore[no-any-return]
        return not_(column == moment) if asked.operator == "ne" else _ordered(column, asked.operator, moment)

    return compared


def _active(asked: Compare) -> Condition:
    if asked.operator == "pr":
        return true()
    if not isinstance(asked.value, bool) or asked.operator not in ("eq", "ne"):
        raise bad_filter("active is compared with true or false, by eq or ne.")
    wanted = asked.value == (asked.operator == "eq")
    return Member.state == "active" if wanted else Member.state != "active"


def _id(asked: Compare) -> Condition:
    return true() if asked.operator == "pr" else Member.id == _number(asked)


def _user_name(asked: Compare) -> Condition:
    own = cast(Member.id, String) + "@" + Member.vo
    if asked.operator == "eq":  # by the indices
        value = _string(asked)
        number, _, vo = value.partition("@")
        ours = and_(Member.id == (_digits(number) or 0), Member.vo == vo, Member.user_name.is_(None))
        return or_(func.lower(Member.user_name) == value.lower(), ours)
    return _text(func.coalesce(Member.user_name, own), asked)


def _of_person(column: Any) -> _Leaf:
    def compared(asked: Compare) -> Condition:
        return Member.person_id.in_(select(Person.id).where(_text(column, asked)))

    return compared


def _in_group(asked: Compare) -> Condition:
    """By the group's id (`groups.value`) or by its path."""
    if asked.operator == "pr":
        return true()
    if asked.operator != "eq":
        return _only_eq(asked)
    value = _string(asked)
    path = value if value.startswith("/") else group_ids.path_of(value) or ""
    inside = Member.id.in_(select(MemberGroup.member_id).where(MemberGroup.path == path))
    return or_(inside, "/" + Member.vo == path) if path.count("/") == 1 else inside


def _with_role(asked: Compare) -> Condition:
    if asked.operator == "pr":
        return Member.id.in_(select(MemberRole.member_id))
    path, _, role = _string(asked).partition("/Role=")
    if asked.operator != "eq":
        return _only_eq(asked)
    return Member.id.in_(select(MemberRole.member_id).where(MemberRole.path == path, MemberRole.role == role))


def _sign_in(column: Any) -> _Leaf:
    def compared(asked: Compare) -> Condition:
        return Member.person_id.in_(select(ProviderSubject.person_id).where(_text(column, asked, exact=True)))

    return compared


def _certificate(column: Any) -> _Leaf:
    """By the printed name, in slash form or as RFC 2253 has it."""

    def compared(asked: Compare) -> Condition:
        spelt = Compare(asked.attribute, asked.operator, _slashed(asked.value))
        held = select(MemberCertificate.member_id).join(
            Certificate, Certificate.id == MemberCertificate.certificate_id
        )
        return Member.id.in_(held.where(_text(column, spelt, exact=True)))

    return compared


def _slashed(value: Value) -> Value:
    if not isinstance(value, str):
        return value
    try:
        return slash(parse(value))
    except ValueError:  # a part of a name, as `co` and `sw` compare
        return value


def _exactly(column: Any) -> _Leaf:
    return lambda asked: _text(column, asked, exact=True)


_USER: Final[dict[str, _Leaf]] = {
    "id": _id,
    "username": _user_name,
    "externalid": _exactly(Member.external_id),
    "active": _active,
    **dict.fromkeys(("displayname", "name.formatted"), _of_person(Person.name)),
    **dict.fromkeys(("emails", "emails.value"), _of_person(Person.email)),
    **dict.fromkeys(("groups", "groups.value", "groups.display"), _in_group),
    **dict.fromkeys(("roles", "roles.value"), _with_role),
    "meta.created": _time(Member.since),
    _INDIGO + "certificates.subjectdn": _certificate(Certificate.subject),
    _INDIGO + "certificates.issuerdn": _certificate(Certificate.issuer),
    _INDIGO + "oidcids.subject": _sign_in(ProviderSubject.subject),
    _INDIGO + "oidcids.issuer": _sign_in(ProviderSubject.issuer),
    _INDIGO + "endtime": _time(Member.until),
    _INDIGO + "aupsignaturetime": _time(Member.aup_signed_at),
    _OWN + "vo": _exactly(Member.vo),
    _OWN + "state": _exactly(Member.state),
    _OWN + "kind": _exactly(Member.kind),
    _OWN + "suspensioncode": _exactly(Member.suspension_code),
}
_SPOKEN: Final = (
    "id, userName, externalId, active, displayName, emails, groups, roles, meta.created",
    f"{INDIGO_USER}:certificates.subjectDn, certificates.issuerDn, oidcIds.subject, oidcIds.issuer, endTime",
    f"{MEMBERSHIP}:vo, state, kind, suspensionCode",
)


def _string(asked: Compare) -> str:
    if not isinstance(asked.value, str):
        raise bad_filter(f"{asked.attribute} is compared with text in double quotes.")
    return asked.value


def _digits(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _number(asked: Compare) -> int:
    if asked.operator != "eq":
        raise bad_filter(f"{asked.attribute} is compared by eq alone.")
    return _digits(str(asked.value)) or 0


def _only_eq(asked: Compare) -> Condition:
    raise bad_filter(f"{asked.attribute} is compared by eq alone.")

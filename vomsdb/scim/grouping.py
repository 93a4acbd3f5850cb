"""Groups changed by SCIM: made, and given and taken members, with the rules that count by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.identity.permissions import check
from hanse.identity.principals import Principal
from vomsdb import groups
from vomsdb.group_managers import check_may_arrange
from vomsdb.models import Group, Member, MemberGroup
from vomsdb.permissions import ARRANGE
from vomsdb.scim import resources
from vomsdb.scim.faults import ScimRefused, bad_path, bad_value, unchangeable
from vomsdb.scim.filters import Compare, parse_path
from vomsdb.scim.names import MEMBERSHIP, plain

MOST = 500
Operation = tuple[str, str | None, Any]


def create(session: Session, body: Mapping[str, Any], by: Principal) -> str:
    """A new group below another; gives its path. Raises ScimRefused, Refused, Conflict, Forbidden."""
    path = body.get("displayName")
    if not isinstance(path, str) or not path.startswith("/") or path.count("/") < 2 or len(path) > 500:
        raise bad_value("displayName is the path of the group, /vo/group.")
    vo = resources.of_vo(path)
    check(by, ARRANGE, f"vo:{vo}")
    own = body.get(MEMBERSHIP)
    description = own.get("description", "") if isinstance(own, dict) else ""
    if not isinstance(description, str) or len(description) > 2000 or "\x00" in description:
        raise bad_value("description is text of at most 2000 characters.")
    inside = _numbers(body["members"]) if body.get("members") else frozenset()
    _hold(session, vo, inside)
    groups.create_group(session, vo, path, description, by)
    session.flush()
    _change(session, path, inside, frozenset(), by)
    return path


def replace(session: Session, path: str, body: Mapping[str, Any], by: Principal) -> None:
    """The members that are given, and no others; nothing is said of them, nothing changes."""
    if body.get("displayName", path) != path:
        raise unchangeable("A group keeps its path for good.")
    if "members" in body:
        held = _held(session, path)
        wanted = _numbers(body["members"])
        _change(session, path, wanted - held, held - wanted, by)


def patch(session: Session, path: str, operations: list[Operation], by: Principal) -> None:
    """Members added and taken, in order; a group of any size is never read for it."""
    added: set[int] = set()
    taken: set[int] = set()
    for kind, target, value in operations:
        plus, minus = _operation(session, path, kind, target, value, added)
        added, taken = (added - minus) | plus, (taken - plus) | minus
    held = _among(session, path, added | taken)
    if path.count("/") == 1:  # all are in the root group, and no row says so
        held = set(taken)
    _change(session, path, frozenset(added - held), frozenset(taken & held), by)


def _operation(
    session: Session, path: str, kind: str, target: str | None, value: Any, before: set[int]
) -> tuple[set[int], set[int]]:
    """(members added, members taken), after operations that added those in `before`."""
    if target is None:
        if not isinstance(value, dict) or kind == "remove":
            raise bad_value("Without a path the value is an object of attributes, to add or replace.")
        if any(name.lower() == "displayname" and inner != path for name, inner in value.items()):
            raise unchangeable("A group keeps its path for good.")
        told = [inner for name, inner in value.items() if name.lower() == "members"]
        return _operation(session, path, kind, "members", told[0], before) if told else (set(), set())
    name, wanted, sub = parse_path(target)
    if plain(name) == "displayname":
        raise unchangeable("A group keeps its path for good.")
    if plain(name) not in ("members", "members.value") or sub:
        raise bad_path("Of a group the members are changed.")
    if wanted is not None:
        by_value = isinstance(wanted, Compare) and (wanted.attribute, wanted.operator) == ("value", "eq")
        if kind != "remove" or not by_value:
            raise bad_path('A path with a filter reads members[value eq "7"], to remove.')
        assert isinstance(wanted, Compare)
        return set(), set(_numbers([{"value": wanted.value}]))
    if kind == "add":
        return set(_numbers(value)), set()
    given = set(_numbers(value)) if value is not None else set()
    if kind == "replace":
        return given, (before | _held(session, path)) - given
    return set(), given if value is not None else before | _held(session, path)


def _numbers(value: Any) -> frozenset[int]:
    listed = value if isinstance(value, list) else [value]
    found = set()
    for one in listed:
        number = one.get("value") if isinstance(one, dict) else one
        if not isinstance(number, str) or not (number.isascii() and number.isdigit() and len(number) < 16):
            raise bad_value("members is a list of objects with value, the id of a user.")
        found.add(int(number))
    return frozenset(found)


def _held(session: Session, path: str) -> frozenset[int]:
    inside = select(MemberGroup.member_id).where(MemberGroup.path == path)
    return frozenset(session.scalars(inside))


def _among(session: Session, path: str, numbers: set[int]) -> set[int]:
    inside = select(MemberGroup.member_id).where(MemberGroup.path == path, MemberGroup.member_id.in_(numbers))
    return set(session.scalars(inside))


def _change(session: Session, path: str, added: frozenset[int], taken: frozenset[int], by: Principal) -> None:
    group = session.get(Group, path)
    assert group is not None
    if path == f"/{group.vo}" and added | taken:
        raise unchangeable(f"Every member is in {path}; make or remove the membership instead.")
    held = _hold(session, group.vo, added | taken)
    for member in held:
        check_may_arrange(session, member, path, by)
    for member in held:
        act = groups.give if member.id in added else groups.take
        act(session, member.id, path, by)


def hold(session: Session, path: str) -> None:
    """The group, until the transaction ends: one change by SCIM after the other, each knowing the one before."""
    session.scalars(select(Group).where(Group.path == path).with_for_update(key_share=True)).all()


def _hold(session: Session, vo: str, numbers: frozenset[int]) -> Sequence[Member]:
    """The members, by id and before the log's lock, as everybody takes them. Raises ScimRefused."""
    if len(numbers) > MOST:
        raise ScimRefused("tooMany", f"At most {MOST} members are changed at once; send several requests.")
    known = select(Member).where(Member.id.in_(numbers), Member.vo == vo, Member.state != "removed")
    rows = session.scalars(known.order_by(Member.id).with_for_update()).all()
    if strangers := numbers - {member.id for member in rows}:
        raise bad_value(f"{vo} has no member {min(strangers)}.")
    return rows

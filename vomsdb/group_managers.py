"""Who decides for a group: its managers, for it and those below it, for nothing above, never for themselves."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, false, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from hanse.errors import Conflict, Forbidden, NotFound, Refused
from hanse.identity.permissions import Permission, allows, check
from hanse.identity.principals import Principal
from vomsdb import groups, people
from vomsdb.ledger import actor, revision
from vomsdb.models import Group, GroupManager, Member, MemberGroup
from vomsdb.permissions import ARRANGE_MEMBER
from vomsdb.vos import Manager

ROLE = "vo_group_manager"


def appoint(session: Session, vo: str, path: str, manager: Manager, by: Principal) -> GroupManager:
    """Makes somebody manager of a group below the root. Raises Refused, NotFound, Conflict."""
    group = session.get(Group, path)
    if group is None or group.vo != vo:
        raise NotFound(f"{vo} has no group {path}.")
    if path == f"/{vo}":
        raise Refused("The root group is managed by the VO's managers; appoint one of those instead.")
    if session.get(GroupManager, (path, manager.identity.key)) is not None:
        raise Conflict(f"{manager.name} is a manager of {path} already.")
    row = GroupManager(
        path=path,
        key=manager.identity.key,
        name=manager.name,
        email=manager.email,
        subject=manager.identity.subject_slash,
        issuer=manager.identity.issuer_slash,
    )
    session.add(row)
    with revision(session, actor(by), f"{manager.name} appointed manager of {path}") as ledger:
        ledger.grant(row.key, ROLE, f"group:{path}", row.name)
    return row


def dismiss(session: Session, vo: str, path: str, key: str, by: Principal) -> None:
    """Ends somebody's office in a group. Raises NotFound."""
    row = session.get(GroupManager, (path, key))
    if row is None or not path.startswith(f"/{vo}/"):
        raise NotFound(f"{path} has no such manager.")
    session.delete(row)
    with revision(session, actor(by), f"{row.name} is no longer manager of {path}") as ledger:
        ledger.revoke(key, ROLE, f"group:{path}")


def of_vo(session: Session, vo: str) -> list[GroupManager]:
    """All group managers of the VO, by group and name."""
    inside = select(GroupManager).join(Group, Group.path == GroupManager.path).where(Group.vo == vo)
    return list(session.scalars(inside.order_by(GroupManager.path, GroupManager.name)))


def above(session: Session, vo: str, path: str) -> list[GroupManager]:
    """Who manages the group or one above it."""
    query = select(GroupManager).where(GroupManager.path.in_(groups.upwards(path, vo)))
    return list(session.scalars(query.order_by(GroupManager.name)))


# --- who may what -------------------------------------------------------------------------------------------------


def scopes(vo: str, path: str) -> list[str]:
    """The scopes in which somebody decides about a group: the VO, the group, and the groups above it."""
    return [f"vo:{vo}", *(f"group:{one}" for one in groups.upwards(path, vo))]


def manages_vo(principal: Principal, vo: str, permission: Permission) -> bool:
    """Whether the permission is held for the whole VO and not only for groups of it."""
    return allows(principal, permission, f"vo:{vo}")


def check_in_vo(principal: Principal, vo: str, permission: Permission) -> None:
    """Raises Forbidden for who has the permission neither in the VO nor in a group of it."""
    check(principal, permission, f"vo:{vo}", *(f"group:{path}" for path in managed(principal, vo)))


def managed(principal: Principal, vo: str) -> list[str]:
    """The groups of the VO that the principal manages, those below them not named."""
    own = (scope.removeprefix("group:") for scope in principal.scopes(ROLE) if scope.startswith("group:"))
    return sorted(path for path in own if path.startswith(f"/{vo}/"))


def within(column: InstrumentedAttribute[str | None], paths: Iterable[str]) -> ColumnElement[bool]:
    """The column names one of the groups or a group below it."""
    below = (or_(column == path, column.startswith(f"{path}/", autoescape=True)) for path in paths)
    return or_(false(), *below)


def check_may_arrange(session: Session, member: Member, fqan: str, by: Principal) -> None:
    """Raises Forbidden unless `by` may give or take the group or role; Refused or NotFound when the VO has none such.

    Who manages a group and not the VO gives nothing to themselves, and brings nobody into a group above their own.
    """
    path, _ = groups.of_vo(session, member.vo, fqan)
    check(by, ARRANGE_MEMBER, *scopes(member.vo, path))
    if manages_vo(by, member.vo, ARRANGE_MEMBER):
        return
    if (by.keys | {by.key}) & keys_of(session, member):
        raise Forbidden(f"Nobody gives groups and roles to themselves; ask a manager of {member.vo}.")
    mine = managed(by, member.vo)
    for group in groups.upwards(path, member.vo):
        is_mine = any(group == one or group.startswith(f"{one}/") for one in mine)
        if not is_mine and session.get(MemberGroup, (member.id, group)) is None:
            raise Forbidden(
                f"The member is not in {group}, which you do not manage; ask a manager of {member.vo}."
            )


def keys_of(session: Session, member: Member) -> frozenset[str]:
    """The keys of all certificates and sign-ins of the person, those used in other VOs or taken from the member too."""
    return people.keys_of(session, member.person_id)

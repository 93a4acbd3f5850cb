"""Groups (a tree of paths) and roles of a VO, and who is in them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.principals import Principal
from hanse.identity.voms import VomsError, split_fqan
from vomsdb import members, vos
from vomsdb.ledger import actor, revision
from vomsdb.models import Group, Member, MemberGroup, MemberRole, Role

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class GroupSize:
    """A group with the number of its members."""

    group: Group
    members: int


def tree(session: Session, vo: str) -> list[GroupSize]:
    """The groups of the VO by path, so that each stands under its parent."""
    inside = (
        select(func.count())
        .select_from(MemberGroup)
        .join(Member, Member.id == MemberGroup.member_id)
        .where(MemberGroup.path == Group.path, Member.state != "removed")
        .scalar_subquery()
    )
    root = select(func.count()).select_from(Member).where(Member.vo == vo, Member.state != "removed")
    everybody = session.scalar(root) or 0
    rows = session.execute(select(Group, inside).where(Group.vo == vo).order_by(Group.path))
    return [GroupSize(g, everybody if g.path == f"/{vo}" else count) for g, count in rows]


def create_group(session: Session, vo: str, path: str, description: str, by: Principal) -> Group:
    """A new group; its parent must be there. Raises Refused or Conflict."""
    vos.found(session, vo)
    parent, _, name = path.rpartition("/")
    if not _PART.fullmatch(name) or not (parent == f"/{vo}" or parent.startswith(f"/{vo}/")):
        raise Refused("The group cannot be made.", FieldFault("path", f"must read /{vo}/name"))
    if session.get(Group, parent) is None:
        raise Refused("The group cannot be made.", FieldFault("path", f"needs the group {parent} first"))
    if session.get(Group, path) is not None:
        raise Conflict(f"There is a group {path} already.")
    group = Group(path=path, vo=vo, description=description)
    session.add(group)
    with revision(session, actor(by), f"group {path} created") as ledger:
        ledger.put("group", path, {"vo": vo, "path": path, "description": description})
    return group


def create_role(session: Session, vo: str, name: str, description: str, by: Principal) -> Role:
    """A new role that members may hold in any group of the VO. Raises Refused or Conflict."""
    vos.found(session, vo)
    if not _PART.fullmatch(name) or name == "NULL":
        raise Refused("The role cannot be made.", FieldFault("name", "must be one word, such as operator"))
    if session.get(Role, (vo, name)) is not None:
        raise Conflict(f"{vo} has a role {name} already.")
    role = Role(vo=vo, name=name, description=description)
    session.add(role)
    with revision(session, actor(by), f"role {name} of {vo} created") as ledger:
        ledger.put("role", f"{vo} {name}", {"vo": vo, "name": name, "description": description})
    return role


def give(session: Session, member_id: int, fqan: str, by: Principal) -> Member:
    """Puts a member into a group, or gives a role. Being there already is no fault. Raises Refused, NotFound."""
    member = members.locked(session, member_id)
    enter(session, member, fqan)
    _record(session, member, by, f"{fqan} given")
    return member


def enter(session: Session, member: Member, fqan: str) -> None:
    """The rows by which a member held locked is in a group, or holds a role. Raises Refused, NotFound."""
    path, role = of_vo(session, member.vo, fqan)
    if path != f"/{member.vo}" and session.get(MemberGroup, (member.id, path)) is None:
        for group in upwards(path, member.vo):
            if session.get(MemberGroup, (member.id, group)) is None:
                session.add(MemberGroup(member_id=member.id, path=group))
    if role is not None and session.get(MemberRole, (member.id, path, role)) is None:
        session.add(MemberRole(member_id=member.id, path=path, role=role))
    session.flush()


def take(session: Session, member_id: int, fqan: str, by: Principal) -> Member:
    """Takes a role, or a group with all below it and the roles held there. Raises Refused, NotFound."""
    member = members.locked(session, member_id)
    path, role = of_vo(session, member.vo, fqan)
    if role is None and path == f"/{member.vo}":
        raise Refused(f"Every member is in /{member.vo}; remove the membership instead.")
    held = MemberRole.member_id == member.id
    if role is not None:
        session.execute(delete(MemberRole).where(held, MemberRole.path == path, MemberRole.role == role))
    else:
        below = path.replace("_", r"\_") + "/%"
        session.execute(
            delete(MemberRole).where(held, (MemberRole.path == path) | MemberRole.path.like(below))
        )
        session.execute(
            delete(MemberGroup).where(
                MemberGroup.member_id == member.id,
                (MemberGroup.path == path) | MemberGroup.path.like(below),
            )
        )
    _record(session, member, by, f"{fqan} taken")
    return member


def _record(session: Session, member: Member, by: Principal, reason: str) -> None:
    session.flush()
    with revision(session, actor(by), reason) as ledger:
        members.put(session, ledger, member)
        ledger.sites_differ(member.vo)


def of_vo(session: Session, vo: str, fqan: str) -> tuple[str, str | None]:
    """(group, role or None) of an FQAN that the VO has. Raises Refused, NotFound."""
    try:
        path, role = split_fqan(fqan)
    except VomsError as fault:
        raise Refused(str(fault), FieldFault("fqan", "must read /vo/group or /vo/group/Role=role")) from fault
    group = session.get(Group, path)
    if group is None or group.vo != vo:
        raise NotFound(f"{vo} has no group {path}.")
    if role is not None and session.get(Role, (vo, role)) is None:
        raise NotFound(f"{vo} has no role {role}.")
    return path, role


def parts(fqan: str) -> tuple[str, str | None]:
    """(group, role or None) of an FQAN in short form that we wrote ourselves."""
    path, _, role = fqan.partition("/Role=")
    return path, role or None


def upwards(path: str, vo: str) -> list[str]:
    """The group and those above it, without the root, which all are in; ValueError for a path outside the VO."""
    found, root = [], f"/{vo}"
    while path != root:
        if not path:
            raise ValueError(f"no group of {vo}")
        found.append(path)
        path = path.rpartition("/")[0]
    return found

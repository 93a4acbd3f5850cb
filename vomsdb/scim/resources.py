"""Members and groups as SCIM resources, a page at once, and the choice of attributes (RFC 7644, section 3.9)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import CompoundSelect, String, cast, func, select, union_all
from sqlalchemy.orm import Session

from hanse.identity.names import rfc2253
from hanse.revisions import History, Revision
from vomsdb import groups, members
from vomsdb.models import AttributeValue, Group, Member, MemberGroup, Person
from vomsdb.scim import group_ids
from vomsdb.scim.faults import ScimRefused
from vomsdb.scim.names import CORE, EXTENSIONS, GROUP, INDIGO_USER, MEMBERSHIP, USER

Resource = dict[str, Any]
#: A group's members are told up to here; a bigger one is read by Users and a filter.
MOST_MEMBERS = 20_000


def iso(at: datetime) -> str:
    """A time as SCIM writes it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def users(session: Session, ids: Sequence[int], base: str) -> list[Resource]:
    """The members with these numbers, in this order; a handful of questions however many they are."""
    found = {one.member.id: one for one in members.of_ids(session, ids)}
    values: dict[int, list[Resource]] = {}
    own = select(AttributeValue).where(AttributeValue.member_id.in_(ids)).order_by(AttributeValue.name)
    for value in session.scalars(own):
        values.setdefault(value.member_id or 0, []).append({"name": value.name, "value": value.value})
    changed = _changed(session, "membership", [str(number) for number in ids])
    return [
        _user(found[number], values.get(number, []), changed.get(str(number)), base)
        for number in ids
        if number in found
    ]


def _changed(session: Session, kind: str, ids: Sequence[str]) -> dict[str, datetime]:
    query = (
        select(History.entity_id, Revision.at)
        .join(Revision, Revision.number == History.from_revision)
        .where(History.kind == kind, History.entity_id.in_(ids), History.to_revision.is_(None))
    )
    return {entity: at for entity, at in session.execute(query)}


def user_name(member: Member) -> str:
    """As it was provisioned, or number and VO."""
    return member.user_name or f"{member.id}@{member.vo}"


def _user(
    profile: members.Profile, attributes: list[Resource], changed: datetime | None, base: str
) -> Resource:
    member, person = profile.member, profile.person
    resource: Resource = {
        "schemas": [USER, INDIGO_USER, MEMBERSHIP],
        "id": str(member.id),
        "userName": user_name(member),
        "name": _name(person.name),
        "displayName": person.name,
        "active": member.state == "active",
        "groups": [_group_of_user(path, base) for path in profile.fqans if "/Role=" not in path],
        "roles": [{"value": fqan} for fqan in profile.fqans if "/Role=" in fqan],
        INDIGO_USER: {
            "certificates": [_certificate(held, at == 0) for at, held in enumerate(profile.certificates)],
            "oidcIds": [{"issuer": one.issuer, "subject": one.subject} for one in profile.subjects],
            **({"aupSignatureTime": iso(member.aup_signed_at)} if member.aup_version else {}),
            "endTime": iso(member.until),
            "attributes": attributes,
        },
        MEMBERSHIP: {
            "vo": member.vo,
            "kind": member.kind,
            "state": member.state,
            "aupVersion": member.aup_version,
            **({"suspensionCode": member.suspension_code} if member.suspension_code else {}),
            **({"suspensionReason": member.suspension_reason} if member.suspension_reason else {}),
            **({"owner": str(member.owner_id)} if member.owner_id else {}),
        },
    }
    if member.external_id:
        resource["externalId"] = member.external_id
    if person.email:
        resource["emails"] = [{"value": person.email, "type": "work", "primary": True}]
    return _with_meta(resource, "User", f"{base}/Users/{member.id}", member.since, changed, _digest(resource))


def _name(whole: str) -> Resource:
    given, _, family = whole.rpartition(" ")
    return {"formatted": whole, "givenName": given or whole, "familyName": family if given else ""}


def _group_of_user(path: str, base: str) -> Resource:
    number = group_ids.id_of(path)
    return {"value": number, "display": path, "$ref": f"{base}/Groups/{number}", "type": "direct"}


@lru_cache(maxsize=20_000)
def _printed(name: bytes) -> str:
    return rfc2253(name)


def _certificate(held: members.Held, first: bool) -> Resource:
    """Names as RFC 2253 has them, which INDIGO IAM writes too."""
    return {
        "display": held.certificate.subject,
        "primary": first,
        "subjectDn": _printed(held.certificate.subject_der),
        "issuerDn": _printed(held.certificate.issuer_der),
        "active": held.state == "active",
    }


def group_list(session: Session, paths: Sequence[str], base: str, *, with_members: bool) -> list[Resource]:
    """The groups with these paths, in this order. Raises ScimRefused (tooMany) for members without end."""
    found = {row.path: row for row in session.scalars(select(Group).where(Group.path.in_(paths)))}
    changed = _changed(session, "group", paths)
    states = _states(session, paths)
    inside = (
        _members(session, paths, base, sum(count for count, _ in states.values())) if with_members else {}
    )
    return [
        _group(
            found[path],
            states.get(path, (0, 0)),
            inside.get(path, []) if with_members else None,
            changed.get(path),
            base,
        )
        for path in paths
        if path in found
    ]


def _inside(paths: Sequence[str]) -> CompoundSelect[tuple[str, int, int]]:
    """(path, member, person) of everybody in the groups; all of a VO are in its root group, and no row says so."""
    living = Member.state != "removed"
    below = (
        select(MemberGroup.path.label("path"), Member.id.label("id"), Member.person_id.label("person"))
        .join(Member, Member.id == MemberGroup.member_id)
        .where(MemberGroup.path.in_(paths), living)
    )
    roots = [path.removeprefix("/") for path in paths if path.count("/") == 1]
    in_root = select(("/" + Member.vo).label("path"), Member.id, Member.person_id)
    return union_all(below, in_root.where(Member.vo.in_(roots), living))


def _states(session: Session, paths: Sequence[str]) -> dict[str, tuple[int, int]]:
    """(how many are in it, a sum over who they are) of each group that is not empty."""
    both = _inside(paths).subquery()
    who = func.sum(func.hashtextextended(cast(both.c.id, String), 0))
    query = select(both.c.path, func.count(), who).group_by(both.c.path)
    return {path: (count, int(total)) for path, count, total in session.execute(query)}


def _members(session: Session, paths: Sequence[str], base: str, count: int) -> dict[str, list[Resource]]:
    if count > MOST_MEMBERS:
        words = f"These groups have more than {MOST_MEMBERS} members; read them by /Users?filter=groups.value eq ..."
        raise ScimRefused("tooMany", words)
    found: dict[str, list[Resource]] = {}
    both = _inside(paths).subquery()
    named = select(both.c.path, both.c.id, Person.name).join(Person, Person.id == both.c.person)
    for path, number, name in session.execute(named.order_by(both.c.id)):
        entry = {"value": str(number), "display": name, "$ref": f"{base}/Users/{number}", "type": "User"}
        found.setdefault(path, []).append(entry)
    return found


def _group(
    row: Group, state: tuple[int, int], inside: list[Resource] | None, changed: datetime | None, base: str
) -> Resource:
    """A group, of one version whether its members are told or not."""
    number = group_ids.id_of(row.path)
    resource: Resource = {
        "schemas": [GROUP, MEMBERSHIP],
        "id": number,
        "displayName": row.path,
        MEMBERSHIP: {"vo": row.vo, "description": row.description},
    }
    version = _digest([resource, state])
    if inside is not None:
        resource["members"] = inside
    return _with_meta(resource, "Group", f"{base}/Groups/{number}", changed, changed, version)


def _digest(told: Any) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:24]


def _with_meta(
    resource: Resource,
    kind: str,
    location: str,
    created: datetime | None,
    changed: datetime | None,
    version: str,
) -> Resource:
    meta: Resource = {"resourceType": kind, "location": location, "version": f'W/"{version}"'}
    if created is not None:
        meta["created"] = iso(created)
    if changed is not None:
        meta["lastModified"] = iso(max(changed, created) if created else changed)
    return {**resource, "meta": meta}


def path_of_group(session: Session, number: str) -> str | None:
    """The path of a group that is there, from its id."""
    path = group_ids.path_of(number)
    return path if path is not None and session.get(Group, path) is not None else None


def of_vo(fqan: str) -> str:
    """The VO that a group or role belongs to."""
    return groups.parts(fqan)[0].split("/")[1]


# --- choosing -----------------------------------------------------------------------------------------------------


class Choice:
    """`attributes` or `excludedAttributes` of a request; `id`, `schemas` and `meta` stay."""

    _KEPT = ("id", "schemas", "meta")

    def __init__(self, wanted: str, unwanted: str) -> None:
        self._wanted, self._unwanted = _listed(wanted), _listed(unwanted)

    def asks_for(self, attribute: str) -> bool:
        """Whether an attribute that is told on request alone is asked for."""
        return any(name == attribute or name.startswith(attribute + ".") for name in self._wanted)

    def of(self, resource: Resource) -> Resource:
        """What is left of the resource."""
        if self._wanted:
            kept = {name: value for name, value in resource.items() if name in self._KEPT}
            return {**_picked(resource, self._wanted), **kept}
        return _without(resource, self._unwanted) if self._unwanted else resource


def _listed(text: str) -> frozenset[str]:
    names = {name.strip().lower() for name in text[:4000].split(",") if name.strip()}
    prefixes = [schema.lower() + ":" for schema in CORE]
    for prefix in prefixes:
        names = {name.removeprefix(prefix) for name in names}
    # an attribute of an extension is `schema:name`; inside here a dot leads to it
    for schema in EXTENSIONS:
        names = {name.replace(schema.lower() + ":", schema.lower() + "\n", 1) for name in names}
    return frozenset(names)


def _below(names: frozenset[str], name: str) -> frozenset[str]:
    mark = "\n" if name in {schema.lower() for schema in EXTENSIONS} else "."
    return frozenset(other[len(name) + 1 :] for other in names if other.startswith(name + mark))


def _picked(value: Mapping[str, Any], names: frozenset[str]) -> Resource:
    found: Resource = {}
    for key, inner in value.items():
        below = _below(names, key.lower())
        if key.lower() in names:
            found[key] = inner
        elif below and isinstance(inner, dict):
            found[key] = _picked(inner, below)
        elif below and isinstance(inner, list):
            found[key] = [_picked(each, below) for each in inner if isinstance(each, dict)]
    return found


def _without(value: Mapping[str, Any], names: frozenset[str]) -> Resource:
    found: Resource = {}
    for key, inner in value.items():
        if key.lower() in names and key not in Choice._KEPT:
            continue
        below = _below(names, key.lower())
        if below and isinstance(inner, dict):
            found[key] = _without(inner, below)
        elif below and isinstance(inner, list):
            found[key] = [_without(each, below) if isinstance(each, dict) else each for each in inner]
        else:
            found[key] = inner
    return found

"""/api/v1: extension properties of sites, services, endpoints and service groups, one by one or together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hanse.identity.permissions import PUBLIC, Permission
from hanse.web import Api, PathModel, current_principal, ground
from registry import properties, states
from registry.api.answers import Body, Id, Name, read_revision, tagged
from registry.api.listing import Answer
from registry.rights import EDIT_GROUP, EDIT_SITE
from registry.schemas.fields import PropertyKey
from registry.schemas.records import ExtensionIn, ExtensionsIn, ExtensionsOut
from registry.schemas.sites import OneQuery

api = Api("registry_properties", __name__, "Extension properties")


class SitePath(PathModel):
    """A site."""

    site: Name


class SiteKeyPath(SitePath):
    """A property of a site."""

    key: PropertyKey


class NumberPath(PathModel):
    """A service or an endpoint."""

    number: Id


class NumberKeyPath(NumberPath):
    """A property of it."""

    key: PropertyKey


class GroupPath(PathModel):
    """A service group."""

    group: Name


class GroupKeyPath(GroupPath):
    """A property of a service group."""

    key: PropertyKey


@dataclass(frozen=True)
class Owner:
    """What can have properties: its kind, its address, who may change them; `field` of the path names it."""

    kind: properties.Kind
    rule: str
    edit: Permission
    words: str
    path: type[PathModel]
    key_path: type[PathModel]
    field: str


OWNERS = (
    Owner("site", "/sites/<site>", EDIT_SITE, "a site", SitePath, SiteKeyPath, "site"),
    Owner("service", "/services/<int:number>", EDIT_SITE, "a service", NumberPath, NumberKeyPath, "number"),
    Owner(
        "endpoint", "/endpoints/<int:number>", EDIT_SITE, "an endpoint", NumberPath, NumberKeyPath, "number"
    ),
    Owner(
        "service_group",
        "/service-groups/<group>",
        EDIT_GROUP,
        "a service group",
        GroupPath,
        GroupKeyPath,
        "group",
    ),
)


def _read(owner: Owner, key: str, as_of: str | None = None) -> Answer:
    find = states.find_named if owner.kind in ("site", "service_group") else states.find
    with ground().db.transaction() as session:
        state = find(session, owner.kind, key, as_of)
    # an endpoint's own entity is what monitoring follows; its properties stand in its service as well
    body: Body = {
        "extensions": state.body.get("extensions", {}),
        "revision": state.revision,
        "updated_at": state.at,
    }
    return tagged(state, body)


def _routes(owner: Owner) -> None:
    """The four routes of an owner: read all, set several, set one, remove one."""
    rule, words = f"{owner.rule}/extensions", owner.words

    def named(path: Any) -> str:
        return str(getattr(path, owner.field))

    def read(path: Any, query: OneQuery) -> Answer:
        """All of them, now or as they were."""
        return _read(owner, named(path), query.as_of)

    def save(path: Any, values: dict[str, str], **how: Any) -> Answer:
        key = named(path)
        properties.save(
            ground().db, current_principal(), owner.kind, key, values, expected=read_revision(), **how
        )
        return _read(owner, key)

    def put_several(path: Any, body: ExtensionsIn) -> Answer:
        """Several at once; with `replace` the others go."""
        return save(path, body.extensions, replace=body.replace, reason=body.reason)

    def put_one(path: Any, body: ExtensionIn) -> Answer:
        """Its value, whether it was there or not."""
        return save(path, {path.key: body.value}, reason=body.reason)

    def drop_one(path: Any) -> None:
        """Only this one."""
        properties.drop(
            ground().db, current_principal(), owner.kind, named(path), [path.key], expected=read_revision()
        )

    edit, shown = owner.edit, {200: ExtensionsOut}
    several, one, gone = f"Extension properties of {words}", f"one extension property of {words}", {204: None}
    api.get(rule, permission=PUBLIC, summary=several, responses=shown)(_for(owner, "list_of", read))
    api.put(rule, permission=edit, summary=f"Set {several[0].lower()}{several[1:]}", responses=shown)(
        _for(owner, "set_of", put_several)
    )
    api.put(f"{rule}/<key>", permission=edit, summary=f"Set {one}", responses=shown)(
        _for(owner, "set_one_of", put_one, keyed=True)
    )
    api.delete(
        f"{rule}/<key>", permission=edit, summary=f"Remove an{one.removeprefix('one')}", responses=gone
    )(_for(owner, "drop_of", drop_one, keyed=True))


def _for(owner: Owner, act: str, handler: Callable[..., Any], *, keyed: bool = False) -> Callable[..., Any]:
    """The handler under a name of its own, and with the path that this owner has."""
    handler.__name__ = f"{act}_{owner.kind}"
    handler.__annotations__ = {
        **handler.__annotations__,
        "path": owner.key_path if keyed else owner.path,
    }
    return handler


for _owner in OWNERS:
    _routes(_owner)

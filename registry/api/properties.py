"""/api/v1: extension properties of sites, services, endpoints and service groups, one by one or together."""

from __future__ import annotations

from hanse.identity.permissions import PUBLIC
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


def _read(kind: properties.Kind, key: str, as_of: str | None = None) -> Answer:
    find = states.find_named if kind in ("site", "service_group") else states.find
    with ground().db.transaction() as session:
        state = find(session, kind, key, as_of)
    # an endpoint's own entity is what monitoring follows; its properties stand in its service as well
    body: Body = {
        "extensions": state.body.get("extensions", {}),
        "revision": state.revision,
        "updated_at": state.at,
    }
    return tagged(state, body)


def _save(kind: properties.Kind, key: str, body: ExtensionsIn) -> Answer:
    properties.save(
        ground().db,
        current_principal(),
        kind,
        key,
        body.extensions,
        replace=body.replace,
        reason=body.reason,
        expected=read_revision(),
    )
    return _read(kind, key)


def _save_one(kind: properties.Kind, key: str, name: str, body: ExtensionIn) -> Answer:
    properties.save(
        ground().db,
        current_principal(),
        kind,
        key,
        {name: body.value},
        reason=body.reason,
        expected=read_revision(),
    )
    return _read(kind, key)


def _drop(kind: properties.Kind, key: str, name: str) -> None:
    properties.drop(ground().db, current_principal(), kind, key, [name], expected=read_revision())


@api.get(
    "/sites/<site>/extensions",
    permission=PUBLIC,
    summary="Extension properties of a site",
    responses={200: ExtensionsOut},
)
def list_of_site(path: SitePath, query: OneQuery) -> Answer:
    """All of them, now or as they were."""
    return _read("site", path.site, query.as_of)


@api.put(
    "/sites/<site>/extensions",
    permission=EDIT_SITE,
    summary="Set extension properties of a site",
    responses={200: ExtensionsOut},
)
def set_of_site(path: SitePath, body: ExtensionsIn) -> Answer:
    """Several at once; with `replace` the others go."""
    return _save("site", path.site, body)


@api.put(
    "/sites/<site>/extensions/<key>",
    permission=EDIT_SITE,
    summary="Set one extension property of a site",
    responses={200: ExtensionsOut},
)
def set_one_of_site(path: SiteKeyPath, body: ExtensionIn) -> Answer:
    """Its value, whether it was there or not."""
    return _save_one("site", path.site, path.key, body)


@api.delete(
    "/sites/<site>/extensions/<key>",
    permission=EDIT_SITE,
    summary="Remove an extension property of a site",
    responses={204: None},
)
def drop_of_site(path: SiteKeyPath) -> None:
    """Only this one."""
    _drop("site", path.site, path.key)


@api.get(
    "/services/<int:number>/extensions",
    permission=PUBLIC,
    summary="Extension properties of a service",
    responses={200: ExtensionsOut},
)
def list_of_service(path: NumberPath, query: OneQuery) -> Answer:
    """All of them, now or as they were."""
    return _read("service", str(path.number), query.as_of)


@api.put(
    "/services/<int:number>/extensions",
    permission=EDIT_SITE,
    summary="Set extension properties of a service",
    responses={200: ExtensionsOut},
)
def set_of_service(path: NumberPath, body: ExtensionsIn) -> Answer:
    """Several at once; with `replace` the others go."""
    return _save("service", str(path.number), body)


@api.put(
    "/services/<int:number>/extensions/<key>",
    permission=EDIT_SITE,
    summary="Set one extension property of a service",
    responses={200: ExtensionsOut},
)
def set_one_of_service(path: NumberKeyPath, body: ExtensionIn) -> Answer:
    """Its value, whether it was there or not."""
    return _save_one("service", str(path.number), path.key, body)


@api.delete(
    "/services/<int:number>/extensions/<key>",
    permission=EDIT_SITE,
    summary="Remove an extension property of a service",
    responses={204: None},
)
def drop_of_service(path: NumberKeyPath) -> None:
    """Only this one."""
    _drop("service", str(path.number), path.key)


@api.get(
    "/endpoints/<int:number>/extensions",
    permission=PUBLIC,
    summary="Extension properties of a endpoint",
    responses={200: ExtensionsOut},
)
def list_of_endpoint(path: NumberPath, query: OneQuery) -> Answer:
    """All of them, now or as they were."""
    return _read("endpoint", str(path.number), query.as_of)


@api.put(
    "/endpoints/<int:number>/extensions",
    permission=EDIT_SITE,
    summary="Set extension properties of a endpoint",
    responses={200: ExtensionsOut},
)
def set_of_endpoint(path: NumberPath, body: ExtensionsIn) -> Answer:
    """Several at once; with `replace` the others go."""
    return _save("endpoint", str(path.number), body)


@api.put(
    "/endpoints/<int:number>/extensions/<key>",
    permission=EDIT_SITE,
    summary="Set one extension property of a endpoint",
    responses={200: ExtensionsOut},
)
def set_one_of_endpoint(path: NumberKeyPath, body: ExtensionIn) -> Answer:
    """Its value, whether it was there or not."""
    return _save_one("endpoint", str(path.number), path.key, body)


@api.delete(
    "/endpoints/<int:number>/extensions/<key>",
    permission=EDIT_SITE,
    summary="Remove an extension property of a endpoint",
    responses={204: None},
)
def drop_of_endpoint(path: NumberKeyPath) -> None:
    """Only this one."""
    _drop("endpoint", str(path.number), path.key)


@api.get(
    "/service-groups/<group>/extensions",
    permission=PUBLIC,
    summary="Extension properties of a service group",
    responses={200: ExtensionsOut},
)
def list_of_service_group(path: GroupPath, query: OneQuery) -> Answer:
    """All of them, now or as they were."""
    return _read("service_group", path.group, query.as_of)


@api.put(
    "/service-groups/<group>/extensions",
    permission=EDIT_GROUP,
    summary="Set extension properties of a service group",
    responses={200: ExtensionsOut},
)
def set_of_service_group(path: GroupPath, body: ExtensionsIn) -> Answer:
    """Several at once; with `replace` the others go."""
    return _save("service_group", path.group, body)


@api.put(
    "/service-groups/<group>/extensions/<key>",
    permission=EDIT_GROUP,
    summary="Set one extension property of a service group",
    responses={200: ExtensionsOut},
)
def set_one_of_service_group(path: GroupKeyPath, body: ExtensionIn) -> Answer:
    """Its value, whether it was there or not."""
    return _save_one("service_group", path.group, path.key, body)


@api.delete(
    "/service-groups/<group>/extensions/<key>",
    permission=EDIT_GROUP,
    summary="Remove an extension property of a service group",
    responses={204: None},
)
def drop_of_service_group(path: GroupKeyPath) -> None:
    """Only this one."""
    _drop("service_group", path.group, path.key)

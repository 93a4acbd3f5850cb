"""Extension properties: keys and values that sites, services, endpoints and groups carry for others' programs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Literal

from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import FieldFault, NotFound, Refused
from hanse.identity.principals import Principal
from hanse.revisions import Change
from registry import bodies, entities, service_groups, services
from registry.federation_entities import put_service_group
from registry.models import Endpoint, Service, ServiceGroup, Site
from registry.recording import check_unchanged, lock_service, lock_site, recording
from registry.rights import EDIT_GROUP, EDIT_SITE, check_owner, check_site
from registry.sites import merged_properties

MOST: Final = 20
Owner = Site | Service | Endpoint | ServiceGroup
Kind = Literal["site", "service", "endpoint", "service_group"]


def save(
    db: Database,
    principal: Principal,
    kind: Kind,
    key: str,
    values: Mapping[str, str],
    *,
    replace: bool = False,
    reason: str = "",
    expected: int | None = None,
) -> None:
    """Give the object the values; with `replace` they are all that is left. `key` is its name, or its id.

    Raises NotFound, Forbidden, Conflict when somebody was quicker, Refused above 20 properties.
    """
    told = reason or f"Extension properties of the {kind.replace('_', ' ')} {key} changed"
    with recording(db, principal, told) as (session, change):
        owner = _lock(session, principal, kind, key)
        check_unchanged(session, kind, owner.id, expected)
        present = {} if replace else bodies.extensions(owner.properties)
        put(session, change, owner, {**present, **values})


def drop(
    db: Database,
    principal: Principal,
    kind: Kind,
    key: str,
    keys: Collection[str],
    *,
    reason: str = "",
    expected: int | None = None,
) -> None:
    """Take properties off the object. Raises NotFound when it lacks one of them."""
    told = reason or f"Extension properties of the {kind.replace('_', ' ')} {key} removed"
    with recording(db, principal, told) as (session, change):
        owner = _lock(session, principal, kind, key)
        check_unchanged(session, kind, owner.id, expected)
        present = bodies.extensions(owner.properties)
        missing = sorted(set(keys) - present.keys())
        if missing:
            raise NotFound(f"There is no extension property {', '.join(missing)} here.")
        put(session, change, owner, {name: value for name, value in present.items() if name not in keys})


def put(session: Session, change: Change, owner: Owner, values: Mapping[str, str]) -> None:
    """Make the properties of a locked object these, inside the caller's revision. Raises Refused above 20."""
    if len(values) > MOST:
        raise Refused(
            f"An object carries at most {MOST} extension properties; these would be {len(values)}.",
            FieldFault("extensions", f"remove {len(values) - MOST} first"),
        )
    owner.properties = merged_properties(owner.properties, values)
    session.flush()
    if isinstance(owner, Site):
        entities.put_site(change, owner)
    elif isinstance(owner, ServiceGroup):
        put_service_group(change, owner)
    else:
        entities.put_service(change, owner if isinstance(owner, Service) else owner.service)


def _lock(session: Session, principal: Principal, kind: Kind, key: str) -> Owner:
    if kind == "site":
        site = lock_site(session, key)
        check_site(principal, EDIT_SITE, site)
        return site
    if kind == "service_group":
        group = service_groups.lock(session, key)
        check_owner(principal, EDIT_GROUP, group)
        return group
    if kind == "service":
        service = lock_service(session, int(key))
        check_site(principal, EDIT_SITE, service.site)
        return service
    endpoint, service = services.lock_endpoint(session, int(key))
    check_site(principal, EDIT_SITE, service.site)
    return endpoint

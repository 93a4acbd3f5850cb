"""Sites: register, change, remove."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Conflict, FieldFault, Refused
from hanse.identity.permissions import check
from hanse.identity.principals import Principal
from hanse.revisions import Change
from registry import downtime_parts, entities, policy, roles, scopes
from registry.federation_entities import groups_of, put_service_groups_again
from registry.keys import FRESH, Keys
from registry.models import Contact, ExtensionProperty, Service, Site, VoShare, owned_entity_id
from registry.recording import check_unchanged, find_ngi, lock_site, recording, take_lock
from registry.rights import EDIT_SITE, REGISTER_SITE, REMOVE_SITE, check_site, is_operator
from registry.schemas.sites import SiteEdit, SiteIn

_PLAIN = (
    "official_name",
    "description",
    "home_url",
    "telephone",
    "domain",
    "giis_url",
    "country",
    "country_code",
    "location",
    "timezone",
    "latitude",
    "longitude",
    "middleware",
    "notify",
    "ip_range",
    "ipv6_range",
    "tier",
    "sub_grid",
    "scopes",
    "agent_url",
)
_NEEDED = ("name", "ngi", "official_name", "country", "country_code")


def register(db: Database, principal: Principal, form: SiteIn) -> str:
    """Register a site; returns its name. Operators everywhere, NGI managers in their NGI.

    Raises Conflict (name taken), NotFound (no such NGI), Refused, Forbidden.
    """
    check(principal, REGISTER_SITE, f"ngi:{form.ngi}")
    if form.certification != "Candidate" and not is_operator(principal):
        raise Refused(
            "A new site begins as Candidate.",
            FieldFault("certification", "only a federation operator registers a site that is further on"),
        )
    with recording(db, principal, form.reason or f"Site {form.name} registered") as (session, change):
        policy.check_begins_alone(session, form.certification)
        create(session, change, form, operator=is_operator(principal))
    return form.name


def create(
    session: Session, change: Change, form: SiteIn, keys: Keys = FRESH, *, operator: bool = False
) -> Site:
    """Write a new site inside the caller's revision; an import gives the `keys` that it keeps."""
    ngi = find_ngi(session, form.ngi)
    scopes.check(session, form.scopes, parents=ngi.scopes, operator=operator)
    _check_name(session, form.name)
    number, primary_key = keys.take(session, owned_entity_id)
    site = Site(
        id=number,
        primary_key=primary_key,
        name=form.name,
        ngi=ngi,
        certification=form.certification,
        certification_since=datetime.now(UTC),
        usage_site_names=[],
    )
    values = form.model_dump()
    values["usage_site_names"] = values["usage_site_names"] or [form.name]
    with session.no_autoflush:
        set_fields(session, site, values)
    session.add(site)
    session.flush()
    entities.put_site(change, site)
    return site


def _check_name(session: Session, name: str, own: int | None = None) -> None:
    """Refuse a name that another site has in another case: clients of the GOCDB interface take the two for one."""
    take_lock(session, "site names")
    with session.no_autoflush:
        others = select(Site.name).where(func.lower(Site.name) == name.lower(), Site.name != name)
        taken = session.scalar((others if own is None else others.where(Site.id != own)).limit(1))
    if taken is not None:
        raise Conflict(
            f"There is a site {taken} already; names of sites have to differ in more than in small and capital"
            " letters.",
            FieldFault("name", f"is that of {taken} in other letters; choose another one"),
        )


def edit(db: Database, principal: Principal, name: str, form: SiteEdit, expected: int | None = None) -> str:
    """Change the fields that `form` names; returns the site's name, which may be new.

    `expected` is the revision that the caller read. Raises Conflict when somebody was quicker.
    """
    values = form.named()
    with recording(db, principal, form.reason or f"Site {name} changed") as (session, change):
        site = lock_site(session, name)
        check_site(principal, EDIT_SITE, site)
        check_unchanged(session, "site", site.id, expected)
        apply(session, change, site, values, operator=is_operator(principal))
        return site.name


def apply(session: Session, change: Change, site: Site, values: Mapping[str, Any], *, operator: bool) -> None:
    """Set the fields of a locked site inside the caller's revision, and record it."""
    empty = [field for field in _NEEDED if field in values and values[field] is None]
    if empty:
        raise Refused(
            "A site needs these fields.", *(FieldFault(field, "cannot be empty") for field in empty)
        )
    old_name, old_ngi = site.name, site.ngi.name
    new_name, new_ngi = values.get("name", old_name), values.get("ngi", old_ngi)
    if (new_name, new_ngi) != (old_name, old_ngi) and not operator:
        raise Refused(
            "Only a federation operator may give a site another name or another NGI.",
            FieldFault("name" if new_name != old_name else "ngi", "ask a federation operator"),
        )
    if new_name != old_name:
        _check_name(session, new_name, site.id)
    site.name = new_name
    site.ngi = find_ngi(session, new_ngi)
    if "scopes" in values:
        scopes.check(
            session, values["scopes"], present=site.scopes, parents=site.ngi.scopes, operator=operator
        )
    set_fields(session, site, values)
    session.flush()
    if new_name != old_name:
        entities.put_whole_site(session, change, site)
    else:
        entities.put_site(change, site)


def set_fields(session: Session, site: Site, values: Mapping[str, Any]) -> None:
    """Copy the named fields to the row. Raises Conflict when another site reports usage under a name."""
    for field in _PLAIN:
        if field in values:
            setattr(site, field, values[field])
    _set_infrastructure(site, values)
    for field, amount in values.get("capacity", {}).items():
        setattr(site, field, amount)
    if "contacts" in values:
        site.contacts = [Contact(position=at, **contact) for at, contact in enumerate(values["contacts"])]
    if "supports" in values:
        projects = {share.vo: share.project_id for share in site.shares}
        site.shares = [
            VoShare(
                vo=share["vo"],
                vcpu=share["vcpu"],
                project_id=share.get("project_id") or projects.get(share["vo"]),
            )
            for share in values["supports"]
        ]
    if "extensions" in values:
        site.properties = merged_properties(site.properties, values["extensions"])
    if "usage_site_names" in values:
        names = list(values["usage_site_names"]) or [site.name]
        _check_usage_names(session, site, names)
        site.usage_site_names = names


def _set_infrastructure(site: Site, values: Mapping[str, Any]) -> None:
    """`production` follows the infrastructure; who only says `production` means Production or Test."""
    wanted = values.get("infrastructure")
    if wanted is None and "production" in values:
        present = site.infrastructure or "Production"
        kept = "Test" if present == "Production" else present
        wanted = "Production" if values["production"] else kept
    if wanted is not None:
        site.infrastructure = wanted
        site.production = wanted == "Production"


def merged_properties(present: list[ExtensionProperty], wanted: Mapping[str, str]) -> list[ExtensionProperty]:
    """The rows for `wanted`, keeping those (and their ids) whose key stays."""
    by_key = {row.key: row for row in present}
    rows = []
    for key, value in wanted.items():
        row = by_key.get(key) or ExtensionProperty(key=key)
        row.value = value
        rows.append(row)
    return rows


def _check_usage_names(session: Session, site: Site, names: list[str]) -> None:
    take_lock(session, "usage names")
    with session.no_autoflush:
        other = session.execute(
            select(Site.name, Site.usage_site_names).where(
                Site.usage_site_names.overlap(names), Site.id != site.id
            )
        ).first()
    if other is not None:
        taken = sorted(set(names) & set(other.usage_site_names))
        raise Conflict(
            f"Usage under the name {', '.join(taken)} is counted for site {other.name}; one name belongs to one site.",
            FieldFault("usage_site_names", f"{', '.join(taken)} belongs to {other.name}"),
        )


def remove(db: Database, principal: Principal, name: str, reason: str, expected: int | None = None) -> None:
    """Remove a site with its services, downtimes, credentials and roles; the log keeps what it was."""
    check(principal, REMOVE_SITE, "federation")
    with recording(db, principal, reason or f"Site {name} removed") as (session, change):
        site = lock_site(session, name)
        check_unchanged(session, "site", site.id, expected)
        roles.end_with(session, site, principal, reason or f"Site {name} removed")
        delete(session, change, site)


def delete(session: Session, change: Change, site: Site) -> None:
    """Remove a locked site inside the caller's revision."""
    groups = groups_of(session, list(session.scalars(select(Service.id).where(Service.site_id == site.id))))
    downtime_parts.take_out_site(session, change, site)
    entities.delete_whole_site(session, change, site)
    session.delete(site)
    session.flush()
    put_service_groups_again(session, change, groups)

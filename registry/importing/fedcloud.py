"""`import fedcloud`: site files of the federated cloud into this registry, planned first, repeatable, all or nothing.

A file names a site of the registry, its Keystone, its VOs with their projects, and how images and accounting go. The
VOs and projects become what the site supports, the Keystone a service `org.openstack.nova` where none has its
address, the rest extension properties. A VO that leaves a file leaves the site, unless it was here before the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Conflict, HanseError
from hanse.identity.permissions import check
from hanse.identity.principals import Principal
from hanse.revisions import Change
from registry import bodies, services, sites
from registry.importing.gocdb_context import Context
from registry.importing.gocdb_places import UNKNOWN_COUNTRY
from registry.importing.gocdb_records import Record
from registry.importing.merging import Finding, Memory, Merged, Prefer, Report
from registry.importing.numbers import Numbers
from registry.models import Ngi, Service, Site
from registry.recording import take_lock
from registry.renderings.fedcloud_yaml import FedcloudSite, parse
from registry.rights import RUN_FEDERATION
from registry.schemas.services import ServiceIn
from registry.schemas.sites import SiteEdit, SiteIn

KEYSTONE_TYPE: Final = "org.openstack.nova"
SOURCE: Final = "fedcloud"
MOST_FILES: Final = 2000
_PROPERTIES: Final = "fedcloud."
_JOINED: Final = frozenset({"supports", "extensions", "usage_site_names"})


@dataclass(frozen=True)
class Options:
    """Who wins where both sides changed something; the NGI in which sites are registered that are not here."""

    prefer: Prefer = "ours"
    create_in: str | None = None


class _RolledBack(Exception):
    pass


def plan(db: Database, principal: Principal, files: Mapping[str, str], options: Options) -> Report:
    """What importing would do; nothing is kept."""
    check(principal, RUN_FEDERATION, "federation")
    try:
        with db.transaction() as session:
            report = _run(session, principal, files, options).report
            raise _RolledBack
    except _RolledBack:
        return report


def take_over(
    db: Database,
    principal: Principal,
    files: Mapping[str, str],
    options: Options,
    *,
    expected: str | None = None,
) -> Report:
    """Import. With `expected`, a plan's fingerprint, only if the steps are still those planned. Raises Conflict."""
    check(principal, RUN_FEDERATION, "federation")
    with db.transaction() as session:
        context = _run(session, principal, files, options)
        if expected is not None and context.report.fingerprint != expected:
            raise Conflict("The registry or the files have changed since this plan was made; plan again.")
        session.flush()
        for change in context.changes:
            change.write()
            if change.number is not None:
                context.report.revisions.append(change.number)
    return context.report


def _run(session: Session, principal: Principal, files: Mapping[str, str], options: Options) -> Context:
    take_lock(session, "imports")
    context = Context(
        session=session,
        principal=principal,
        prefer=options.prefer,
        report=Report(SOURCE),
        memory=Memory(session, SOURCE),
        numbers=Numbers(session),
    )
    seen: dict[str, str] = {}
    for name, text in sorted(files.items()):
        try:
            file = parse(text)
        except HanseError as error:
            context.report.note(Finding("skip", "site", name, notes=(str(error),)))
            continue
        if file.gocdb in seen:
            note = f"{seen[file.gocdb]} is about {file.gocdb} already"
            context.report.note(Finding("skip", "site", name, notes=(note,)))
            continue
        seen[file.gocdb] = name
        record = Record(file.gocdb, None, file.gocdb)
        with context.trying("site", record):
            _site(context, record, file, options)
    for key in context.memory.gone("site", seen):
        note = "has no file any more; the site stays as it is"
        context.report.note(Finding("keep", "site", key, key, notes=(note,)))
    return context


def _site(context: Context, record: Record, file: FedcloudSite, options: Options) -> None:
    change = context.revision(f"Imported from the site file of {file.gocdb}")
    row = context.session.scalar(select(Site).where(Site.name == file.gocdb).with_for_update(of=Site))
    made = row is None
    if row is None:
        row = _new_site(context, change, file, options)
    if row is None:
        note = "is not in the registry: register it, import it from its GOCDB, or give --create-in NGI"
        context.skip("site", record, note)
        return
    theirs, ours, notes = _theirs(context, record, file, row)
    merged = _merged(context, record, theirs, ours)
    present = row
    if made:
        _write(context, change, present, merged.values)
        context.added("site", record, row.id, theirs, notes)
    else:
        context.settle(
            "site", record, row.id, theirs, merged, notes,
            lambda values: _write(context, change, present, values),
        )  # fmt: skip
    vos = sorted(vo.name for vo in file.vos)
    context.memory.remember("site", record.key, row.id, {**theirs, "vos": vos})
    _keystone(context, change, row, file)


def _merged(context: Context, record: Record, theirs: dict[str, Any], ours: dict[str, Any]) -> Merged:
    """Lists are joined already, so that nothing of ours is lost: there the file decides; elsewhere `merge` does."""
    joined = {name: value for name, value in theirs.items() if name in _JOINED and value != ours.get(name)}
    single = context.merged("site", record, {key: theirs[key] for key in theirs.keys() - _JOINED}, ours)
    return Merged(
        {**single.values, **joined},
        {**single.changes, **{name: (ours.get(name), value) for name, value in joined.items()}},
        single.notes,
    )


def _new_site(context: Context, change: Change, file: FedcloudSite, options: Options) -> Site | None:
    if options.create_in is None:
        return None
    ngi = context.session.scalar(select(Ngi).where(Ngi.name == options.create_in))
    country, code = UNKNOWN_COUNTRY
    form = SiteIn(
        name=file.gocdb,
        ngi=options.create_in,
        official_name=file.gocdb,
        country=country,
        country_code=code,
        scopes=sorted(ngi.scopes) if ngi is not None else ["EGI"],
    )
    return sites.create(context.session, change, form, operator=True)


def _theirs(
    context: Context, record: Record, file: FedcloudSite, row: Site
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """What the file says and what is here, field by field; VOs and properties that are ours alone stay."""
    body = bodies.site_body(row)
    before = context.memory.find("site", record.key)
    last = {} if before is None else before.values
    named = {vo.name: vo.auth.project_id for vo in file.vos}
    ours = {str(share["vo"]): share for share in body["supports"]}
    dropped = set(last.get("vos", ())) - named.keys()
    notes = [f"{vo} is not in the file any more" for vo in sorted(dropped & ours.keys())]
    kept = {vo: dict(share) for vo, share in ours.items() if vo not in dropped}
    for vo, project in named.items():
        kept[vo] = {**kept.get(vo, {"vo": vo, "vcpu": None}), "project_id": project}
    properties = _properties(file)
    left = {key: value for key, value in body["extensions"].items() if not key.startswith(_PROPERTIES)}
    theirs: dict[str, Any] = {
        "supports": [kept[vo] for vo in sorted(kept)],
        "extensions": {**left, **properties},
        "middleware": "OpenStack",
    }
    if file.accounting.site_name and file.accounting.site_name not in body["usage_site_names"]:
        theirs["usage_site_names"] = [*body["usage_site_names"], file.accounting.site_name]
    shown = {**body, "supports": [ours[vo] for vo in sorted(ours)]}
    return theirs, shown, notes


def _properties(file: FedcloudSite) -> dict[str, str]:
    found = {
        "images.sync": str(file.images.sync).lower(),
        "images.formats": ",".join(file.images.formats),
        "protocol": file.protocol,
        "region": file.region or "",
        "auth": file.auth or "",
        "accounting": str(file.accounting.enabled).lower(),
    }
    return {_PROPERTIES + key: value for key, value in found.items() if value}


def _write(context: Context, change: Change, row: Site, values: dict[str, Any]) -> None:
    try:
        form = SiteEdit.model_validate(values)
    except ValidationError as error:
        raise Conflict(f"{row.name} cannot be so: {error.errors()[0]['msg']}") from None
    sites.apply(context.session, change, row, form.named(), operator=True)


def _keystone(context: Context, change: Change, row: Site, file: FedcloudSite) -> None:
    """A service at the Keystone's address, unless one of the site's has it."""
    wanted = _place(file.endpoint)
    record = Record(file.endpoint, None, f"{KEYSTONE_TYPE} at {file.endpoint}")
    for service in context.session.scalars(select(Service).where(Service.site_id == row.id)):
        addresses = [service.url or "", *(endpoint.url for endpoint in service.endpoints)]
        if wanted in map(_place, addresses):
            context.report.note(Finding("same", "service", record.name, record.key))
            return
    host = urlsplit(file.endpoint).hostname or ""
    with context.trying("service", record, row):
        form = ServiceIn.model_validate(
            {
                "service_type": KEYSTONE_TYPE,
                "hostname": host,
                "url": file.endpoint,
                "scopes": sorted(row.scopes),
            }
        )
        made = services.create(context.session, change, row, form, operator=True)
        context.added("service", record, made.id, {"url": file.endpoint}, [])


def _place(url: str) -> tuple[str, str, str]:
    """Addresses are compared by scheme, host with port, and path without outer slashes, as cloud-info does."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower(), parts.path.strip("/")

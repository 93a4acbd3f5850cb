"""`import gocdb`: all of a GOCDB into this registry, planned first, repeatable, all or nothing.

Records come from `gocdb_reader`. One transaction takes them over; each site has a revision of its own, and so have
what spans sites, the downtimes, and the people, so that the log and its followers get pieces of a fair size. A plan
is the import itself, rolled back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Conflict
from hanse.identity.permissions import check
from hanse.identity.principals import Principal
from hanse.revisions import Change
from registry.importing.gocdb_context import Context
from registry.importing.gocdb_downtimes import take_certifications, take_downtimes
from registry.importing.gocdb_people import take_people
from registry.importing.gocdb_places import take_base, take_projects, take_site
from registry.importing.gocdb_records import Bundle, Record
from registry.importing.gocdb_services import take_groups, take_service
from registry.importing.issuers import Issuer
from registry.importing.merging import Finding, Memory, Prefer, Report
from registry.importing.numbers import Numbers
from registry.models import Ngi, Scope, Service, ServiceType, Site
from registry.recording import take_lock
from registry.rights import RUN_FEDERATION


@dataclass(frozen=True)
class Options:
    """How an import goes: who wins where both sides changed something, with people or without, whose CAs are known."""

    prefer: Prefer = "ours"
    people: bool = True
    issuers: Sequence[Issuer] = ()


class _RolledBack(Exception):
    pass


def plan(db: Database, principal: Principal, bundle: Bundle, options: Options) -> Report:
    """What importing would do; nothing is kept. Raises what importing would raise."""
    check(principal, RUN_FEDERATION, "federation")
    try:
        with db.transaction() as session:
            report = _run(session, principal, bundle, options).report
            raise _RolledBack
    except _RolledBack:
        return report


def take_over(
    db: Database, principal: Principal, bundle: Bundle, options: Options, *, expected: str | None = None
) -> Report:
    """Import. With `expected`, a plan's fingerprint, only if the steps are still those planned. Raises Conflict."""
    check(principal, RUN_FEDERATION, "federation")
    with db.transaction() as session:
        context = _run(session, principal, bundle, options)
        report = context.report
        if expected is not None and report.fingerprint != expected:
            raise Conflict(
                "The registry or its source has changed since this plan was made; plan again, and look at it."
            )
        session.flush()
        for change in context.changes:
            change.write()
            if change.number is not None:
                report.revisions.append(change.number)
        context.numbers.give_properties()
    return report


def _run(session: Session, principal: Principal, bundle: Bundle, options: Options) -> Context:
    take_lock(session, "imports")
    context = Context(
        session=session,
        principal=principal,
        prefer=options.prefer,
        report=Report(bundle.source, unread=list(bundle.unread)),
        memory=Memory(session, bundle.source),
        numbers=Numbers.of(session, _wanted(bundle)),
    )
    take_base(context, bundle)
    _hold_words(session)
    of_site = _by_site(bundle)
    for record in bundle.sites:
        site = take_site(context, record, bundle.source)
        _take_services(context, context.changes[-1], site, record.name, of_site.pop(record.name, []))
    _orphans(context, of_site, bundle.source)
    take_projects(context, bundle)
    take_groups(context, bundle)
    take_certifications(context, bundle)
    take_downtimes(context, bundle)
    if options.people:
        take_people(context, bundle, options.issuers)
    _gone(context, bundle)
    return context


def _hold_words(session: Session) -> None:
    """Lock once what every site and service refers to.

    Each is taken over under a savepoint of its own. If each of thousands of savepoints took these locks anew, the
    database would keep a list of all of them for every row, and look through it each time.
    """
    for column in (Scope.id, ServiceType.id, Ngi.id):
        session.execute(select(column).order_by(column).with_for_update(read=True)).all()


def _take_services(
    context: Context, change: Change, site: Site | None, name: str, records: Sequence[Record]
) -> None:
    if site is None:
        for record in records:
            context.skip("service", record, f"site {name or '(none told)'} is not here")
        return
    # read in a few queries and held, so that looking one up asks nothing more
    held = list(context.session.scalars(select(Service).where(Service.site_id == site.id)))
    for record in records:
        take_service(context, change, site, record)
    del held
    context.session.flush()


def _wanted(bundle: Bundle) -> Mapping[str, Iterable[int | None]]:
    owned = [*bundle.sites, *bundle.ngis, *bundle.projects, *bundle.groups]
    endpoints = [one for record in bundle.services for one in record.values.get("endpoints", ())]
    carriers = [record.values for record in (*owned, *bundle.services)] + endpoints
    return {
        "owned": [record.number for record in owned],
        "service": [record.number for record in bundle.services],
        "downtime": [record.number for record in bundle.downtimes],
        "endpoint": [one.get("number") for one in endpoints],
        "property": [one for values in carriers for one in values.get("extension_numbers", {}).values()],
        "certification": [step.number for step in bundle.certifications],
    }


def _by_site(bundle: Bundle) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in bundle.services:
        found.setdefault(str(record.values.get("site", "")), []).append(record)
    return found


def _orphans(context: Context, of_site: Mapping[str, list[Record]], source: str) -> None:
    """Services whose site was not read: they go to the site of that name that is here, if there is one."""
    for name, records in sorted(of_site.items()):
        site = context.session.scalar(select(Site).where(Site.name == name).with_for_update(of=Site))
        change = context.revision(f"Imported from {source}: services of {name}")
        _take_services(context, change, site, name, records)


def _gone(context: Context, bundle: Bundle) -> None:
    """What an earlier import brought and is not there any more: it stays here, and is told of."""
    read = {
        "site": bundle.sites,
        "service": bundle.services,
        "service_group": bundle.groups,
        "ngi": bundle.ngis,
        "downtime": bundle.downtimes,
    }
    for kind, records in read.items():
        if not records:
            continue  # it was not read at all this time
        for key in context.memory.gone(kind, (record.key for record in records)):
            note = f"is not at {bundle.source} any more; it stays here until somebody removes it"
            context.report.note(Finding("keep", kind, key, key, notes=(note,)))

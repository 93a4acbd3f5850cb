"""Many changes of what the federation is made of, one after the other and at once: rows, log and rules stay one."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from hanse.database import Database
from hanse.errors import Conflict, HanseError, NotFound, Refused
from hanse.identity.principals import Principal
from registry import (
    certification,
    consistency,
    ngis,
    projects,
    properties,
    scopes,
    service_groups,
    service_types,
    services,
    sites,
)
from registry.models import Endpoint, Ngi, Project, Scope, Service, ServiceGroup, ServiceType, Site
from registry.recording import lock_site, recording
from registry.schemas.records import (
    ProjectEdit,
    ProjectIn,
    ScopeEdit,
    ScopeIn,
    ServiceGroupEdit,
    ServiceGroupIn,
)
from registry.schemas.services import ServiceEdit, ServiceIn, ServiceTypeEdit, ServiceTypeIn
from registry.schemas.sites import CertificationIn, NgiEdit, NgiIn, SiteEdit

from .conftest import OCCI, Registry

Act = Callable[[Database, Principal, random.Random], Any]
SCOPES = ("EGI", "Local", "FedCloud", "wlcg", "tier1", "one", "two")


def some(rng: random.Random, values: tuple[str, ...] = SCOPES) -> list[str]:
    return rng.sample(values, rng.randint(1, min(3, len(values))))


def name_of(db: Database, table: Any, rng: random.Random) -> str:
    with db.transaction() as session:
        return rng.choice(list(session.scalars(select(table.name).order_by(table.id))) or ["none"])


def number_of(db: Database, table: Any, rng: random.Random) -> int:
    with db.transaction() as session:
        return rng.choice(list(session.scalars(select(table.id).order_by(table.id))) or [4711])


ACTS: dict[str, Act] = {
    "add a scope": lambda db, who, rng: scopes.register(
        db, who, ScopeIn(name=rng.choice(("one", "two")), reserved=rng.random() < 0.5)
    ),
    "rename a scope": lambda db, who, rng: scopes.edit(
        db, who, name_of(db, Scope, rng), ScopeEdit(name=rng.choice(("one", "two", "three")))
    ),
    "reserve a scope": lambda db, who, rng: scopes.edit(
        db, who, name_of(db, Scope, rng), ScopeEdit(reserved=rng.random() < 0.7)
    ),
    "remove a scope": lambda db, who, rng: scopes.remove(db, who, name_of(db, Scope, rng)),
    "add an NGI": lambda db, who, rng: ngis.register(
        db, who, NgiIn(name=f"NGI_{rng.randint(1, 4)}", scopes=some(rng))
    ),
    "change an NGI": lambda db, who, rng: ngis.edit(
        db, who, name_of(db, Ngi, rng), NgiEdit(name=f"NGI_{rng.randint(1, 4)}", scopes=some(rng))
    ),
    "remove an NGI": lambda db, who, rng: ngis.remove(db, who, name_of(db, Ngi, rng)),
    "add a project": lambda db, who, rng: projects.register(
        db, who, ProjectIn(name=f"P{rng.randint(1, 3)}", ngis=[name_of(db, Ngi, rng)])
    ),
    "change a project": lambda db, who, rng: projects.edit(
        db, who, name_of(db, Project, rng), ProjectEdit(ngis=[name_of(db, Ngi, rng)])
    ),
    "remove a project": lambda db, who, rng: projects.remove(db, who, name_of(db, Project, rng)),
    "add a group": lambda db, who, rng: service_groups.register(
        db,
        who,
        ServiceGroupIn(
            name=f"G{rng.randint(1, 3)}", services=[number_of(db, Service, rng)], scopes=some(rng)
        ),
    ),
    "change a group": lambda db, who, rng: service_groups.edit(
        db,
        who,
        name_of(db, ServiceGroup, rng),
        ServiceGroupEdit(services=[number_of(db, Service, rng)], extensions={"k": "v"}),
    ),
    "remove a group": lambda db, who, rng: service_groups.remove(db, who, name_of(db, ServiceGroup, rng)),
    "rename a type": lambda db, who, rng: service_types.edit(
        db,
        who,
        OCCI if rng.random() < 0.5 else "renamed",
        ServiceTypeEdit(name=rng.choice((OCCI, "renamed"))),
    ),
    "except a type": lambda db, who, rng: service_types.edit(
        db, who, name_of(db, ServiceType, rng), ServiceTypeEdit(monitoring_exception=rng.random() < 0.5)
    ),
    "add a type": lambda db, who, rng: service_types.register(db, who, ServiceTypeIn(name="added")),
    "remove a type": lambda db, who, rng: service_types.remove(
        db, who, rng.choice((OCCI, "added", "renamed"))
    ),
    "change a site": lambda db, who, rng: sites.edit(
        db,
        who,
        name_of(db, Site, rng),
        SiteEdit(ngi=name_of(db, Ngi, rng), scopes=some(rng), infrastructure="PPS"),
    ),
    "certify": lambda db, who, rng: certification.certify(
        db,
        who,
        name_of(db, Site, rng),
        CertificationIn(status=rng.choice(("Certified", "Suspended", "Closed")), reason="it's time"),
    ),
    "add a service": lambda db, who, rng: services.register(
        db,
        who,
        name_of(db, Site, rng),
        ServiceIn(service_type=OCCI, hostname=f"h{rng.randint(1, 3)}.example", scopes=some(rng)),
    ),
    "change a service": lambda db, who, rng: services.edit(
        db,
        who,
        number_of(db, Service, rng),
        ServiceEdit(scopes=some(rng), monitored=rng.random() < 0.5, production=rng.random() < 0.5),
    ),
    "remove a service": lambda db, who, rng: services.remove(db, who, number_of(db, Service, rng), ""),
    "set a property": lambda db, who, rng: properties.save(
        db, who, "endpoint", str(number_of(db, Endpoint, rng)), {"k": str(rng.random())}
    ),
}


def broken_rules(db: Database) -> list[str]:
    """What stands in the rows against a rule that spans them."""
    with db.transaction() as session:
        known = {scope.name: scope.reserved for scope in session.scalars(select(Scope))}
        carriers = [
            row for table in (Ngi, Site, Service, ServiceGroup) for row in session.scalars(select(table))
        ]
        told = [
            f"{type(row).__name__} {row.id}: {row.scopes}"
            for row in carriers
            if not set(row.scopes) <= known.keys() or all(known[name] for name in row.scopes)
        ]
        exceptions = {kind.name for kind in session.scalars(select(ServiceType)) if kind.monitoring_exception}
        homes: dict[tuple[str, str], set[int]] = {}
        for row in session.scalars(select(Service)):
            homes.setdefault((row.hostname, row.service_type), set()).add(row.site_id)
            if row.production and not row.monitored and row.service_type not in exceptions:
                told.append(f"service {row.id} is in production unmonitored")
        told += [f"{pair} stands at {len(at)} sites" for pair, at in homes.items() if len(at) > 1]
        return told + [one.sentence for one in consistency.check(session)]


@pytest.mark.parametrize("seed", range(3))
def test_whatever_operators_do_rows_log_and_rules_stay_one(registry: Registry, seed: int) -> None:
    rng = random.Random(seed)
    who = registry.principal("Ingrid Holm")
    done: list[str] = []
    for _ in range(60):
        act = rng.choice(list(ACTS))
        try:
            ACTS[act](registry.db, who, rng)
            done.append(act)
        except (Refused, Conflict, NotFound):
            continue
    assert len(set(done)) > 8, done
    assert broken_rules(registry.db) == []


def at_once(registry: Registry, act: Callable[[], Any]) -> tuple[threading.Thread, list[HanseError]]:
    told: list[HanseError] = []

    def run() -> None:
        try:
            act()
        except HanseError as error:
            told.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, told


def test_a_scope_is_not_removed_while_somebody_is_giving_it(registry: Registry) -> None:
    who = registry.principal("Ingrid Holm")
    with recording(registry.db, who, "gets a scope") as (session, change):
        site = lock_site(session, "BIFI")
        sites.apply(session, change, site, {"scopes": ["FedCloud"]}, operator=True)
        thread, told = at_once(registry, lambda: scopes.remove(registry.db, who, "FedCloud"))
        thread.join(0.3)
        assert thread.is_alive()  # it waits for the one who was quicker
    thread.join(10)
    assert [str(error) for error in told] == ["site BIFI carries the scope FedCloud; take it off it first."]
    assert broken_rules(registry.db) == []


def test_a_type_loses_no_exception_while_a_service_needs_it(registry: Registry) -> None:
    who = registry.principal("Ingrid Holm")
    form = ServiceIn(service_type="VOMS", hostname="voms.bifi.example", monitored=False)
    with recording(registry.db, who, "added") as (session, change):
        services.create(session, change, lock_site(session, "BIFI"), form)
        edit = ServiceTypeEdit(monitoring_exception=False)
        thread, told = at_once(registry, lambda: service_types.edit(registry.db, who, "VOMS", edit))
        thread.join(0.3)
    thread.join(10)
    assert ["without being monitored" in str(error) for error in told] == [True]
    assert broken_rules(registry.db) == []


def test_two_sites_never_take_one_host_at_once(registry: Registry) -> None:
    who = registry.principal("Ingrid Holm")
    form = ServiceIn(service_type=OCCI, hostname="shared.example")
    with recording(registry.db, who, "added") as (session, change):
        services.create(session, change, lock_site(session, "BIFI"), form)
        thread, told = at_once(registry, lambda: services.register(registry.db, who, "UKIM", form))
        thread.join(0.3)
        assert thread.is_alive()
    thread.join(10)
    assert ["BIFI" in str(error) for error in told] == [True]

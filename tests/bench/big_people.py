"""What a big registry has beside sites: 2,000 people with roles and requests, groups, projects, scopes, clouds.

Written through the registry's own use cases, so that rows and bodies are what it would write.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from hanse.revisions import Actor, Change, change
from registry import entities, people, projects, roles, scopes, service_groups
from registry.identity_bodies import credential_body
from registry.models import Credential, Ngi, Person, Role, Service, Site
from registry.schemas.records import ProjectIn, ServiceGroupIn
from tests.bench.clouds import document
from tests.registry.clouds import encoded
from tests.registry.conftest import Registry

A_SITE = 2
GROUPS, IN_A_GROUP, PROJECTS, SCOPES, REQUESTS = 60, 50, 12, 30, 40
PUBLISHING = 100
BY = Actor("person:1", "Ingrid Holm")


def add(registry: Registry) -> None:
    """Add all of them, and publish a document for each of the first hundred sites."""
    operator = registry.principal("Ingrid Holm")
    with registry.db.transaction() as session, change(session, BY, "For the bench") as recorded:
        sites = list(session.scalars(select(Site).where(Site.name.like("SITE-%")).order_by(Site.name)))
        for number, site in enumerate(sites):
            for place in range(A_SITE):
                _person(session, recorded, number * A_SITE + place, site)
        _requests(session, recorded, sites)
        _records(session, recorded)
    with registry.db.transaction() as session:
        for row in session.scalars(select(Role).order_by(Role.id).limit(200)):
            roles.note(session, row, "granted", operator, "As asked for", old="PENDING", new="GRANTED")
    for site in sites[:PUBLISHING]:
        answer = registry.ask("PUT", f"/v1/sites/{site.name}/cloudinfo", data=encoded(document(site.name)))
        assert answer.status_code in (202, 204), answer.text[:300]
    with registry.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))


def _person(session: Session, recorded: Change, number: int, site: Site) -> None:
    person = people.create(session, recorded, f"Person {number}", f"person{number}@site.example")
    subject = f"subject-{number}@idp.example"
    credential = Credential(
        key="oidc:" + hashlib.sha256(subject.encode()).hexdigest(),
        kind="oidc",
        person_id=person.id,
        name=person.name,
        realm="EGI Check-in",
        oidc_issuer="https://idp.example/",
        oidc_subject=subject,
    )
    session.add(credential)
    session.flush()
    recorded.put(
        "identity",
        credential.key,
        credential_body(credential, name=person.name, email=person.email, site=None),
    )
    role = "site_administrator" if number % 2 else "site_security_officer"
    row = Role(person_id=person.id, role=role, site_id=site.id, granted_by=BY.name)
    row.granted_at = site.certification_since
    session.add(row)
    session.flush()
    entities.put_role(recorded, row)


def _requests(session: Session, recorded: Change, sites: list[Site]) -> None:
    wanted = select(Person).where(Person.name.like("Person %")).order_by(Person.id.desc()).limit(REQUESTS)
    for person, site in zip(session.scalars(wanted).all(), sites, strict=False):
        row = Role(
            person_id=person.id,
            role="site_administrator",
            site_id=site.id,
            status="PENDING",
            requested_by=person.name,
            request_reason="I keep its machines from now on",
        )
        session.add(row)
        session.flush()
        entities.put_role(recorded, row)


def _records(session: Session, recorded: Change) -> None:
    for number in range(SCOPES):
        scopes.create(session, recorded, f"Scope{number}", "For the bench")
    services = [str(one) for one in session.scalars(select(Service.id).order_by(Service.id))]
    for number in range(GROUPS):
        chosen = services[number :: max(1, len(services) // IN_A_GROUP)][:IN_A_GROUP]
        form = ServiceGroupIn(name=f"GROUP-{number}", description="For the bench", services=chosen)
        service_groups.create(session, recorded, form, operator=True)
    ngis = sorted(session.scalars(select(Ngi.name)))
    for number in range(PROJECTS):
        form_of_project = ProjectIn(name=f"Project{number}", description="For the bench", ngis=ngis[number:])
        projects.create(session, recorded, form_of_project)

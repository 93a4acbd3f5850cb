"""People and what they are to sites, NGIs, projects and service groups, as GOCDB's interface picks them.

All of this is personal data: no answer made of it is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import BigInteger, Text, exists, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute, Session

from hanse.identity import names as dn
from registry.gocdb.asking import (
    Asked,
    Condition,
    Wide,
    among,
    in_order,
    like,
    listed,
    names,
)
from registry.models import Credential, Ngi, Person, Project, Role, ServiceGroup, Site, project_ngi
from registry.models.role_names import BY_SHOWN, shown
from registry.renderings.gocdb_xml_people import ContactRow, HeldRole, PersonRow, UserRow

MOST_ROLE_TYPES: Final = 50
_REALMS: Final[Mapping[str, str]] = {
    "EGI Proxy IdP": "egi_checkin",
    "EGI Check-in": "egi_checkin",
    "IRIS IAM - OIDC": "iris_iam",
}


def contacts_of(
    session: Session, column: InstrumentedAttribute[int | None], owners: Sequence[int], asked: Asked
) -> dict[int, list[ContactRow]]:
    """Who holds a granted role at each owner, one entry a role, by owner; `roletype` narrows it to one role."""
    columns: Wide = select(column, Role.person_id, Role.role).where(
        among(column, owners), Role.status == "GRANTED"
    )
    if asked.parameters.get("roletype"):
        columns = columns.where(Role.role.in_(_roles(asked.parameters["roletype"])))
    rows = session.execute(columns.order_by(Role.id)).all()
    people = people_of(session, {row[1] for row in rows})
    found: dict[int, list[ContactRow]] = {}
    for owner, person, role in rows:
        found.setdefault(owner, []).append(ContactRow(people[person], shown(role)))
    return found


def people_of(session: Session, numbers: Collection[int]) -> dict[int, PersonRow]:
    """What the interface tells about each of these people, by id."""
    identities = _identities(session, numbers)
    columns: Wide = select(
        Person.id, Person.name, Person.forename, Person.surname, Person.title, Person.email, Person.telephone,
        Person.works_from, Person.works_until,
    ).where(among(Person.id, sorted(numbers)))  # fmt: skip
    return {row[0]: _person(row, identities.get(row[0], {})) for row in session.execute(columns)}


def _person(row: Any, identities: Mapping[str, str]) -> PersonRow:
    number, name, forename, surname, *rest = row
    if not forename and not surname:  # known by one name only: the last word is what a list sorts by
        forename, _, surname = name.rpartition(" ")
    known = [identities.get(realm, "") for realm in ("x509", "egi_checkin", "iris_iam", "other")]
    return PersonRow(*(number, forename, surname, *rest, *known))


def _identities(session: Session, numbers: Collection[int]) -> dict[int, dict[str, str]]:
    """The first identifier of each realm; a suspended one is no identity at the moment."""
    columns: Wide = (
        select(
            Credential.person_id, Credential.kind, Credential.realm, Credential.subject_der, Credential.oidc_subject
        )
        .where(
            among(Credential.person_id, sorted(numbers)),
            Credential.kind != "token",
            Credential.suspended_at.is_(None),
        )
        .order_by(Credential.id)
    )  # fmt: skip
    found: dict[int, dict[str, str]] = {}
    for person, kind, realm, subject, oidc in session.execute(columns):
        known = found.setdefault(person, {})
        if kind == "x509":
            known.setdefault("x509", subject_in_slash_form(subject))
        else:
            known.setdefault(_REALMS.get(realm, "other"), oidc)
    return found


def _roles(value: str) -> list[str]:
    """Roles by the names that GOCDB gives them, exactly; others find nobody."""
    wanted = listed("roletype", value, MOST_ROLE_TYPES)
    known = [BY_SHOWN.get(name.casefold()) for name in wanted]
    return [one.name for name, one in zip(wanted, known, strict=True) if one and one.shown == name]


def find_users(session: Session, asked: Asked) -> list[UserRow]:
    """People by id with their granted roles, as `get_user` filters them."""
    where = _of_people(session, asked)
    columns: Wide = select(Person.id).where(*where)
    found = in_order(session.execute(asked.page.cut(columns, Person.id)).all(), lambda row: row[0])
    numbers = [row[0] for row in found]
    people, roles = people_of(session, numbers), _held(session, numbers)
    return [UserRow(number, people[number], roles.get(number, ())) for number in numbers]


def _of_people(session: Session, asked: Asked) -> list[Condition]:
    parameters = asked.parameters
    where = names(parameters, {"forename": Person.forename, "surname": Person.surname})
    for name in ("dn", "dnlike"):
        if name in parameters:
            where.append(Person.id.in_(_with_identity(session, parameters[name])))
    if parameters.get("roletype"):
        holds = exists().where(
            Role.person_id == Person.id,
            Role.status == "GRANTED",
            Role.role.in_(_roles(parameters["roletype"])),
        )
        where.append(holds)
    return where


def _with_identity(session: Session, pattern: str) -> list[int]:
    """People with an identifier like the pattern. A certificate's name is kept as DER, so it is written out first."""
    columns: Wide = select(Credential.person_id, Credential.subject_der, Credential.oidc_subject).where(
        Credential.person_id.is_not(None), Credential.kind != "token"
    )
    known = [
        (person, subject_in_slash_form(subject) if subject else oidc)
        for person, subject, oidc in session.execute(columns)
    ]
    written = (
        func.unnest(
            literal([person for person, _ in known], ARRAY(BigInteger)),
            literal([name for _, name in known], ARRAY(Text)),
        )
        .table_valued("person", "name")
        .render_derived()
    )
    return list(session.scalars(select(written.c.person).where(like(written.c.name, pattern)).distinct()))


@lru_cache(maxsize=20_000)
def subject_in_slash_form(subject: bytes) -> str:
    """A certificate's subject from its DER, as GOCDB shows it."""
    return dn.slash(subject)


def _held(session: Session, people: Sequence[int]) -> dict[int, list[HeldRole]]:
    columns: Wide = (
        select(
            Role.person_id, Role.role, Site.name, Site.primary_key, Site.ngi_id, Ngi.name, Ngi.id, Project.name,
            Project.id, ServiceGroup.name, ServiceGroup.primary_key,
        )
        .outerjoin(Site, Site.id == Role.site_id)
        .outerjoin(Ngi, Ngi.id == Role.ngi_id)
        .outerjoin(Project, Project.id == Role.project_id)
        .outerjoin(ServiceGroup, ServiceGroup.id == Role.service_group_id)
        .where(among(Role.person_id, people), Role.status == "GRANTED")
        .order_by(Role.id)
    )  # fmt: skip
    recognised = _projects_of_ngis(session)
    found: dict[int, list[HeldRole]] = {}
    for person, role, *owner in session.execute(columns):
        held = _where_held(role, owner, recognised)
        if held is not None:  # GOCDB knows no role over the whole federation
            found.setdefault(person, []).append(held)
    return found


def _where_held(
    role: str, owner: Sequence[Any], recognised: Mapping[int, list[tuple[int, str]]]
) -> HeldRole | None:
    site, site_key, of_ngi, ngi, ngi_id, project, project_id, group, group_key = owner
    if site is not None:
        return HeldRole(shown(role), site, "site", site_key, recognised.get(of_ngi, ()))
    if ngi is not None:
        return HeldRole(shown(role), ngi, "ngi", str(ngi_id), recognised.get(ngi_id, ()))
    if project is not None:
        return HeldRole(shown(role), project, "project", str(project_id), [(project_id, project)])
    if group is not None:
        return HeldRole(shown(role), group, "servicegroup", group_key, ())
    return None


def _projects_of_ngis(session: Session) -> dict[int, list[tuple[int, str]]]:
    columns = select(project_ngi.c.ngi_id, Project.id, Project.name)
    joined = columns.join(Project, Project.id == project_ngi.c.project_id).order_by(Project.id)
    found: dict[int, list[tuple[int, str]]] = {}
    for ngi, number, name in session.execute(joined):
        found.setdefault(ngi, []).append((number, name))
    return found

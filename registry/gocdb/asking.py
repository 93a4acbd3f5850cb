"""What GOCDB's interface asks of the registry, in a few queries over whole sets: its filters, its scopes, its pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from sqlalchemy import ColumnElement, Select, and_, case, exists, not_, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from registry.models import (
    Contact,
    Endpoint,
    ExtensionProperty,
    Ngi,
    Service,
    ServiceType,
    Site,
)
from registry.renderings.gocdb_xml import (
    EndpointRow,
    Property,
    ServiceRow,
    SiteRow,
)

PAGE_SIZE: Final = 100
MOST_EXPRESSIONS: Final = 50
Condition = ColumnElement[bool]
Parameters = Mapping[str, str]
Wide = Select[*tuple[Any, ...]]  # more columns than the types of SQLAlchemy count
Row = TypeVar("Row")
_GROUP: Final = re.compile(
    r"\s*(?P<op>AND|OR|NOT)?\s*\((?P<key>[A-Za-z0-9\s@_\-\[\]+.]{1,255})=(?P<value>(?:\\[()\\]|[^()\\]){0,255})\)\s*"
)


class BadExpression(ValueError):
    """An `extensions` expression that cannot be read."""


class BadValue(ValueError):
    """A parameter whose value cannot be used; the message says which."""


@dataclass(frozen=True)
class Page:
    """Which page: after `next` or before `prev`, by id. Both None = no paging."""

    next: int | None = None
    prev: int | None = None

    @property
    def asked(self) -> bool:
        """Whether paging was asked for."""
        return self.next is not None or self.prev is not None

    def cut(self, statement: Wide, key: InstrumentedAttribute[int]) -> Wide:
        """Only this page, in either direction."""
        if self.next is not None:
            return statement.where(key > self.next).order_by(key).limit(PAGE_SIZE)
        if self.prev is not None:
            return statement.where(key < self.prev).order_by(key.desc()).limit(PAGE_SIZE)
        return statement.order_by(key)


def like(column: ColumnElement[Any] | InstrumentedAttribute[Any], value: str) -> Condition:
    """GOCDB's name filters: `%` and `_` are wildcards, nothing else is special."""
    return column.like(
        value, escape="\x01"
    )  # a character that no value can hold, so a backslash is a backslash


def scope_condition(
    column: InstrumentedAttribute[list[str]], parameters: Parameters, default: Sequence[str]
) -> Condition:
    """No `scope`: the default scopes. Empty: all. A list: all of them, or any with `scope_match=any`."""
    given = parameters.get("scope")
    if given is not None and not given.strip():
        return true()
    wanted = list(default) if given is None else [one.strip() for one in given.split(",") if one.strip()]
    if parameters.get("scope_match", "all").lower() == "any":
        return cast(Condition, column.overlap(wanted))
    return column.contains(wanted)


def extension_condition(expression: str, owner: Callable[[], Condition]) -> Condition:
    """`(KEY=VALUE)` groups with AND, OR, NOT before them, from left to right; an empty value means any.

    `owner` joins a property to the row that is filtered. Raises BadExpression.
    """
    groups = _groups(expression)
    result: Condition | None = None
    operator = "AND"
    for group in groups:
        operator = group["op"] or operator
        holds = _has_property(group["key"].strip(), re.sub(r"\\(.)", r"\1", group["value"]), owner())
        if operator == "NOT":
            holds = not_(holds)
        if result is None:
            result = holds
        else:
            result = or_(result, holds) if operator == "OR" else and_(result, holds)
    assert result is not None
    return result


def _groups(expression: str) -> list[re.Match[str]]:
    groups: list[re.Match[str]] = []
    position = 0
    while position < len(expression):
        found = _GROUP.match(expression, position)
        if found is None or len(groups) == MOST_EXPRESSIONS:
            raise BadExpression(expression)
        groups.append(found)
        position = found.end()
    if not groups:
        raise BadExpression(expression)
    return groups


def _has_property(key: str, value: str, owner: Condition) -> Condition:
    conditions = [owner, ExtensionProperty.key == key]
    if value:
        conditions.append(ExtensionProperty.value == value)
    return exists().where(*conditions).correlate_except(ExtensionProperty)


def names(
    parameters: Parameters, columns: Mapping[str, ColumnElement[Any] | InstrumentedAttribute[Any]]
) -> list[Condition]:
    return [like(column, parameters[name]) for name, column in columns.items() if parameters.get(name)]


def yes_no(parameters: Parameters, name: str, column: InstrumentedAttribute[bool]) -> list[Condition]:
    """Y or N in any case; other values are ignored, as GOCDB does."""
    value = parameters.get(name, "").strip().upper()
    return [column.is_(value == "Y")] if value in ("Y", "N") else []


def _production_status() -> ColumnElement[str]:
    return case((Site.production, "Production"), else_="Test")


def in_order(rows: Iterable[Row], key: Callable[[Row], int]) -> list[Row]:
    return sorted(rows, key=key)


def properties_of(
    session: Session, column: InstrumentedAttribute[int | None], owners: Sequence[int]
) -> dict[int, list[Property]]:
    found: dict[int, list[Property]] = {}
    wanted = select(column, ExtensionProperty.id, ExtensionProperty.key, ExtensionProperty.value)
    for owner, number, key, value in session.execute(
        wanted.where(column.in_(owners)).order_by(ExtensionProperty.id)
    ):
        assert owner is not None
        found.setdefault(owner, []).append(Property(number, key, value))
    return found


def find_sites(session: Session, parameters: Parameters, page: Page, default: Sequence[str]) -> list[SiteRow]:
    """Sites by id, as `get_site` filters them."""
    where = names(
        parameters,
        {
            "sitename": Site.name,
            "roc": Ngi.name,
            "country": Site.country,
            "certification_status": Site.certification,
            "production_status": _production_status(),
        },
    )
    if parameters.get("exclude_certification_status"):
        where.append(not_(like(Site.certification, parameters["exclude_certification_status"])))
    where.append(scope_condition(Site.scopes, parameters, default))
    if parameters.get("extensions"):
        where.append(
            extension_condition(parameters["extensions"], lambda: ExtensionProperty.site_id == Site.id)
        )
    columns: Wide = select(
        Site.id, Site.primary_key, Site.name, Site.official_name, Site.description, Site.home_url, Site.telephone,
        Site.giis_url, Site.country_code, Site.country, Ngi.name, Site.production, Site.certification, Site.timezone,
        Site.latitude, Site.longitude, Site.notify, Site.domain, Site.scopes,
    )  # fmt: skip
    found = session.execute(page.cut(columns.join(Ngi).where(*where), Site.id)).all()
    rows = in_order(found, lambda row: row[0])
    numbers = [row[0] for row in rows]
    return _site_rows(
        rows, _contacts(session, numbers), properties_of(session, ExtensionProperty.site_id, numbers)
    )


def _contacts(session: Session, sites: Sequence[int]) -> dict[tuple[int, str], list[str]]:
    found: dict[tuple[int, str], list[str]] = {}
    wanted = select(Contact.site_id, Contact.kind, Contact.email).where(Contact.site_id.in_(sites))
    for site, kind, email in session.execute(wanted.order_by(Contact.site_id, Contact.position)):
        found.setdefault((site, kind), []).append(email)
    return found


def _site_rows(
    rows: Sequence[Any],
    contacts: Mapping[tuple[int, str], list[str]],
    properties: Mapping[int, list[Property]],
) -> list[SiteRow]:
    def emails(number: int, *kinds: str) -> str | None:
        """Lists are split at `;` by those who read them."""
        found = [email for kind in kinds for email in contacts.get((number, kind), ())]
        return ";".join(dict.fromkeys(found)) or None

    return [
        SiteRow(
            id=r[0], primary_key=r[1], name=r[2], official_name=r[3], description=r[4], home_url=r[5],
            contact_email=emails(r[0], "admin", "operations"), telephone=r[6], alarm_email=emails(r[0], "alarm"),
            giis_url=r[7], country_code=r[8], country=r[9], ngi=r[10], production=r[11], certification=r[12],
            timezone=r[13], latitude=r[14], longitude=r[15], csirt_email=emails(r[0], "security"), notify=r[16],
            domain=r[17], scopes=r[18], properties=properties.get(r[0], ()),
        )
        for r in rows
    ]  # fmt: skip


def _service_conditions(parameters: Parameters, default: Sequence[str]) -> list[Condition]:
    where = names(
        parameters,
        {
            "hostname": Service.hostname,
            "sitename": Site.name,
            "roc": Ngi.name,
            "country": Site.country,
            "service_type": Service.service_type,
        },
    )
    where += yes_no(parameters, "monitored", Service.monitored)
    where.append(scope_condition(Service.scopes, parameters, default))
    if parameters.get("extensions"):
        where.append(
            extension_condition(parameters["extensions"], lambda: ExtensionProperty.service_id == Service.id)
        )
    return where


def find_services(
    session: Session, parameters: Parameters, page: Page, default: Sequence[str]
) -> list[ServiceRow]:
    """Services by id, as `get_service` and `get_service_endpoint` filter them."""
    columns: Wide = select(
        Service.id, Service.primary_key, Service.hostname, Service.host_dn, Service.host_os, Service.host_arch,
        Service.beta, Service.service_type, Service.host_ip, Service.host_ipv6, Service.production, Service.monitored,
        Service.notify, Site.name, Site.country, Site.country_code, Ngi.name, Service.url, Service.scopes,
    )  # fmt: skip
    statement = columns.join(Site, Service.site_id == Site.id).join(Ngi, Site.ngi_id == Ngi.id)
    found = session.execute(
        page.cut(statement.where(*_service_conditions(parameters, default)), Service.id)
    ).all()
    rows = in_order(found, lambda row: row[0])
    numbers = [row[0] for row in rows]
    endpoints = _endpoints(session, numbers)
    properties = properties_of(session, ExtensionProperty.service_id, numbers)
    return [ServiceRow(*(*row, endpoints.get(row[0], ()), properties.get(row[0], ()))) for row in rows]


def _endpoints(session: Session, services: Sequence[int]) -> dict[int, list[EndpointRow]]:
    wanted = select(
        Endpoint.service_id,
        Endpoint.id,
        Endpoint.name,
        Endpoint.url,
        Endpoint.interface_name,
        Endpoint.monitored,
    ).where(Endpoint.service_id.in_(services))
    rows = session.execute(wanted.order_by(Endpoint.id)).all()
    properties = properties_of(session, ExtensionProperty.endpoint_id, [row[1] for row in rows])
    found: dict[int, list[EndpointRow]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(EndpointRow(*row[1:], properties.get(row[1], ())))
    return found


def service_types(session: Session) -> list[tuple[int, str, str]]:
    """Number, name and description of every service type, by number."""
    wanted = select(ServiceType.id, ServiceType.name, ServiceType.description).order_by(ServiceType.id)
    return [(number, name, description) for number, name, description in session.execute(wanted)]

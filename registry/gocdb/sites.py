"""Sites as GOCDB's interface picks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import and_, func, not_, select
from sqlalchemy.orm import Session

from registry.gocdb import countries
from registry.gocdb.asking import (
    Asked,
    Condition,
    Parameters,
    Wide,
    among,
    day,
    in_order,
    like,
    names,
    properties_of,
    scope_condition,
)
from registry.gocdb.expressions import condition
from registry.models import CertificationChange, Contact, Credential, ExtensionProperty, Ngi, Site
from registry.renderings.gocdb_xml import Property, SiteRow
from registry.renderings.gocdb_xml_groups import Certified, Step


def find_sites(session: Session, asked: Asked) -> list[SiteRow]:
    """Sites by id, as `get_site` filters them."""
    columns: Wide = select(
        Site.id, Site.primary_key, Site.name, Site.official_name, Site.description, Site.home_url, Site.telephone,
        Site.giis_url, Site.country_code, Site.country, Ngi.name, Site.infrastructure, Site.certification,
        Site.timezone, Site.latitude, Site.longitude, Site.notify, Site.domain, Site.scopes, Site.tier,
        Site.sub_grid, Site.ip_range, Site.ipv6_range,
    )  # fmt: skip
    found = session.execute(asked.page.cut(columns.join(Ngi).where(*_conditions(asked)), Site.id)).all()
    rows = in_order(found, lambda row: row[0])
    numbers = [row[0] for row in rows]
    return _site_rows(
        rows, Contacts(session, numbers), properties_of(session, ExtensionProperty.site_id, numbers)
    )


def _conditions(asked: Asked) -> list[Condition]:
    parameters = asked.parameters
    where = names(
        parameters,
        {
            "sitename": Site.name,
            "roc": Ngi.name,
            "country": Site.country,
            "certification_status": Site.certification,
            "production_status": Site.infrastructure,
        },
    )
    if "exclude_certification_status" in parameters:
        where.append(not_(like(Site.certification, parameters["exclude_certification_status"])))
    where.append(scope_condition(Site.scopes, parameters, asked.default_scopes))
    if parameters.get("extensions"):
        where.append(condition(parameters["extensions"], lambda: ExtensionProperty.site_id == Site.id))
    return where


class Contacts:
    """Addresses and telephones of many sites by their kind, in one question."""

    def __init__(self, session: Session, numbers: Sequence[int]) -> None:
        self._emails: dict[tuple[int, str], list[str]] = {}
        self._telephones: dict[tuple[int, str], list[str]] = {}
        wanted: Wide = select(Contact.site_id, Contact.kind, Contact.email, Contact.telephone)
        wanted = wanted.where(among(Contact.site_id, numbers))
        for site, kind, email, telephone in session.execute(
            wanted.order_by(Contact.site_id, Contact.position)
        ):
            if email:
                self._emails.setdefault((site, kind), []).append(email)
            if telephone:
                self._telephones.setdefault((site, kind), []).append(telephone)

    def emails(self, site: int, *kinds: str) -> str | None:
        """The addresses of the kinds; those who read lists split them at `;`."""
        found = [email for kind in kinds for email in self._emails.get((site, kind), ())]
        return ";".join(dict.fromkeys(found)) or None

    def telephones(self, site: int, kind: str) -> str | None:
        """The telephones of a kind, joined by commas as GOCDB's own field is."""
        return ",".join(dict.fromkeys(self._telephones.get((site, kind), ()))) or None


def _site_rows(
    rows: Sequence[Any], contacts: Contacts, properties: Mapping[int, list[Property]]
) -> list[SiteRow]:
    return [
        SiteRow(
            id=r[0], primary_key=r[1], name=r[2], official_name=r[3], description=r[4], home_url=r[5],
            contact_email=contacts.emails(r[0], "admin", "operations"), telephone=r[6],
            alarm_email=contacts.emails(r[0], "alarm"), giis_url=r[7], country_code=r[8], country=r[9], ngi=r[10],
            infrastructure=r[11], certification=r[12], timezone=r[13], latitude=r[14], longitude=r[15],
            csirt_email=contacts.emails(r[0], "security"), notify=r[16], domain=r[17], scopes=r[18],
            properties=properties.get(r[0], ()), tier=r[19], sub_grid=r[20], ip_range=r[21], ipv6_range=r[22],
            csirt_telephone=contacts.telephones(r[0], "security"),
        )
        for r in rows
    ]  # fmt: skip


def count_per_country(session: Session, asked: Asked) -> list[tuple[str, int]]:
    """Every country, and how many sites there match; a site counts once, whatever its scopes.

    A country is called as its sites call it; one without any site has its name of ISO 3166.
    """
    parameters = asked.parameters
    where = names(
        parameters, {"production_status": Site.infrastructure, "certification_status": Site.certification}
    )
    where.append(scope_condition(Site.scopes, parameters, asked.default_scopes))
    counted = func.count().filter(and_(*where))
    rows = session.execute(
        select(Site.country, func.array_agg(Site.country_code.distinct()), counted).group_by(Site.country)
    ).all()
    codes = {code for _, found, _ in rows for code in found}
    without = {name: 0 for code, name in countries.names().items() if code not in codes}
    return sorted({**without, **{country: count for country, _, count in rows}}.items())


def certification_dates(session: Session, asked: Asked) -> list[Certified]:
    """Id, name, status and since when, of each site in production, as `get_cert_status_date` picks them."""
    where = names(asked.parameters, {"certification_status": Site.certification, "roc": Ngi.name})
    where.append(Site.infrastructure == "Production")
    columns: Wide = select(Site.id, Site.name, Site.certification, Site.certification_since).join(Ngi)
    found = session.execute(asked.page.cut(columns.where(*where), Site.id)).all()
    return [Certified(*row) for row in in_order(found, lambda row: row[0])]


def certification_changes(session: Session, asked: Asked) -> list[Step]:
    """Each step of certification by id, as `get_cert_status_changes` picks them."""
    where = [*names(asked.parameters, {"site": Site.name}), *_between(asked.parameters)]
    columns: Wide = (
        select(
            CertificationChange.id, CertificationChange.at, Site.name, CertificationChange.old,
            CertificationChange.new, CertificationChange.by_name, Credential.subject_der, Credential.person_id,
            CertificationChange.reason,
        )
        .join(Site, Site.id == CertificationChange.site_id)
        .outerjoin(Credential, Credential.key == CertificationChange.by_key)
    )  # fmt: skip
    found = session.execute(asked.page.cut(columns.where(*where), CertificationChange.id)).all()
    return [Step(*row) for row in in_order(found, lambda row: row[0])]


def _between(parameters: Parameters) -> list[Condition]:
    """From the one date until the other, whichever is given as the start.

    GOCDB compares them the wrong way round, so scripts exist that give the later one as `startdate`.
    """
    days = {name: day(name, parameters) for name in ("startdate", "enddate") if parameters.get(name)}
    if len(days) == 2:
        return [CertificationChange.at > min(days.values()), CertificationChange.at < max(days.values())]
    where: list[Condition] = []
    if "startdate" in days:
        where.append(CertificationChange.at > days["startdate"])
    if "enddate" in days:
        where.append(CertificationChange.at < days["enddate"])
    return where


def sub_grids(session: Session, asked: Asked) -> list[tuple[int, str, str]]:
    """Every sub-grid with the NGI of its sites, as `get_subgrid_list` picks them.

    A sub-grid is no entity here but a word at its sites; the number of the first of them stands for it.
    """
    where = names(asked.parameters, {"subgrid": Site.sub_grid})
    number = func.min(Site.id)
    columns = select(number, Site.sub_grid, Ngi.name).join(Ngi).where(Site.sub_grid != "", *where)
    grouped = columns.group_by(Site.sub_grid, Ngi.name).order_by(number)
    return [(first, name or "", ngi) for first, name, ngi in session.execute(grouped)]

"""NGIs, sites, projects and people in GOCDB's answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from registry.importing.gocdb_records import CertificationRecord, UserRecord, Values
from registry.importing.gocdb_words import (
    Gathered,
    attribute,
    clock,
    epoch,
    extension_numbers,
    extensions,
    given,
    number,
    scopes,
    time_of_day,
    yes,
)
from registry.importing.hostile_xml import Element

IDENTIFIERS: Final = {"CERTDN": "X.509", "EGICHECKIN": "EGI Proxy IdP", "IRISIAM": "IRIS IAM - OIDC"}


def ngi(found: Gathered, element: Element) -> None:
    """get_ngi."""
    values = given(
        description=element.get("DESCRIPTION"),
        email=element.get("EMAIL"),
        ggus_su=element.get("GGUS_SU"),
        rod_email=element.get("ROD_EMAIL"),
        helpdesk_email=element.get("HELPDESK_EMAIL"),
        security_email=element.get("SECURITY_EMAIL"),
        scopes=scopes(element),
    )
    name = element.get("NAME") or attribute(element, "NAME")
    _put_ngi(found, attribute(element, "ID"), name, values)


def roc(found: Gathered, element: Element) -> None:
    """get_roc_list, get_roc_contacts."""
    key = attribute(element, "ID") or attribute(element, "PRIMARY_KEY")
    name = attribute(element, "ROC_NAME")
    _put_ngi(found, key, name, given(email=element.get("MAIL_CONTACT")))
    _people(found, element, "ngi", name)


def _put_ngi(found: Gathered, key: str, name: str, values: Values) -> None:
    if name:
        found.put(found.ngis, name, number(key), name, values)


def site(found: Gathered, element: Element) -> None:
    """get_site, get_site_contacts, get_site_security_info: one kind of element, as much of it as there is."""
    key = attribute(element, "PRIMARY_KEY") or element.get("PRIMARY_KEY")
    name = attribute(element, "NAME") or element.get("SHORT_NAME")
    if not key or not name:
        return
    whole = element.first("OFFICIAL_NAME") or element.first("CERTIFICATION_STATUS")
    values = _site_values(element) if whole is not None else {}
    listed = given(
        country=attribute(element, "COUNTRY"),
        country_code=attribute(element, "COUNTRY_CODE"),
        ngi=attribute(element, "ROC"),
        subgrid=attribute(element, "SUBGRID"),
        giis_url=attribute(element, "GIIS_URL"),
    )
    csirt = given(csirt_tel=element.get("CSIRT_TEL"), csirt_email=element.get("CSIRT_EMAIL"))
    found.put(found.sites, key, number(attribute(element, "ID")), name, {**listed, **csirt, **values})
    _people(found, element, "site", name)


def _site_values(element: Element) -> Values:
    domain = element.first("DOMAIN")
    return {
        **given(
            official_name=element.get("OFFICIAL_NAME"),
            description=element.get("SITE_DESCRIPTION"),
            home_url=element.get("HOME_URL"),
            contact_email=element.get("CONTACT_EMAIL"),
            telephone=element.get("CONTACT_TEL"),
            alarm_email=element.get("ALARM_EMAIL"),
            giis_url=element.get("GIIS_URL"),
            tier=element.get("TIER"),
            country=element.get("COUNTRY"),
            country_code=element.get("COUNTRY_CODE"),
            ngi=element.get("ROC"),
            subgrid=element.get("SUBGRID"),
            infrastructure=element.get("PRODUCTION_INFRASTRUCTURE"),
            certification=element.get("CERTIFICATION_STATUS"),
            timezone=element.get("TIMEZONE"),
            latitude=element.get("LATITUDE"),
            longitude=element.get("LONGITUDE"),
            domain="" if domain is None else domain.get("DOMAIN_NAME"),
            ip_range=element.get("SITE_IP"),
            ipv6_range=element.get("SITE_IPV6"),
        ),
        "notify": yes(element.get("NOTIFICATIONS")),
        "scopes": scopes(element),
        "extensions": extensions(element),
        "extension_numbers": extension_numbers(element),
    }


def certification_date(found: Gathered, element: Element) -> None:
    """get_cert_status_date."""
    at = clock(element.get("cert_date"))
    key = number(attribute(element, "ID"))
    if key is None or not element.get("name"):
        return
    values = given(certification=element.get("cert_status"), certification_since=at)
    found.put(found.sites, f"{key}G0", key, element.get("name"), values)


def certification_change(found: Gathered, element: Element) -> None:
    """get_cert_status_changes."""
    at = epoch(element.get("UNIX_TIME")) or clock(element.get("TIME"))
    if at is None or not element.get("SITE"):
        return
    found.certifications[attribute(element, "ID")] = CertificationRecord(
        site=element.get("SITE"),
        at=at,
        old=element.get("OLD_STATUS"),
        new=element.get("NEW_STATUS"),
        by=element.get("CHANGED_BY"),
        reason=element.get("COMMENT"),
        number=number(attribute(element, "ID")),
    )


def project(found: Gathered, element: Element) -> None:
    """get_project_contacts."""
    name = attribute(element, "NAME")
    if name:
        found.put(found.projects, name, number(attribute(element, "ID")), name, {})
        _people(found, element, "project", name)


def _people(found: Gathered, element: Element, kind: str, name: str) -> None:
    for contact in element.all("CONTACT"):
        user = person(found, contact, attribute(contact, "USER_ID") or attribute(contact, "PRIMARY_KEY"))
        if user is not None and (role := contact.get("ROLE_NAME")):
            _add_role(user, role, kind, name)


def person(found: Gathered, element: Element, key: str) -> UserRecord | None:
    """Somebody, known by the number there or else by the certificate's subject; None for nobody."""
    name = f"{element.get('FORENAME')} {element.get('SURNAME')}".strip()
    key = key or element.get("CERTDN")
    if not key or not name:
        return None
    user = found.users.setdefault(key, UserRecord(key, name))
    user.email = user.email or element.get("EMAIL")
    user.telephone = user.telephone or element.get("TEL")
    user.title = user.title or element.get("TITLE")
    user.works_from = user.works_from or time_of_day(element.get("WORKING_HOURS_START"))
    user.works_until = user.works_until or time_of_day(element.get("WORKING_HOURS_END"))
    for tag, realm in IDENTIFIERS.items():
        if value := element.get(tag):
            user.identifiers.setdefault(realm, value)
    return user


def _add_role(user: UserRecord, role: str, kind: str, name: str) -> None:
    if (role, kind, name) not in user.roles:
        user.roles.append((role, kind, name))


def user(found: Gathered, element: Element) -> None:
    """get_user. A role of an NGI that is recognised in a project says that the NGI belongs to the project."""
    someone = person(found, element, attribute(element, "PRIMARY_KEY") or attribute(element, "ID"))
    if someone is None:
        return
    for held in element.all("USER_ROLE"):
        kind, name = held.get("ENTITY_TYPE").lower(), held.get("ON_ENTITY")
        if not name or not held.get("USER_ROLE"):
            continue
        _add_role(someone, held.get("USER_ROLE"), kind, name)
        recognised = held.first("RECOGNISED_IN_PROJECTS")
        for one in () if recognised is None else recognised.all("PROJECT"):
            record = found.put(found.projects, one.text, number(attribute(one, "ID")), one.text, {})
            if kind == "ngi":
                record.values["ngis"] = sorted({*record.values.get("ngis", ()), name})


SITE_READERS: Final[Mapping[str, tuple[str, Callable[[Gathered, Element], None]]]] = {
    "get_ngi": ("NGI", ngi),
    "get_roc_list": ("ROC", roc),
    "get_roc_contacts": ("ROC", roc),
    "get_site": ("SITE", site),
    "get_site_list": ("SITE", site),
    "get_site_contacts": ("SITE", site),
    "get_site_security_info": ("SITE", site),
    "get_cert_status_date": ("site", certification_date),
    "get_cert_status_changes": ("result", certification_change),
    "get_project_contacts": ("Project", project),
    "get_user": ("EGEE_USER", user),
}

"""The federation behind `samples/gocdb/*.xml`, read out of those answers and put into an empty registry."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lxml import etree
from sqlalchemy import delete, insert, select, text
from sqlalchemy.orm import Session

from hanse.identity import names
from hanse.revisions import Actor, Change, change
from registry.entities import put_downtime, put_service, put_site
from registry.federation_entities import put_ngi, put_project, put_service_group
from registry.models import (
    CertificationChange,
    Contact,
    Credential,
    Downtime,
    DowntimeEndpoint,
    DowntimeService,
    Endpoint,
    ExtensionProperty,
    Ngi,
    Person,
    Project,
    Role,
    Service,
    ServiceGroup,
    ServiceType,
    Site,
    project_ngi,
    service_group_service,
)
from registry.models.role_names import BY_SHOWN

SAMPLES = Path(__file__).parent / "samples" / "gocdb"
ISSUER = "/DC=org/DC=example/CN=Example CA"
CERTIFIED_AT = datetime(2026, 1, 15, 10, 20, 30, tzinfo=UTC)


def sample(name: str) -> str:
    return (SAMPLES / f"{name}.xml").read_text(encoding="utf-8")


def nodes(name: str, path: str) -> list[etree._Element]:
    return etree.fromstring(sample(name).encode()).findall(path)


def number(key: str | None) -> int:
    return int((key or "").removesuffix("G0"))


def scopes(node: etree._Element) -> list[str]:
    return [scope.text or "" for scope in node.findall("SCOPES/SCOPE")]


def properties(node: etree._Element, **owner: int) -> list[dict[str, Any]]:
    return [
        {**owner, "key": one.findtext("KEY"), "value": one.findtext("VALUE")}
        for one in node.findall("EXTENSIONS/EXTENSION")
    ]


def put_in(session: Session) -> None:
    """All of it, with its numbers."""
    _types(session)
    _ngis(session)
    _sites(session)
    _services(session)
    _groups(session)
    _people(session)
    _downtimes(session)
    session.execute(
        insert(CertificationChange),
        {
            "site_id": 41, "at": CERTIFIED_AT, "old": "Uncertified", "new": "Certified", "reason": "passed tests",
            "by_key": "x509:ada", "by_name": "Ada Test",
        },
    )  # fmt: skip
    with change(session, Actor("person:1", "Ada Test"), "as the samples have it") as recorded:
        _record(session, recorded)


def _record(session: Session, recorded: Change) -> None:
    """All of it in the log, which the pages read."""
    for site in session.scalars(select(Site)):
        put_site(recorded, site)
    for service in session.scalars(select(Service)):
        put_service(recorded, service)
    for downtime in session.scalars(select(Downtime)):
        put_downtime(recorded, downtime)
    for ngi in session.scalars(select(Ngi)):
        put_ngi(recorded, ngi)
    for project in session.scalars(select(Project)):
        put_project(recorded, project)
    for group in session.scalars(select(ServiceGroup)):
        put_service_group(recorded, group)


def _types(session: Session) -> None:
    session.execute(delete(ServiceType))
    for node in nodes("get_service_types", "SERVICE_TYPE"):
        values = {
            "id": number(node.get("PRIMARY_KEY")),
            "name": node.findtext("SERVICE_TYPE_NAME"),
            "description": node.findtext("SERVICE_TYPE_DESC"),
        }
        session.execute(insert(ServiceType), values)


def _ngis(session: Session) -> None:
    for node in nodes("get_ngi", "NGI"):
        values = {
            "id": int(node.get("ID", "")),
            "name": node.get("NAME"),
            "description": node.findtext("DESCRIPTION"),
            "email": node.findtext("EMAIL"),
            "scopes": scopes(node),
        }
        session.execute(insert(Ngi), values)
    session.execute(insert(Project), {"id": 95, "name": "EGI"})
    session.execute(insert(project_ngi), [{"project_id": 95, "ngi_id": ngi} for ngi in (1, 2, 3, 4)])


def _sites(session: Session) -> None:
    ngis = {node.get("NAME"): int(node.get("ID", "")) for node in nodes("get_ngi", "NGI")}
    for node in nodes("get_site", "SITE"):
        site = int(node.get("ID", ""))
        values = {
            "id": site, "primary_key": node.get("PRIMARY_KEY"), "name": node.get("NAME"),
            "ngi_id": ngis[node.findtext("ROC")], "official_name": node.findtext("OFFICIAL_NAME"),
            "description": node.findtext("SITE_DESCRIPTION"), "home_url": node.findtext("HOME_URL"),
            "telephone": node.findtext("CONTACT_TEL"), "country": node.findtext("COUNTRY"),
            "country_code": node.findtext("COUNTRY_CODE"), "timezone": node.findtext("TIMEZONE"),
            "latitude": float(node.findtext("LATITUDE") or 0), "longitude": float(node.findtext("LONGITUDE") or 0),
            "certification": node.findtext("CERTIFICATION_STATUS"), "certification_since": CERTIFIED_AT,
            "infrastructure": node.findtext("PRODUCTION_INFRASTRUCTURE"), "production": True,
            "notify": node.findtext("NOTIFICATIONS") == "TRUE", "domain": node.findtext("DOMAIN/DOMAIN_NAME"),
            "scopes": scopes(node), "usage_site_names": [node.get("NAME")],
        }  # fmt: skip
        session.execute(insert(Site), values)
        for position, (kind, element) in enumerate((("admin", "CONTACT_EMAIL"), ("security", "CSIRT_EMAIL"))):
            contact = {"site_id": site, "position": position, "kind": kind, "name": kind}
            session.execute(insert(Contact), {**contact, "email": node.findtext(element)})
        for row in properties(node, site_id=site):
            session.execute(insert(ExtensionProperty), row)


def _services(session: Session) -> None:
    sites = {node.get("NAME"): int(node.get("ID", "")) for node in nodes("get_site", "SITE")}
    for node in nodes("get_service_endpoint", "SERVICE_ENDPOINT"):
        service = number(node.get("PRIMARY_KEY"))
        values = {
            "id": service, "primary_key": node.get("PRIMARY_KEY"), "hostname": node.findtext("HOSTNAME"),
            "site_id": sites[node.findtext("SITENAME")], "service_type": node.findtext("SERVICE_TYPE"),
            "host_dn": node.findtext("HOSTDN"), "host_ip": node.findtext("HOST_IP"), "url": node.findtext("URL"),
            "host_ipv6": node.findtext("HOST_IPV6"), "host_os": node.findtext("HOST_OS"),
            "beta": node.findtext("BETA") == "Y", "production": node.findtext("IN_PRODUCTION") == "Y",
            "monitored": node.findtext("NODE_MONITORED") == "Y", "notify": node.findtext("NOTIFICATIONS") == "Y",
            "scopes": scopes(node),
        }  # fmt: skip
        session.execute(insert(Service), values)
        for row in properties(node, service_id=service):
            session.execute(insert(ExtensionProperty), row)
        for inner in node.findall("ENDPOINTS/ENDPOINT"):
            _endpoint(session, service, inner)


def _endpoint(session: Session, service: int, node: etree._Element) -> None:
    endpoint = int(node.findtext("ID") or 0)
    values = {
        "id": endpoint, "service_id": service, "name": node.findtext("NAME"), "url": node.findtext("URL"),
        "interface_name": node.findtext("INTERFACENAME"), "monitored": node.findtext("ENDPOINT_MONITORED") == "Y",
    }  # fmt: skip
    session.execute(insert(Endpoint), values)
    for row in properties(node, endpoint_id=endpoint):
        session.execute(insert(ExtensionProperty), row)


def _groups(session: Session) -> None:
    for node in nodes("get_service_group", "SERVICE_GROUP"):
        group = int(node.get("ID", ""))
        values = {
            "id": group, "primary_key": node.get("PRIMARY_KEY"), "name": node.findtext("NAME"),
            "description": node.findtext("DESCRIPTION"), "monitored": node.findtext("MONITORED") == "Y",
            "email": node.findtext("CONTACT_EMAIL"), "scopes": scopes(node),
        }  # fmt: skip
        session.execute(insert(ServiceGroup), values)
        for inner in node.findall("SERVICE_ENDPOINT"):
            member = {"service_group_id": group, "service_id": number(inner.get("PRIMARY_KEY"))}
            session.execute(insert(service_group_service), member)


def _people(session: Session) -> None:
    """Ada Test is the only one; her roles are those of `get_user`."""
    ada = nodes("get_user", "EGEE_USER")[0]
    values = {
        "id": 1, "name": "Ada Test", "forename": ada.findtext("FORENAME"), "surname": ada.findtext("SURNAME"),
        "email": ada.findtext("EMAIL"),
    }  # fmt: skip
    session.execute(insert(Person), values)
    session.execute(text("alter table person alter column id restart with 100"))
    certificate = {
        "key": "x509:ada", "kind": "x509", "person_id": 1, "name": "Ada Test", "realm": "X.509",
        "subject_der": names.parse(ada.findtext("CERTDN") or ""), "issuer_der": names.parse(ISSUER),
    }  # fmt: skip
    session.execute(insert(Credential), certificate)
    columns = {
        "site": "site_id",
        "ngi": "ngi_id",
        "project": "project_id",
        "servicegroup": "service_group_id",
    }
    for node in ada.findall("USER_ROLE"):
        column = columns[node.findtext("ENTITY_TYPE") or ""]
        role = BY_SHOWN[(node.findtext("USER_ROLE") or "").casefold()].name
        owner = {column: number(node.findtext("PRIMARY_KEY"))}
        granted = {"granted_at": CERTIFIED_AT, "granted_by": "Ada Test", "status": "GRANTED"}
        session.execute(insert(Role), {"person_id": 1, "role": role, **granted, **owner})


def _downtimes(session: Session) -> None:
    services = {
        (node.findtext("HOSTNAME"), node.findtext("SERVICE_TYPE")): number(node.get("PRIMARY_KEY"))
        for node in nodes("get_service_endpoint", "SERVICE_ENDPOINT")
    }
    _others(session, services)
    known: set[int] = set()
    for node in nodes("get_downtime", "DOWNTIME"):
        downtime = int(node.get("ID", ""))
        if downtime not in known:
            session.execute(insert(Downtime), _downtime(node, downtime))
            known.add(downtime)
        service = services[node.findtext("HOSTNAME"), node.findtext("SERVICE_TYPE")]
        session.execute(insert(DowntimeService), {"downtime_id": downtime, "service_id": service})
        for inner in node.findall("AFFECTED_ENDPOINTS/ENDPOINT"):
            endpoint = {"downtime_id": downtime, "endpoint_id": int(inner.findtext("ID") or 0)}
            session.execute(insert(DowntimeEndpoint), endpoint)


def _others(session: Session, services: dict[tuple[str | None, str | None], int]) -> None:
    """Services of downtimes that the sample of services, which is cut short, does not show."""
    sites = {node.get("NAME"): int(node.get("ID", "")) for node in nodes("get_site", "SITE")}
    for node in nodes("get_downtime_nested_services", "DOWNTIME/SERVICES/SERVICE"):
        key = (node.findtext("HOSTNAME"), node.findtext("SERVICE_TYPE"))
        if key in services:
            continue
        services[key] = number(node.findtext("PRIMARY_KEY"))
        values = {
            "id": services[key], "primary_key": node.findtext("PRIMARY_KEY"), "hostname": key[0],
            "site_id": sites[node.findtext("HOSTED_BY")], "service_type": key[1], "production": True,
            "monitored": True, "scopes": ["EGI"],
        }  # fmt: skip
        session.execute(insert(Service), values)
        for inner in node.findall("AFFECTED_ENDPOINTS/ENDPOINT"):
            _endpoint(session, services[key], inner)


def _downtime(node: etree._Element, downtime: int) -> dict[str, Any]:
    def moment(name: str) -> datetime:
        return datetime.fromtimestamp(int(node.findtext(name) or 0), UTC)

    sites = {one.get("NAME"): int(one.get("ID", "")) for one in nodes("get_site", "SITE")}
    return {
        "id": downtime, "primary_key": node.get("PRIMARY_KEY"), "site_id": sites[node.findtext("HOSTED_BY")],
        "severity": node.findtext("SEVERITY"), "classification": node.get("CLASSIFICATION"),
        "description": node.findtext("DESCRIPTION"), "created_at": moment("INSERT_DATE"),
        "start_at": moment("START_DATE"), "end_at": moment("END_DATE"), "state": "planned", "created_by": "Ada Test",
    }  # fmt: skip

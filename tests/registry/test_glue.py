"""The registry as GLUE: order and duties of the published XML schema, the tree of LDAP, the JSON of cloud tools.

The schema itself stays with OGF; what it demands of the kinds that we write stands here (GFD.147, spec_2.0_r1).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from lxml import etree
from sqlalchemy import text

from registry.ldif import name_of, read

from .clouds import cloud_document, encoded
from .conftest import Registry

NAMESPACE = "{http://schemas.ogf.org/glue/2009/03/spec_2.0_r1}"
ENTITY = "ID Name? OtherInfo*"
ENDPOINT = (
    "URL Capability* Technology? InterfaceName InterfaceVersion* Semantics* Implementor? ImplementationName?"
    " ImplementationVersion? QualityLevel HealthState HealthStateInfo? ServingState IssuerCA? TrustedCA* DowntimeInfo?"
)
SERVICE = "Capability* Type QualityLevel StatusInfo* Complexity?"
# what may stand in each kind, in order, and in its Associations; the kinds in the order of the root's children
FORMS = {
    "Location": ("Place? Country? Latitude? Longitude?", "DomainID*"),
    "Contact": ("Detail Type", "DomainID*"),
    "AdminDomain": ("Description? WWW* Distributed? Owner*", "ServiceID* ContactID* LocationID?"),
    "ComputingService": (SERVICE, "EndpointID* ShareID* ManagerID*"),
    "Service": (SERVICE, "EndpointID*"),
    "ComputingEndpoint": (ENDPOINT, "ServiceID ShareID* PolicyID*"),
    "Endpoint": (ENDPOINT, "ServiceID"),
    "ComputingShare": ("ServingState", "EndpointID* ResourceID* ServiceID PolicyID*"),
    "ComputingManager": ("ProductName ProductVersion? TotalLogicalCPUs?", "ServiceID ResourceID*"),
    "ExecutionEnvironment": (
        "Platform VirtualMachine? LogicalCPUs? MainMemorySize OSFamily ConnectivityIn ConnectivityOut",
        "ManagerID ShareID*",
    ),
    "AccessPolicy": ("Scheme Rule+", "EndpointID DomainID+"),
    "MappingPolicy": ("Scheme Rule+", "ShareID DomainID+"),
    "ApplicationEnvironment": ("AppName AppVersion? Repository? Description?", "ManagerID"),
}
BASES = {
    "AdminDomain": "Domain",
    "ComputingService": "Service",
    "Service": "Service",
    "ComputingEndpoint": "Endpoint",
    "Endpoint": "Endpoint",
    "ComputingShare": "Share",
    "ComputingManager": "Manager",
    "ExecutionEnvironment": "Resource",
    "AccessPolicy": "Policy",
    "MappingPolicy": "Policy",
}
GROUPS = [
    ["ComputingService", "Service"],
    ["ComputingEndpoint", "Endpoint"],
    ["AccessPolicy", "MappingPolicy"],
]


def grammar() -> etree.RelaxNG:
    """The forms above as RELAX NG."""

    def elements(words: str) -> str:
        wrap = {"?": "optional", "*": "zeroOrMore", "+": "oneOrMore"}
        made = ""
        for word in words.split():
            name, many = word.rstrip("?*+"), wrap.get(word[-1])
            kind = {
                "Latitude": '<data type="float"/>',
                "Longitude": '<data type="float"/>',
                "LogicalCPUs": '<data type="unsignedInt"/>',
                "TotalLogicalCPUs": '<data type="unsignedInt"/>',
                "MainMemorySize": '<data type="unsignedLong"/>',
                "VirtualMachine": "<choice><value>true</value><value>false</value><value>undefined</value></choice>",
            }.get(name, "<text/>")
            element = f'<element name="{name}">{kind}</element>'
            made += f"<{many}>{element}</{many}>" if many else element
        return made

    def kind(name: str) -> str:
        fields, links = FORMS[name]
        base = f'<attribute name="BaseType"><value>{BASES[name]}</value></attribute>' if name in BASES else ""
        times = (
            '<optional><attribute name="CreationTime"><data type="dateTime"/></attribute></optional>'
            '<optional><attribute name="Validity"><data type="unsignedLong"/></attribute></optional>'
        )
        inner = elements(f"{ENTITY} {fields}")
        return (
            f'<element name="{name}">{base}{times}{inner}'
            f'<element name="Associations">{elements(links)}</element></element>'
        )

    body, done = "", set[str]()
    for name in FORMS:
        if name in done:
            continue
        group = next((group for group in GROUPS if name in group), [name])
        done.update(group)
        body += f"<zeroOrMore><choice>{''.join(map(kind, group))}</choice></zeroOrMore>"
    text = (
        '<element name="GLUE2" xmlns="http://relaxng.org/ns/structure/1.0" ns="'
        f'{NAMESPACE.strip("{}")}" datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">{body}</element>'
    )
    return etree.RelaxNG(etree.fromstring(text))


@pytest.fixture
def published(registry: Registry) -> dict[str, Any]:
    """CESNET publishes; BIFI and UKIM are known from the registry alone. A second service is no cloud."""
    document = cloud_document()
    answer = registry.ask("PUT", "/v1/sites/CESNET/cloudinfo", "Eliška Malá", data=encoded(document))
    assert answer.status_code == 202, answer.text
    registry.send("PATCH", "/api/v1/sites/BIFI", {"official_name": "Aragón & <Söhne> “Ñ”", "latitude": 41.65})
    registry.register_service(
        "BIFI",
        service_type="Site-BDII",
        hostname="bdii.bifi.example",
        url="ldap://bdii.bifi.example:2170/o=glue",
    )
    return document


def xml_of(registry: Registry, path: str, who: str | None = None) -> etree._Element:
    answer = registry.ask("GET", path, who)
    assert answer.status_code == 200, answer.text
    assert answer.content_type.startswith("application/xml")
    document = etree.fromstring(answer.data)
    form = grammar()
    assert form.validate(document), form.error_log
    return document


def texts(found: etree._Element, path: str) -> list[str]:
    return [str(one.text) for one in found.iterfind("/".join(NAMESPACE + step for step in path.split("/")))]


def test_the_xml_keeps_the_order_of_the_schema(registry: Registry, published: dict[str, Any]) -> None:
    document = xml_of(registry, "/api/v1/glue2.xml")
    assert texts(document, "AdminDomain/ID") == ["BIFI", "CESNET", "UKIM"]
    assert "Aragón & <Söhne> “Ñ”" in texts(document, "AdminDomain/Name")
    assert set(texts(document, "ExecutionEnvironment/ID")) == {"small", "medium", "gpu.large"}
    assert len(texts(document, "ApplicationEnvironment/ID")) == 2
    assert "Site-BDII" in texts(document, "Service/Type")
    assert texts(xml_of(registry, "/api/v1/sites/UKIM/glue2.xml"), "AdminDomain/ID") == ["UKIM"]


def test_shares_have_local_ids_and_policies_name_the_vo(
    registry: Registry, published: dict[str, Any]
) -> None:
    document = xml_of(registry, "/api/v1/sites/CESNET/glue2.xml")
    assert texts(document, "ComputingShare/ID") == ["share_training.egi.eu_p1"]
    assert texts(document, "MappingPolicy/Rule") == ["VO:training.egi.eu"]
    assert texts(document, "MappingPolicy/Associations/DomainID") == ["training.egi.eu"]
    info = texts(document, "ComputingShare/OtherInfo")
    assert {"ProjectID=p1", "MaxVM=10", "quota_cores=16"} <= set(info)


def test_addresses_of_people_are_for_those_who_are_signed_in(registry: Registry) -> None:
    assert texts(xml_of(registry, "/api/v1/glue2.xml"), "Contact/ID") == []
    shown = xml_of(registry, "/api/v1/glue2.xml", "Laura Gil")
    assert "mailto:admin@bifi.example" in texts(shown, "Contact/Detail")
    assert "admin@" not in registry.ask("GET", "/api/v1/glue2.ldif", None).text


def test_the_ldap_tree_hangs_together(registry: Registry, published: dict[str, Any]) -> None:
    answer = registry.ask("GET", "/api/v1/glue2.ldif", None)
    found = read(answer.text)
    names = [name_of(one.dn) for one in found]
    assert names[0] == (("o", "glue"),)
    assert len(set(names)) == len(names)
    for at, name in enumerate(names[1:], start=1):
        assert name[1:] in names[:at], f"{found[at].dn} comes before what it hangs below"
        assert name[0][1] in [value for values in found[at].attributes.values() for value in values]
    steps = [pair[0] for pair in next(name for name in names if name[0][0] == "glue2endpointid")]
    assert steps == ["glue2endpointid", "glue2serviceid", "glue2groupid", "glue2domainid", "o"]


def test_an_expired_document_gives_way_to_what_is_declared(registry: Registry) -> None:
    document = cloud_document(age=timedelta(seconds=57), validity_s=60)
    assert (
        registry.ask("PUT", "/v1/sites/CESNET/cloudinfo", "Eliška Malá", data=encoded(document)).status_code
        == 202
    )
    assert len(registry.get("/api/v1/sites/CESNET/glue21.json", None)["CloudComputingImage"]) == 2
    with registry.db.transaction() as session:
        session.execute(text("update cloud_document set valid_until = now() - interval '1 s'"))
    declared = registry.get("/api/v1/sites/CESNET/glue21.json", None)
    assert declared["CloudComputingImage"] == []
    assert declared["CloudComputingEndpoint"][0]["URL"] == "https://occi.cesnet.example:11443/"
    assert declared["CloudComputingManager"][0]["TotalCPUs"] == 64
    listed = registry.get("/v1/sites/CESNET/cloudinfo", None)["items"]
    assert [(one["current"], one["valid"]) for one in listed] == [(True, False)]


def test_an_outage_closes_the_endpoints_that_it_hits(registry: Registry) -> None:
    registry.declare("UKIM", timedelta(seconds=-5), timedelta(hours=1))
    (endpoint,) = registry.get("/api/v1/sites/UKIM/glue21.json", None)["CloudComputingEndpoint"]
    assert (endpoint["ServingState"], endpoint["HealthState"]) == ("closed", "downtime")
    assert texts(xml_of(registry, "/api/v1/sites/UKIM/glue2.xml"), "ComputingEndpoint/HealthState") == [
        "other"
    ]


def test_the_json_is_a_document_for_each_site_with_a_cloud(
    registry: Registry, published: dict[str, Any]
) -> None:
    found = registry.get("/api/v1/glue21.json", None)
    sites = [one["CloudComputingService"][0]["Associations"]["AdminDomain"][0] for one in found]
    assert sites == ["BIFI", "CESNET", "UKIM"]
    key = registry.get("/api/v1/services?site=CESNET")["items"][0]["primary_key"]
    assert found[1]["CloudComputingService"][0]["OtherInfo"]["gocdb_id"] == key
    assert found[1]["CloudComputingInstanceType"] == published["CloudComputingInstanceType"]


def test_what_has_not_changed_is_not_sent_again(registry: Registry) -> None:
    first = registry.ask("GET", "/api/v1/glue2.ldif", None)
    again = registry.ask("GET", "/api/v1/glue2.ldif", None, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304


def test_a_site_that_is_not_there_is_404(registry: Registry) -> None:
    for form in ("glue2.ldif", "glue2.xml", "glue21.json"):
        assert registry.ask("GET", f"/api/v1/sites/NOWHERE/{form}", None).status_code == 404

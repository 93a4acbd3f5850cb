"""The programs that read a GOCDB today, each as it reads: what it looks for, how it follows pages, what it trips over.

None of them knows Hanse. Each reader here does what the program is known to do with an answer, odd as it may be; the
test says what it must come to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from xml.dom import minidom

import pytest
from lxml import etree

from .conftest import Registry

WHO = "Ingrid Holm"
NOVA = "org.openstack.nova"


def fetch(registry: Registry, url: str, who: str | None = None) -> str:
    """An absolute address, as a client follows it."""
    parts = urlsplit(url)
    answer = registry.ask("GET", f"{parts.path}?{parts.query}", who)
    assert answer.status_code == 200
    assert answer.content_type.startswith("application/xml")
    return answer.text


def public(registry: Registry, query: str) -> str:
    return fetch(registry, f"/gocdbpi/public/?{query}")


def private(registry: Registry, query: str) -> str:
    return fetch(registry, f"/gocdbpi/private/?{query}", WHO)


# --- argo-connectors ---

TOPOLOGY = {
    "method=get_service_endpoint&scope=": "SERVICE_ENDPOINT",
    "method=get_service_group&scope=": "SERVICE_GROUP",
    "method=get_site&scope=": "SITE",
}


def argo_pages(registry: Registry, query: str) -> Iterator[str]:
    """Pages until one counts 0; the cursor is cut out of the href at its `&` signs."""
    cursor = "0"
    for _ in range(1000):
        page = private(registry, f"{query}&next_cursor={cursor}")
        yield page
        document = minidom.parseString(page)
        count = document.getElementsByTagName("count")[0].childNodes[0].data
        if int(count) == 0:
            return
        for link in document.getElementsByTagName("link"):
            if link.getAttribute("rel") == "next":
                (cursor,) = (
                    part.split("=")[1]
                    for part in link.getAttribute("href").split("&")
                    if "next_cursor" in part
                )
    raise AssertionError("the pages never end")


def argo_joined(pages: Iterator[str] | list[str]) -> minidom.Document:
    """Every line that holds a piece of the frame is dropped, what is left is framed anew."""
    lines = [
        line
        for page in pages
        for line in page.split("\n")
        if not any(piece in line for piece in ("<results>", "</results>", "<?xml"))
    ]
    return minidom.parseString("<results>" + "\n".join(lines) + "</results>")


def text_of(node: minidom.Element, name: str) -> str:
    """The first element of the name; argo-connectors fails where there is none."""
    found = node.getElementsByTagName(name)[0]
    return "".join(child.data for child in found.childNodes if child.nodeType == child.TEXT_NODE)


@pytest.mark.parametrize("query", TOPOLOGY)
def test_argo_connectors_joins_pages_by_dropping_lines(gocdb: Registry, query: str) -> None:
    whole = minidom.parseString(private(gocdb, query)).getElementsByTagName(TOPOLOGY[query])
    joined = argo_joined(argo_pages(gocdb, query)).getElementsByTagName(TOPOLOGY[query])
    assert [node.toxml() for node in joined] == [node.toxml() for node in whole]
    assert len(whole) > 0


def test_argo_connectors_finds_the_frame_on_lines_of_its_own(gocdb: Registry) -> None:
    """Minified, it finds 0 sites and says nothing; with an attribute or a namespace on the root as well."""
    for query in ("method=get_site&scope=", "method=get_service_endpoint", "method=get_downtime"):
        lines = private(gocdb, query).split("\n")
        assert lines[:2] == ['<?xml version="1.0" encoding="UTF-8"?>', "<results>"]
        assert lines[-2:] == ["</results>", ""]
        assert not [line for line in lines[2:-2] if "results" in line]


def test_argo_connectors_reads_every_service(gocdb: Registry) -> None:
    document = minidom.parseString(private(gocdb, "method=get_service_endpoint&scope="))
    services = document.getElementsByTagName("SERVICE_ENDPOINT")
    for node in services:
        assert node.getAttribute("PRIMARY_KEY")
        for name in ("HOSTNAME", "SERVICE_TYPE", "SITENAME", "ROC_NAME"):
            assert text_of(node, name)
        for name in ("NODE_MONITORED", "IN_PRODUCTION", "BETA", "NOTIFICATIONS"):
            assert text_of(node, name) in ("Y", "N")
        above = [child.nodeName for child in node.childNodes]
        for name in ("URL", "ENDPOINTS", "SCOPES", "EXTENSIONS"):  # also when they are empty
            assert above.count(name) == 1, name
    bare = next(node for node in services if node.getAttribute("PRIMARY_KEY") == "11G0")
    assert text_of(bare, "URL") == ""


def test_argo_connectors_reads_every_site(gocdb: Registry) -> None:
    for node in minidom.parseString(private(gocdb, "method=get_site&scope=")).getElementsByTagName("SITE"):
        assert node.getAttribute("NAME") == text_of(node, "SHORT_NAME")
        for name in ("ROC", "PRODUCTION_INFRASTRUCTURE", "CERTIFICATION_STATUS", "COUNTRY"):
            assert text_of(node, name)
        assert text_of(node, "NOTIFICATIONS") in ("TRUE", "FALSE")  # it honours this flag
        assert "," not in text_of(node, "CONTACT_EMAIL")  # it splits lists at `;` alone


def test_argo_connectors_reads_groups_and_service_types(gocdb: Registry) -> None:
    groups = minidom.parseString(private(gocdb, "method=get_service_group&scope="))
    for node in groups.getElementsByTagName("SERVICE_GROUP"):
        assert text_of(node, "NAME")
        assert text_of(node, "MONITORED") in ("Y", "N")
        for inner in node.getElementsByTagName("SERVICE_ENDPOINT"):
            assert text_of(inner, "HOSTNAME")
            assert inner.getElementsByTagName("ENDPOINTS")
            assert inner.getElementsByTagName("EXTENSIONS")
    kinds = minidom.parseString(private(gocdb, "method=get_service_types"))
    assert {text_of(node, "SERVICE_TYPE_NAME") for node in kinds.getElementsByTagName("SERVICE_TYPE")} > {
        NOVA
    }


def argo_downtimes(page: str, begin: datetime, end: datetime) -> list[tuple[str, str, datetime, datetime]]:
    """Only scheduled outages, their times cut to the window, only endpoints that are monitored."""
    found = []
    for node in minidom.parseString(page).getElementsByTagName("DOWNTIME"):
        if (text_of(node, "SEVERITY"), node.getAttribute("CLASSIFICATION")) != ("OUTAGE", "SCHEDULED"):
            continue
        first, last = (
            datetime.strptime(text_of(node, name), "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
            for name in ("FORMATED_START_DATE", "FORMATED_END_DATE")
        )
        for one in node.getElementsByTagName("AFFECTED_ENDPOINTS")[0].getElementsByTagName("ENDPOINT"):
            if text_of(one, "ENDPOINT_MONITORED") == "Y":
                found.append(
                    (text_of(node, "HOSTNAME"), text_of(one, "URL"), max(first, begin), min(last, end))
                )
    return found


def test_argo_connectors_reads_downtimes_of_a_window(gocdb: Registry) -> None:
    day = datetime(2026, 12, 17, tzinfo=UTC)
    page = fetch(
        gocdb,
        f"/gocdbpi/private/?method=get_downtime&windowstart={day:%Y-%m-%d}&windowend={day:%Y-%m-%d}",
        WHO,
    )
    assert "<meta>" not in page
    found = argo_downtimes(page, day, day + timedelta(days=1))
    assert found == [
        (
            host,
            f"https://{host}:11443/ep0",
            datetime(2026, 12, 17, 0, 58, tzinfo=UTC),
            datetime(2026, 12, 17, 20, 58, tzinfo=UTC),
        )
        for host in ("h00000.alfa.example.org", "h00008.alfa.example.org")
    ]
    before = private(gocdb, "method=get_downtime&windowstart=2026-12-18&windowend=2026-12-19")
    assert argo_downtimes(before, day, day + timedelta(days=9)) == []


def test_argo_connectors_notices_a_fault_though_it_comes_with_200(gocdb: Registry) -> None:
    for who, query in ((None, "method=get_site"), (WHO, "method=get_site&nope=1"), (WHO, "method=nope")):
        answer = gocdb.ask("GET", f"/gocdbpi/private/?{query}", who)
        assert answer.status_code == 200
        assert "<results" not in answer.text


# --- APEL: which hosts may send accounting ---


def test_apel_follows_next_links_until_there_is_none(gocdb: Registry) -> None:
    """With paging asked for in its address, it follows `link rel=next` as it stands, and stops where there is none."""
    url = "https://registry.example.org/gocdbpi/public/?method=get_service_endpoint&service_type=%25occi&next_cursor=0"
    names, pages = [], 0
    while url:
        root = etree.fromstring(fetch(gocdb, url).encode())
        names += [node.text for node in root.findall("SERVICE_ENDPOINT/HOSTDN")]
        following = root.find("meta/link[@rel='next']")
        url = "" if following is None else following.get("href", "")
        pages += 1
        assert pages < 10
    assert names
    assert all(name and name.startswith("/DC=org/DC=example/CN=h0") for name in names)
    assert pages == 2  # the last full page leads to one more, which is empty


# --- cloud-info-provider and cloud-info-api ---


def same_place(one: str, other: str) -> bool:
    def place(url: str) -> tuple[str, str, str]:
        parts = urlsplit(url)
        return parts.scheme, parts.netloc, parts.path.strip("/")

    return place(one) == place(other)


@pytest.mark.parametrize(
    "asked", ["https://h00008.alfa.example.org:11443/ep0/", "https://h00008.alfa.example.org:11443//ep0"]
)
def test_cloud_info_provider_finds_itself_by_its_address(gocdb: Registry, asked: str) -> None:
    root = etree.fromstring(public(gocdb, f"method=get_service&service_type={NOVA}").encode())
    found = []
    for node in root.findall("SERVICE_ENDPOINT"):
        endpoints = node.find("ENDPOINTS")
        assert endpoints is not None
        urls = [node.findtext("URL") or "", *(one.text or "" for one in endpoints.findall("ENDPOINT/URL"))]
        if any(same_place(url, asked) for url in urls):
            found.append((node.get("PRIMARY_KEY"), node.findtext("SITENAME")))
    assert found == [("9G0", "ALFA-CLOUD")]


def test_cloud_info_api_finds_hosts_by_key(gocdb: Registry) -> None:
    root = etree.fromstring(public(gocdb, f"method=get_service&service_type={NOVA}").encode())
    hosts = {node.get("PRIMARY_KEY"): node.findtext("HOSTNAME") for node in root}
    assert hosts["9G0"] == "h00008.alfa.example.org"


# --- fedcloud-catchall's continuous integration: it greps ---


def test_catchall_greps_literal_lines(gocdb: Registry) -> None:
    page = public(gocdb, f"method=get_service_endpoint&sitename=ALFA-CLOUD&service_type={NOVA}")
    assert "<SITENAME>ALFA-CLOUD</SITENAME>" in page
    assert "<URL>https://h00008.alfa.example.org:11443/ep0</URL>" in page
    assert public(gocdb, f"method=get_service_endpoint&sitename=NOWHERE&service_type={NOVA}").endswith(
        "<results/>\n"
    )


# --- DIRAC ---


def dirac_downtimes(page: str) -> dict[str, dict[str, str]]:
    """The first element of each name inside a downtime; affected endpoints by their URL."""
    found = {}
    for node in minidom.parseString(page).getElementsByTagName("DOWNTIME"):
        names = (
            "SEVERITY", "HOSTNAME", "HOSTED_BY", "FORMATED_START_DATE", "FORMATED_END_DATE", "DESCRIPTION",
            "GOCDB_PORTAL_URL", "SERVICE_TYPE", "ENDPOINT",
        )  # fmt: skip
        one = {name: text_of(node, name) for name in names}
        affected = node.getElementsByTagName("AFFECTED_ENDPOINTS")[0]
        one["urls"] = " ".join(
            "".join(child.data for child in url.childNodes) for url in affected.getElementsByTagName("URL")
        )
        found[f"{node.getAttribute('PRIMARY_KEY')} {one['ENDPOINT']}"] = one
    return found


def test_dirac_reads_downtimes(gocdb: Registry) -> None:
    for query in ("startdate=2026-12-01&scope=", "topentity=ALFA-CLOUD&startdate=2026-12-01"):
        found = dirac_downtimes(public(gocdb, f"method=get_downtime&{query}"))
        host = "h00000.alfa.example.org"
        first = found[f"900000G0 {host}eu.egi.cloud.vm-management.occi"]
        assert first["HOSTED_BY"] == "ALFA-CLOUD"
        assert first["urls"] == f"https://{host}:11443/ep0"
        assert first["GOCDB_PORTAL_URL"].endswith("Page_Type=Downtime&id=1")
        datetime.strptime(first["FORMATED_START_DATE"], "%Y-%m-%d %H:%M")
    assert dirac_downtimes(public(gocdb, "method=get_downtime&ongoing_only=yes&scope=")) == {}


def test_dirac_looks_services_up_by_any_name(gocdb: Registry) -> None:
    for query in (
        "hostname=h00000.alfa.example.org",
        "sitename=ALFA-CLOUD",
        f"service_type={NOVA}",
        "roc=NGI_NORTH",
    ):
        root = etree.fromstring(public(gocdb, f"method=get_service_endpoint&{query}").encode())
        assert len(root) > 0
        assert all(node.find("SCOPES") is not None and node.find("EXTENSIONS") is not None for node in root)


# --- AppDB ---


def test_appdb_reads_contacts_and_services_in_downtime(gocdb: Registry) -> None:
    contacts = etree.fromstring(private(gocdb, "method=get_site_contacts&scope=").encode())
    (contact,) = contacts.findall("SITE[PRIMARY_KEY='41G0']/CONTACT")
    facts = [contact.findtext(name) for name in ("FORENAME", "SURNAME", "CERTDN", "ROLE_NAME")]
    assert facts == ["Ada", "Test", "/DC=org/DC=example/CN=Ada Test", "Site Administrator"]
    downtimes = etree.fromstring(public(gocdb, "method=get_downtime_nested_services&scope=").encode())
    first = downtimes[0]
    assert int(first.findtext("START_DATE") or 0) < int(first.findtext("END_DATE") or 0)
    assert [node.text for node in first.findall("SERVICES/SERVICE/PRIMARY_KEY")] == ["1G0", "9G0"]


# --- ScienceMesh reva ---


def test_reva_reads_its_configuration_out_of_extensions(gocdb: Registry) -> None:
    service = etree.fromstring(public(gocdb, "method=get_service&hostname=h00000.%25").encode())[0]
    values = {
        node.findtext("KEY"): node.findtext("VALUE") for node in service.findall("EXTENSIONS/EXTENSION")
    }
    assert values == {"key0": "value 0", "key1": "value 0"}
    inner = {
        node.findtext("KEY"): node.findtext("VALUE")
        for node in service.findall("ENDPOINTS/ENDPOINT/EXTENSIONS/EXTENSION")
    }
    assert inner == {"region": "west"}
    for query in ("method=get_service_types", "method=get_ngi", "method=get_site"):
        assert len(etree.fromstring(private(gocdb, query).encode())) > 0
    quiet = public(gocdb, "method=get_downtime_nested_services&topentity=ALFA-CLOUD&ongoing_only=yes")
    assert quiet.endswith("<results/>\n")


# --- scripts of operators ---


def test_scripts_read_certification_and_people(gocdb: Registry) -> None:
    since = etree.fromstring(private(gocdb, "method=get_cert_status_date").encode())
    assert {node.findtext("cert_date") for node in since} == {"15-Jan-26 10.20.30 AM"}
    for query in ("startdate=2026-01-01&enddate=2026-02-01", "startdate=2026-02-01&enddate=2026-01-01"):
        steps = etree.fromstring(private(gocdb, f"method=get_cert_status_changes&{query}").encode())
        assert [node.findtext("UNIX_TIME") for node in steps] == ["1768472430"]
    assert private(gocdb, "method=get_cert_status_changes&startdate=2026-01-16").endswith("<results/>\n")
    for query, count in (
        ("roletype=Site Administrator", 1),
        ("roletype=COD Staff,Nobody", 1),
        ("roletype=site%25", 0),
    ):
        assert len(etree.fromstring(private(gocdb, f"method=get_user&{query}").encode())) == count
    assert len(etree.fromstring(private(gocdb, "method=get_user&dnlike=%25CN=Ada%25").encode())) == 1


def test_no_answer_names_its_elements_otherwise(gocdb: Registry) -> None:
    """Element and attribute names are upper case but for the odd lists, and no namespace is declared anywhere."""
    for method in ("get_site", "get_service", "get_downtime", "get_service_group", "get_user", "get_ngi"):
        assert not re.search(
            r"xmlns|<[A-Za-z]+:",
            private(gocdb, f"method={method}&scope=" if method != "get_user" else f"method={method}"),
        )

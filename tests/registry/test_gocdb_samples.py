"""Byte for byte: a registry with the federation of the samples answers as the samples say.

Only the numbers of extension properties differ (GOCDB counts them apart for sites, services and endpoints, here in
one row), and the list of countries without any site is longer than the sample's.
"""

from __future__ import annotations

import re

import pytest

from .conftest import Registry
from .gocdb_federation import SAMPLES, sample

NO_SITE = re.compile("  <SITE>\n    <COUNTRY>([^<]*)</COUNTRY>\n    <COUNT>0</COUNT>\n  </SITE>\n")


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("get_cert_status_changes", ""),
        ("get_cert_status_date", ""),
        ("get_downtime", ""),
        ("get_downtime_page1", "next_cursor=0"),
        ("get_downtime_nested_services", ""),
        ("get_downtime_to_broadcast", "interval=10000&id=1"),
        ("get_ngi", ""),
        ("get_project_contacts", ""),
        ("get_roc_contacts", ""),
        ("get_roc_list", ""),
        ("get_service_endpoint", ""),
        ("get_service_group", ""),
        ("get_service_group_role", ""),
        ("get_service_types", ""),
        ("get_site", ""),
        ("get_site_page1", "next_cursor=0"),
        ("get_site_page_past_end", "next_cursor=999999"),
        ("get_site_contacts", ""),
        ("get_site_count_per_country", ""),
        ("get_site_list", ""),
        ("get_site_security_info", ""),
        ("get_subgrid_list", ""),
        ("get_user", "dn=/DC=org/DC=example/CN=Ada Test"),
    ],
)
def test_answers_are_those_of_a_gocdb(gocdb: Registry, name: str, query: str) -> None:
    method = re.sub("_page.*", "", name)
    side = "public" if method == "get_downtime" else "private"
    answer = gocdb.ask("GET", f"/gocdbpi/{side}/?method={method}&{query}")
    assert answer.status_code == 200
    assert set(NO_SITE.findall(sample(name))) <= set(NO_SITE.findall(answer.text))
    got, wanted = NO_SITE.sub("", answer.text), NO_SITE.sub("", sample(name))
    assert without_numbers(shown(got)) == without_numbers(wanted)


def shown(text: str) -> str:
    """The sample of services is cut after ten of them; downtimes show that there are more."""
    return re.sub(
        r'  <SERVICE_ENDPOINT PRIMARY_KEY="1[1-9]G0">.*?  </SERVICE_ENDPOINT>\n', "", text, flags=re.DOTALL
    )


def without_numbers(text: str) -> str:
    return re.sub("<LOCAL_ID>[0-9]+<", "<LOCAL_ID>.<", text)


def test_every_portal_link_leads_to_a_page(gocdb: Registry) -> None:
    """Links of mails and tickets: where nobody may look without signing in, the operator can."""
    links = {
        link
        for name in SAMPLES.glob("*.xml")
        for link in re.findall("<GOCDB_PORTAL_URL>(.*?)</GOCDB_PORTAL_URL>", name.read_text())
    }
    kinds = {re.findall("Page_Type=([A-Za-z_]*)", link)[0] for link in links}
    assert kinds == {"Site", "Service", "Service_Group", "Downtime", "NGI", "User"}
    for link in [*links, "https://registry.example.org/portal/index.php?Page_Type=Project&amp;id=95"]:
        path = link.removeprefix("https://registry.example.org").replace("&amp;", "&")
        moved = gocdb.ask("GET", path, None)
        assert moved.status_code == 302, link
        assert gocdb.ask("GET", moved.headers["Location"]).status_code == 200, (
            link,
            moved.headers["Location"],
        )
    assert gocdb.ask("GET", "/portal/index.php", None).headers["Location"] == "/"
    for odd in (
        "Page_Type=Site&id=9999",
        "Page_Type=Site&id=%D9%A1",
        "Page_Type=Nope&id=1",
        "Page_Type=Site&id=",
    ):
        assert gocdb.ask("GET", f"/portal/index.php?{odd}", None).status_code == 404

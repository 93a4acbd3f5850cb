"""The XML of GOCDB's interface, against samples of our own that say each element, its place and its spaces."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from registry.renderings import gocdb_xml as xml
from registry.renderings import gocdb_xml_downtimes as down

from .conftest import OCCI

SAMPLES = Path(__file__).parent / "samples"
PORTAL = "https://registry.example"
ENDPOINT = xml.EndpointRow(31, "main", "https://occi.karpaty.example:11443/", "OCCI", True)
FULL_SITE = xml.SiteRow(
    id=7,
    primary_key="7G0",
    name="KARPATY-2",
    official_name='Karpaty & Tatry, "the second"',
    description="2 < 3 clouds",
    home_url="https://karpaty.example/?a=1&b=2",
    contact_email="admin@karpaty.example;ops@karpaty.example",
    telephone="+421 2 000 000",
    alarm_email="alarm@karpaty.example",
    giis_url="ldap://bdii.karpaty.example:2170/o=grid",
    country_code="SK",
    country="Slovakia",
    ngi="NGI_SK",
    infrastructure="Production",
    certification="Certified",
    timezone="Europe/Bratislava",
    latitude=48.72,
    longitude=21.26,
    csirt_email="csirt@karpaty.example",
    notify=False,
    domain="karpaty.example",
    scopes=["EGI", "FedCloud"],
    properties=[xml.Property(3, "HEPSPEC", "11.5")],
)
BARE_SITE = xml.SiteRow(
    8, "8G0", "BARE", None, "", None, None, None, None, None, "SK", "Slovakia", "NGI_SK", "Test", "Candidate",
    None, None, None, None, True, None, ["EGI"],
)  # fmt: skip
END = datetime(2026, 12, 3, 16, tzinfo=UTC)
DOWNTIME = down.DowntimeRow(
    5,
    "900005G0",
    "SCHEDULED",
    "OUTAGE",
    "New racks, <b>all</b>",
    datetime(2026, 12, 1, tzinfo=UTC),
    datetime(2026, 12, 3, 8, tzinfo=UTC),
    END,
    [
        down.AffectedService("12G0", "occi.karpaty.example", OCCI, "KARPATY-2", [ENDPOINT], END),
        down.AffectedService("13G0", "acct.karpaty.example", "eu.egi.cloud.accounting", "KARPATY-2", [], END),
    ],
)


def sample(name: str) -> str:
    return (SAMPLES / f"{name}.xml").read_text(encoding="utf-8")


def test_sites_are_written_as_gocdb_writes_them() -> None:
    assert xml.answer(xml.site(row, PORTAL) for row in (FULL_SITE, BARE_SITE)) == sample("get_site")


def test_services_are_written_as_gocdb_writes_them() -> None:
    watched = xml.EndpointRow(
        31,
        "main",
        "https://occi.karpaty.example:11443/?a&b",
        "OCCI",
        True,
        [xml.Property(4, "region", "east")],
    )
    full = xml.ServiceRow(
        12, "12G0", "occi.karpaty.example", "/C=SK/O=Hanse Demo/CN=Robot: O'Neill", "Debian 13", "x86_64", False,
        OCCI, "192.0.2.12", "2001:db8::12", True, True, False, "KARPATY-2", "Slovakia", "SK", "NGI_SK",
        "https://occi.karpaty.example:11443/", ["EGI"], [watched],
    )  # fmt: skip
    bare = xml.ServiceRow(
        13, "13G0", "acct.karpaty.example", None, None, None, True, "eu.egi.cloud.accounting", None, None, False,
        False, True, "KARPATY-2", "Slovakia", "SK", "NGI_SK", None, ["EGI"],
    )  # fmt: skip
    assert xml.answer(xml.service(row, PORTAL) for row in (full, bare)) == sample("get_service")


def test_a_downtime_is_repeated_for_each_service() -> None:
    assert xml.answer([down.downtime(DOWNTIME, PORTAL)]) == sample("get_downtime")


def test_a_nested_downtime_stands_once() -> None:
    assert xml.answer([down.downtime_nested(DOWNTIME, PORTAL)]) == sample("get_downtime_nested_services")


def test_nothing_found_is_an_empty_root() -> None:
    assert xml.answer([]) == '<?xml version="1.0" encoding="UTF-8"?>\n<results/>\n'


printable = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")) | st.sampled_from("\n\t\r")
)


@given(printable, printable)
def test_any_text_comes_back_from_the_xml(name: str, description: str) -> None:
    row = down.DowntimeRow(1, name or "x", "UNSCHEDULED", "OUTAGE", description, DOWNTIME.created_at,
                          DOWNTIME.start_at, DOWNTIME.end_at, DOWNTIME.services)  # fmt: skip
    root = etree.fromstring(xml.answer([down.downtime(row, PORTAL)]).encode())
    assert root[0].get("PRIMARY_KEY") == (name or "x")
    assert (root[0].findtext("DESCRIPTION") or "") == description
    assert len(root) == 2

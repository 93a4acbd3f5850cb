"""GOCDB's interface over HTTP: methods, levels, filters, pages, faults; and what breaks its consumers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from lxml import etree

from registry.schemas.services import ServiceIn

from .conftest import OCCI, Registry

HOSTILE = "</DESCRIPTION><!DOCTYPE x>]]>&amp;<script>alert('1')</script> -- ; drop table site"


def ask(registry: Registry, query: str, side: str = "public", who: str | None = None) -> str:
    answer = registry.ask("GET", f"/gocdbpi/{side}/?{query}", who)
    assert answer.status_code == 200
    return answer.text


def read(registry: Registry, query: str, side: str = "public", who: str | None = None) -> etree._Element:
    text = ask(registry, query, side, who)
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<results'), text
    return etree.fromstring(text.encode())


def texts(root: etree._Element, path: str) -> list[str]:
    return [node.text or "" for node in root.findall(path)]


def test_services_carry_what_the_registry_holds(registry: Registry) -> None:
    root = read(registry, "method=get_service_endpoint&sitename=BIFI")
    service = root[0]
    known = registry.get("/api/v1/services?site=BIFI")["items"][0]
    assert service.get("PRIMARY_KEY") == known["primary_key"]
    assert service.findtext("HOSTNAME") == "occi.bifi.example"
    assert service.findtext("ROC_NAME") == "NGI_IBERGRID"
    assert service.findtext("ENDPOINTS/ENDPOINT/URL") == known["endpoints"][0]["url"]
    assert ask(registry, "method=get_service&scope=") == ask(registry, "method=get_service_endpoint&scope=")


def test_sites_carry_what_the_registry_holds(registry: Registry) -> None:
    root = read(registry, "method=get_site&sitename=BIFI", "private", "Anna Lindqvist")
    assert root[0].get("NAME") == "BIFI"
    assert root[0].findtext("CONTACT_EMAIL") == "admin@bifi.example"
    assert root[0].findtext("CERTIFICATION_STATUS") == "Certified"


def test_the_portal_links_lead_to_our_pages(registry: Registry) -> None:
    registry.declare("BIFI", timedelta(hours=1), timedelta(hours=1))
    found = {
        read(registry, "method=get_service&sitename=BIFI")[0].findtext("GOCDB_PORTAL_URL"): "/services/",
        read(registry, "method=get_downtime")[0].findtext("GOCDB_PORTAL_URL"): "/downtimes/",
        read(registry, "method=get_site&sitename=BIFI", "private", "Laura Gil")[0].findtext("GOCDB_PORTAL_URL"):
            "/sites/BIFI",
    }  # fmt: skip
    for url, page in found.items():
        parts = urlsplit(url or "")
        answer = registry.ask("GET", f"{parts.path}?{parts.query}", None)
        assert answer.status_code == 302
        assert page in answer.headers["Location"]


def test_who_may_ask_what(registry: Registry) -> None:
    told = "No valid identifier found. Try accessing the resource through the private interface."
    for side in ("public", "private"):
        assert ask(registry, "method=get_site", side) == told
        assert "<SITE " in ask(registry, "method=get_site", side, "Anna Lindqvist")
        assert "<SERVICE_ENDPOINT" in ask(registry, "method=get_service", side)
    forged = registry.ask("GET", "/gocdbpi/private/?method=get_site", None,
                          headers={"SSL_CLIENT_S_DN": "/CN=Ingrid Holm", "Ssl-Client-Verify": "SUCCESS"})  # fmt: skip
    assert forged.text == told
    stale = registry.ask(
        "GET", "/gocdbpi/private/?method=get_site", None, headers={"Authorization": "Bearer nonsense"}
    )
    assert (stale.status_code, stale.text) == (200, told)


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("method=get_service&foo=1", "<error>Unsupported parameter: foo</error>"),
        ("method=get_service&hostname=a'b", "<error>Unsuported chracter in value: a'b</error>"),
        ("method=get_service&hostname=a%22b", '<error>Unsuported chracter in value: a"b</error>'),
        ("method=get_service&hostname=a%60b", "<error>Unsuported chracter in value: a`b</error>"),
        ("method=get_service&hostname=%3Cx%3E'", "<error>Unsuported chracter in value: &lt;x&gt;'</error>"),
        ("method=get_service&%3Cscript%3E=1", "<error>Unsupported parameter: &lt;script&gt;</error>"),
        (
            "method=get_service&next_cursor=1&prev_cursor=2",
            "<error>It is invalid to specify both 'next_cursor' and 'prev_cursor' parameters in the same query</error>",
        ),
        (
            "method=get_service&next_cursor=-1",
            "<error>Invalid 'next_cursor' parameter - must be a whole number greater than or equal to zero</error>",
        ),
        ("method=nope", "Unable to find method: nope"),
        ("method=%3Cscript%3E", "Unable to find method: &lt;script&gt;"),
        ("", "Unable to find method: "),
        ("method=get_service&extensions=(VO", "Invalid query expression"),
        ("method=get_service&extensions=XOR(a=b)", "Invalid query expression"),
        ("method=get_service&extensions=" + "(a=b)" * 51, "Invalid query expression"),
        ("method=get_service&extensions=" + "(" * 5000, "Invalid query expression"),
        (
            "method=get_downtime&ongoing_only=maybe",
            "<error>Invalid ongoing_only value - must be 'yes' or 'no'</error>",
        ),
        ("method=get_service_types&scope=", "<error>Unsupported parameter: scope</error>"),
    ],
)
def test_faults_are_told_with_200_in_gocdbs_words(gocdb: Registry, query: str, body: str) -> None:
    assert ask(gocdb, query) == body


def test_no_value_however_odd_gives_anything_but_200(registry: Registry) -> None:
    for value in ("%00", "%5C", "%25%5C", "\U0001f600", "%ED%A0%80", "a" * 5000):
        for name in ("hostname", "scope", "extensions"):
            ask(registry, f"method=get_service&{name}={value}")
        ask(registry, f"method=get_downtime&startdate={value}")
    assert ask(registry, "method=get_downtime&id=99999999999999999999").startswith("<error>")
    assert read(registry, "method=get_downtime&startdate=2026") is not None


def test_scope_absent_means_default_and_empty_means_all(registry: Registry) -> None:
    registry.register_service("BIFI", hostname="local.bifi.example", scopes=["Local"])
    registry.register_service("BIFI", hostname="both.bifi.example", scopes=["EGI", "Local"])

    def hosts(query: str) -> set[str]:
        return set(
            texts(read(registry, f"method=get_service&sitename=BIFI{query}"), "SERVICE_ENDPOINT/HOSTNAME")
        )

    main, local, both = "occi.bifi.example", "local.bifi.example", "both.bifi.example"
    assert hosts("") == {main, both}
    assert hosts("&scope=") == {main, local, both}
    assert hosts("&scope=Local") == {local, both}
    assert hosts("&scope=EGI,Local") == {both}
    assert hosts("&scope=EGI,Local&scope_match=all") == {both}
    assert hosts("&scope=EGI,Local&scope_match=any") == {main, local, both}
    assert hosts("&scope=Nowhere") == set()


def test_filters_take_sql_wildcards(registry: Registry) -> None:
    def sites(query: str) -> list[str]:
        return texts(read(registry, f"method=get_service&{query}"), "SERVICE_ENDPOINT/SITENAME")

    assert sites("sitename=BI%25") == ["BIFI"]
    assert sites("sitename=B_FI") == ["BIFI"]
    assert sites("sitename=b%25") == ["BIFI"]
    assert sites("country=Spain&roc=NGI%25") == ["BIFI"]
    assert sites(f"hostname=occi.ukim.example&service_type={OCCI}") == ["UKIM"]
    assert sites("hostname=occi.ukim.exampl%5C") == []
    assert len(sites("monitored=y")) == 3
    assert sites("monitored=n") == []
    assert len(sites("monitored=perhaps")) == 3


def test_names_are_found_in_any_case(registry: Registry) -> None:
    """GOCDB's database does not tell names apart by case, and scripts have been written against that."""
    site = 'NAME="BIFI"'
    for asked in ("sitename=bifi", "sitename=Bif%25", "roc=ngi_ibergrid", "country=SPAIN"):
        found = ask(registry, f"method=get_site&{asked}&scope=", "private", "Ingrid Holm")
        assert found.count("<SITE ") == 1, asked
        assert site in found, asked
    for asked in ("hostname=OCCI.BIFI.example", "sitename=bifi"):
        assert ask(registry, f"method=get_service&{asked}&scope=").count("<SERVICE_ENDPOINT ") == 1, asked
    registry.declare("BIFI", timedelta(days=3), timedelta(hours=2))
    for asked in ("sitelist=bifi", "ngilist=NGI_ibergrid", "topentity=bifi"):
        assert ask(registry, f"method=get_downtime&{asked}&scope=").count("<DOWNTIME ") == 1, asked


def test_every_country_is_counted_also_those_without_a_site(registry: Registry) -> None:
    def counted() -> dict[str, str]:
        root = read(registry, "method=get_site_count_per_country&scope=")
        return dict(zip(texts(root, "SITE/COUNTRY"), texts(root, "SITE/COUNT"), strict=True))

    counts = counted()
    assert (counts["Spain"], counts["Czech Republic"], counts["France"]) == ("1", "1", "0")
    assert len(counts) > 200
    assert list(counts) == sorted(counts)
    registry.send("PATCH", "/api/v1/sites/BIFI", {"country": "España"})
    renamed = counted()
    assert renamed["España"] == "1"
    assert "Spain" not in renamed, "one country, one line, called as its site calls it"


def test_site_filters(registry: Registry) -> None:
    registry.send(
        "POST", "/api/v1/sites/UKIM/certification", {"status": "Suspended", "reason": "x"}, status=200
    )
    registry.send("PATCH", "/api/v1/sites/CESNET", {"production": False})

    def sites(query: str) -> list[str]:
        root = read(registry, f"method=get_site&{query}", who="Laura Gil")
        return [str(node.get("NAME")) for node in root]

    assert sites("certification_status=Suspended") == ["UKIM"]
    assert sites("exclude_certification_status=Suspended") == ["CESNET", "BIFI"]
    assert sites("production_status=Test") == ["CESNET"]
    listed = read(registry, "method=get_site_list")
    assert [node.get("NAME") for node in listed] == ["CESNET", "BIFI", "UKIM"]
    assert listed[0].text is None


def test_extensions_are_filtered_and_shown(registry: Registry) -> None:
    for host, given in (
        ("a.bifi.example", {"VO": "vo.a", "tier": "1"}),
        ("b.bifi.example", {"VO": "vo.b", "mode": "(x)"}),
    ):
        registry.register_service("BIFI", hostname=host, extensions=given)

    def hosts(expression: str) -> list[str]:
        root = read(registry, f"method=get_service&extensions={expression}")
        return [host[0] for host in texts(root, "SERVICE_ENDPOINT/HOSTNAME")]

    assert hosts("(VO=vo.a)") == ["a"]
    assert hosts("(VO=)") == ["a", "b"]
    assert hosts("(VO=vo.a)(tier=1)") == ["a"]
    assert hosts("(VO=vo.b)(tier=1)") == []
    assert hosts("(VO=vo.b)OR(tier=1)") == ["a", "b"]
    assert hosts("(VO=)NOT(tier=1)") == ["b"]
    assert hosts("(mode=%5C(x%5C))") == ["b"]
    shown = read(registry, "method=get_service&hostname=b.bifi.example")
    assert sorted(texts(shown, "SERVICE_ENDPOINT/EXTENSIONS/EXTENSION/KEY")) == ["VO", "mode"]


def test_a_follower_of_next_links_sees_each_service_once(registry: Registry) -> None:
    """As APEL reads its list: follow `link rel=next` until there is none."""
    with_many(registry, 205)
    seen: list[str] = []
    counts = []
    url: str | None = "http://127.0.0.1:7010/gocdbpi/public/?method=get_service&scope=&next_cursor=0"
    while url:
        parts = urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc}" == "http://127.0.0.1:7010"
        root = read(registry, parts.query)
        seen += texts(root, "SERVICE_ENDPOINT/PRIMARY_KEY")
        counts.append(int(root.findtext("meta/count") or -1))
        assert root[0].tag == "meta"
        assert root.findtext("meta/max_page_size") == "100"
        links = {link.get("rel"): link.get("href") for link in root.findall("meta/link")}
        assert next(iter(links)) == "self"
        url = links.get("next")
    assert counts == [100, 100, 8, 0]
    assert len(seen) == len(set(seen)) == 208
    back = parse_qs(urlsplit(str(links["prev"])).query, keep_blank_values=True)
    assert back == {
        "method": ["get_service"],
        "scope": [""],
        "prev_cursor": [str(max(int(key[:-2]) for key in seen) + 1)],
    }
    last = read(registry, urlsplit(str(links["prev"])).query)
    assert texts(last, "SERVICE_ENDPOINT/PRIMARY_KEY") == seen[-100:]


def with_many(registry: Registry, count: int) -> None:
    from registry import services
    from registry.recording import lock_site, recording

    with recording(registry.db, registry.principal("Ingrid Holm"), "many") as (session, change):
        site = lock_site(session, "BIFI")
        for number in range(count):
            form = ServiceIn(
                service_type=OCCI, hostname=f"n{number}.bifi.example", url="https://n.bifi.example/"
            )
            services.create(session, change, site, form)


def test_pages_joined_line_by_line_are_one_document(registry: Registry) -> None:
    """As argo-connectors joins pages: every line holding the root or the declaration is dropped."""
    with_many(registry, 120)
    joined, cursor = [], 0
    while True:
        text = ask(registry, f"method=get_service_endpoint&scope=&next_cursor={cursor}")
        root = etree.fromstring(text.encode())
        joined += [
            line
            for line in text.splitlines()
            if not any(mark in line for mark in ("<results>", "</results>", "<?xml"))
        ]
        if root.findtext("meta/count") == "0":
            break
        cursor = int(texts(root, "SERVICE_ENDPOINT/PRIMARY_KEY")[-1].removesuffix("G0"))
    whole = etree.fromstring("<all>" + "\n".join(joined) + "</all>")
    assert len(whole.findall("SERVICE_ENDPOINT")) == 123
    for service in whole.findall("SERVICE_ENDPOINT"):
        assert [service.find(name) is not None for name in ("URL", "ENDPOINTS", "EXTENSIONS")] == [True] * 3


def test_there_is_no_meta_without_paging(registry: Registry) -> None:
    registry.declare("BIFI", timedelta(hours=1), timedelta(hours=1))
    assert read(registry, "method=get_downtime").find("meta") is None
    assert "<results>" in ask(registry, "method=get_downtime")


def test_downtimes_are_picked_by_time_and_place(registry: Registry) -> None:
    registry.register_service("BIFI", service_type="VOMS", hostname="voms.bifi.example")
    now = registry.declare("BIFI", -timedelta(hours=1), timedelta(hours=2))
    later = registry.declare("UKIM", timedelta(days=10), timedelta(hours=2), severity="WARNING")
    today = datetime.now(UTC).date()

    def keys(query: str = "") -> list[str]:
        root = read(registry, f"method=get_downtime_nested_services{query}")
        return [str(node.get("PRIMARY_KEY")) for node in root]

    here, there = now["primary_key"], later["primary_key"]
    assert keys() == [here, there]
    assert keys("&ongoing_only=yes") == [here]
    assert keys("&ongoing_only=no") == [here, there]
    assert keys("&topentity=UKIM") == [there]
    assert keys("&topentity=NGI_IBERGRID") == [here]
    assert keys("&topentity=North%20Macedonia") == [there]
    assert keys("&topentity=voms.bifi.example") == [here]
    assert keys(f"&windowstart={today + timedelta(days=5)}") == [there]
    assert keys(f"&windowend={today + timedelta(days=5)}") == [here]
    assert keys(f"&windowend={today + timedelta(days=10)}") == [here, there]
    assert keys(f"&startdate={today + timedelta(days=5)}") == [there]
    assert keys(f"&enddate={today + timedelta(days=5)}") == [here]
    assert keys("&all_lastmonth") == [here, there]
    assert keys("&severity=WARNING") == [there]
    assert keys("&classification=SCHEDULED") == [there]
    assert keys("&sitelist=BIFI,CESNET") == [here]
    assert keys("&service_type_list=VOMS") == [here]
    assert keys(f"&id={later['id']}") == [there]
    assert keys("&certification_status=Candidate") == []
    both = read(registry, "method=get_downtime&ongoing_only=yes")
    assert sorted(texts(both, "DOWNTIME/SERVICE_TYPE")) == ["VOMS", OCCI]
    only = read(registry, "method=get_downtime&service_type_list=VOMS")
    assert texts(only, "DOWNTIME/HOSTNAME") == ["voms.bifi.example"]


def test_dates_that_exclude_each_other_are_a_fault(registry: Registry) -> None:
    assert ask(registry, "method=get_downtime&ongoing_only=yes&startdate=2026-01-01").startswith("<error>")
    assert ask(registry, "method=get_downtime&all_lastmonth&windowstart=2026-01-01").startswith("<error>")
    assert "YYYY-MM-DD" in ask(registry, "method=get_downtime&windowstart=tomorrow")


def test_hostile_text_stays_text(registry: Registry) -> None:
    registry.send("PATCH", "/api/v1/sites/BIFI", {"official_name": HOSTILE, "description": HOSTILE})
    registry.declare("BIFI", timedelta(hours=1), timedelta(hours=1), description=HOSTILE)
    site = read(registry, "method=get_site&sitename=BIFI", who="Laura Gil")[0]
    assert site.findtext("OFFICIAL_NAME") == site.findtext("SITE_DESCRIPTION") == HOSTILE
    assert read(registry, "method=get_downtime")[0].findtext("DESCRIPTION") == HOSTILE
    page = registry.ask("GET", "/downtimes", None).text
    assert "<script>alert" not in page


def test_an_unchanged_answer_is_not_sent_again(registry: Registry) -> None:
    first = registry.ask("GET", "/gocdbpi/public/?method=get_service", None)
    again = registry.ask("GET", "/gocdbpi/public/?method=get_service", None,
                         headers={"If-None-Match": first.headers["ETag"]})  # fmt: skip
    assert (again.status_code, again.text) == (304, "")


def test_service_types_are_those_of_the_field(registry: Registry) -> None:
    root = read(registry, "method=get_service_types")
    names = texts(root, "SERVICE_TYPE/SERVICE_TYPE_NAME")
    assert {OCCI, "eu.egi.cloud.accounting", "gLite-APEL", "org.openstack.nova"} <= set(names)
    assert root[0].get("TYPE_ID") == root[0].get("PRIMARY_KEY") == "1G0"

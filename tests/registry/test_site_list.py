"""The list of sites in brief: filters, order, pages, the map; and that it keeps in step with the log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html
from sqlalchemy.orm import Session

from registry import directory, neighbours
from registry.directory import Listed, Wanted
from registry.standing import WORST_FIRST, Standing
from registry.views import mapping, site_list
from registry.views.site_list import Row

from .conftest import Registry


def site(name: str, place: tuple[float, float] | None = (49.2, 16.6), **changes: Any) -> Listed:
    body = {
        "name": name,
        "official_name": f"{name}, the institute",
        "ngi": "NGI_CZ",
        "country": "Czech Republic",
        "country_code": "CZ",
        "location": "Brno",
        "latitude": place[0] if place else None,
        "longitude": place[1] if place else None,
        "certification": "Certified",
        "production": True,
        "scopes": ["EGI"],
        "supports": [{"vo": "training.egi.eu"}],
        "capacity": {"vcpu": 64},
        **changes,
    }
    return directory.listed(name, body)


def row(name: str, kind: str = "ok", **changes: Any) -> Row:
    return Row(site(name), Standing(kind), **changes)


def names(rows: list[Row]) -> list[str]:
    return [one.site.name for one in rows]


# -- order and pages -------------------------------------------------------------------------------------------


def test_the_worst_stand_first_and_equals_by_name() -> None:
    rows = [row("D"), row("C", "down"), row("B"), row("A", "degraded")]
    assert names(site_list.ordered(rows, "")[0]) == ["C", "A", "B", "D"]


def test_what_is_not_known_stands_last_either_way() -> None:
    rows = [row("A"), row("B", usage_age_s=10.0), row("C", usage_age_s=500.0)]
    assert names(site_list.ordered(rows, "usage")[0]) == ["B", "C", "A"]
    assert names(site_list.ordered(rows, "-usage")[0]) == ["C", "B", "A"]


def test_an_order_that_is_none_is_the_usual_one() -> None:
    found, sort = site_list.ordered([row("B"), row("A", "down")], "-'; drop table")
    assert (names(found), sort) == (["A", "B"], "state")


@given(st.integers(0, 130), st.integers(1, 60))
def test_pages_give_every_site_once(count: int, size: int) -> None:
    rows = [row(f"S{number:03}") for number in range(count)]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = site_list.part(rows, cursor, size)
        assert page.total == count
        seen += names(page.rows)
        if page.previous is not None:
            assert site_list.part(rows, page.previous, size).last == page.first - 1
        cursor = page.next
    assert seen == names(rows)


def test_a_cursor_whose_site_is_gone_begins_again() -> None:
    assert names(site_list.part([row("A"), row("B")], "GONE").rows) == ["A", "B"]


def test_a_table_has_what_the_page_shows() -> None:
    columns = site_list.chosen(["vcpu", "ngi", "nonsense"])
    assert [column.key for column in columns] == ["vcpu", "ngi"]
    lines, heads = site_list.table([row("A", "down")], columns)
    assert heads == ["state", "since", "site", "location", "country", "vcpu", "ngi"]
    assert lines[0]["vcpu"] == 64


# -- the map --------------------------------------------------------------------------------------------------------

PLACES = st.one_of(st.none(), st.tuples(st.floats(-90, 90), st.floats(-180, 180)))


@given(
    st.lists(st.tuples(PLACES, st.sampled_from(WORST_FIRST)), max_size=90),
    st.sampled_from(["", "europe", "world"]),
)
def test_every_site_is_on_the_map_or_named_beside_it(found: list[tuple[Any, str]], view: str) -> None:
    sites = [site(f"S{number}", place) for number, (place, _) in enumerate(found)]
    known = {f"S{number}": Standing(kind) for number, (_, kind) in enumerate(found)}
    drawn = mapping.draw(sites, known, view)
    on_it = [name for marker in drawn.markers for name in marker.names]
    assert sorted([*on_it, *drawn.outside, *drawn.unplaced]) == sorted(known)
    assert all(0 <= marker.x <= drawn.width and 0 <= marker.y <= drawn.height for marker in drawn.markers)


def test_neighbours_share_a_marker_of_the_worst_state_that_leads_to_their_area() -> None:
    sites = [site(f"S{n}", (49.2 + n / 1000, 16.6)) for n in range(80)]
    known = {one.name: Standing("down" if one.name == "S7" else "ok") for one in sites}
    drawn = mapping.draw(sites, known)
    worst = drawn.markers[-1]
    assert (worst.kind, sum(marker.count for marker in drawn.markers)) == ("down", 80)
    south, west, north, east = (float(edge) for edge in worst.area.split(","))
    inside = [one for one in sites if Wanted(box=(south, west, north, east)).matches(one)]
    assert {one.name for one in inside} >= set(worst.names)


def test_names_on_the_map_cover_nothing() -> None:
    places = [(36.0 + n % 6 * 4, -8.0 + n // 6 * 5) for n in range(40)]
    sites = [site(f"INSTITUTE-{n}", place) for n, place in enumerate(places)]
    drawn = mapping.draw(sites, {one.name: Standing("ok") for one in sites}, "europe")
    boxes = [
        (m.label_x - (m.anchor == "end") * w - (m.anchor == "middle") * w / 2, m.label_y, w)
        for m in drawn.markers
        if m.label and (w := len(m.label) * mapping.CHARACTER)
    ]
    assert len(boxes) > 20
    for i, (x, y, w) in enumerate(boxes):
        for other_x, other_y, other_w in boxes[:i]:
            apart = (
                x + w <= other_x + 0.2
                or other_x + other_w <= x + 0.2
                or abs(y - other_y) >= mapping.LINE - 0.2
            )
            assert apart, (x, y, other_x, other_y)


def test_an_area_is_looked_at_closely() -> None:
    near = [site("BRNO"), site("PRAHA", (50.1, 14.4))]
    known = {one.name: Standing("ok") for one in near}
    whole, close = (
        mapping.draw(near, known, "europe"),
        mapping.draw(near, known, "europe", box=(49, 14, 50.5, 17)),
    )
    assert close.scale > 3 * whole.scale
    assert len(close.markers) == 2


# -- in step with the log --------------------------------------------------------------------------------------------


def listed(registry: Registry, as_of: str | None = None) -> dict[str, Listed]:
    with registry.db.transaction() as session:
        return {one.name: one for one in directory.sites(registry.db, session, as_of)}


def test_the_list_in_brief_keeps_in_step_with_the_log(registry: Registry) -> None:
    assert set(listed(registry)) == {"BIFI", "CESNET", "UKIM"}
    then = registry.get("/api/v1/sites/UKIM")["revision"]
    registry.send("PATCH", "/api/v1/sites/BIFI", {"name": "BIFI-2", "location": "Zaragoza"})
    assert set(listed(registry)) == {"BIFI-2", "CESNET", "UKIM"}
    assert listed(registry)["BIFI-2"].place == "Zaragoza, Spain"
    assert registry.ask("DELETE", "/api/v1/sites/UKIM").status_code == 204
    assert set(listed(registry)) == {"BIFI-2", "CESNET"}
    assert set(listed(registry, str(then))) == {"BIFI", "CESNET", "UKIM"}


def test_a_look_at_a_revision_to_come_is_kept_as_the_newest(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    then = registry.get("/api/v1/history?limit=1")["items"][0]["revision"]
    read = directory._sites_then

    def after_a_change(session: Session, number: int) -> tuple[Listed, ...]:
        registry.send("PATCH", "/api/v1/sites/BIFI", {"name": "BIFI-2"})
        return read(session, number)

    monkeypatch.setattr(directory, "_sites_then", after_a_change)
    assert set(listed(registry, str(then + 1))) == {"BIFI", "CESNET", "UKIM"}
    monkeypatch.setattr(directory, "_sites_then", read)
    assert set(listed(registry, str(then))) == {"BIFI", "CESNET", "UKIM"}
    assert set(listed(registry, str(then + 1))) == {"BIFI-2", "CESNET", "UKIM"}


def test_who_is_watched_keeps_in_step_with_the_log(registry: Registry) -> None:
    def watched() -> frozenset[str]:
        with registry.db.transaction() as session:
            return directory.look(registry.db, session).monitored

    assert "BIFI" in watched()
    number = registry.get("/api/v1/services?site=BIFI")["items"][0]["id"]
    registry.send("PATCH", f"/api/v1/services/{number}", {"production": False, "monitored": False})
    assert "BIFI" not in watched()


@pytest.mark.parametrize(
    "query",
    ["", "country_code=ES", "ngi=NGI_CZ", "middleware=OpenNebula", "certification=Certified", "vo=training.egi.eu",
     "vo=biomed", "scope=EGI", "scope=Local", "q=bif", "q=spain", "q=%25", "q=institute&country_code=MK"],
)  # fmt: skip
def test_the_page_filters_as_the_api_does(registry: Registry, query: str) -> None:
    said = [one["name"] for one in registry.get(f"/api/v1/sites?{query}")["items"]]
    document = html.fromstring(registry.ask("GET", f"/sites?{query}", None).text)
    assert sorted(str(link.text) for link in document.findall(".//td/a[@class='name']")) == sorted(said)


def test_a_map_marker_leads_to_its_site_and_says_its_state(registry: Registry) -> None:
    registry.send("PATCH", "/api/v1/sites/BIFI", {"latitude": 41.65, "longitude": -0.89})
    document = html.fromstring(registry.ask("GET", "/sites", None).text)
    (marker,) = document.xpath("//*[local-name()='svg']//a[contains(@class, 'marker')]")
    assert marker.get("href") == "/sites/BIFI"
    assert marker.get("aria-label").startswith("BIFI: ")
    words = " ".join(document.text_content().split())
    assert "Not on the map, no place is registered: CESNET, UKIM" in words
    only = html.fromstring(registry.ask("GET", "/sites?view=list", None).text)
    assert not only.xpath("//*[contains(@class, 'marker')]")


def test_the_csv_is_what_is_seen(registry: Registry) -> None:
    answer = registry.ask("GET", "/sites/list.csv?column=vcpu&column=vos&country_code=ES", None)
    assert answer.text.splitlines()[0] == "state,since,site,location,country,vcpu,vos"
    assert len(answer.text.splitlines()) == 2


def test_the_list_of_then_tells_nothing_of_states(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, place in (("BIFI", (41.65, -0.89)), ("UKIM", (42.0, 21.43))):
        there = {"latitude": place[0], "longitude": place[1]}
        registry.send("PATCH", f"/api/v1/sites/{name}", there)
    registry.declare("UKIM", -timedelta(minutes=5), timedelta(hours=2))
    then = registry.get("/api/v1/history?limit=1")["items"][0]["revision"]

    def asked(*_: object) -> None:
        raise AssertionError("a neighbour was asked about the past")

    assert "in downtime" in registry.ask("GET", "/sites", None).text
    monkeypatch.setattr(neighbours, "ask", asked)
    text = registry.ask("GET", f"/sites?as_of={then}&state=downtime&sort=-state", None).text
    assert "States are told of the present only" in text
    document = html.fromstring(text)
    assert [link.text for link in document.xpath("//td/a[@class='name']")] == ["BIFI", "CESNET", "UKIM"]
    assert "State" not in [cell.text_content().strip() for cell in document.xpath("//thead//th")]
    assert not document.xpath("//select[@name='state']")
    main = document.xpath("//main")[0].text_content()
    for word in ("None fails", "in downtime", "failing first", "Last usage", "unknown", "not monitored"):
        assert word not in main, word
    assert {link.get("aria-label") for link in document.xpath("//a[contains(@class, 'marker')]")} == {
        "BIFI",
        "UKIM",
    }
    lines = registry.ask("GET", f"/sites/list.csv?as_of={then}&column=vcpu", None).text.splitlines()
    assert lines[0] == "site,location,country,vcpu"
    assert [line.partition(",")[0] for line in lines[1:]] == ["BIFI", "CESNET", "UKIM"]


def test_what_the_address_says_wrong_is_told_and_left_out(registry: Registry) -> None:
    for query, told in (
        ("state=x", "no such state"),
        ("box=1,2", "cannot be read"),
        ("box=1,2,0,9", "none on Earth"),
    ):
        text = registry.ask("GET", f"/sites?{query}", None).text
        assert told in text
        assert "BIFI" in text


def test_a_whole_outage_is_not_told_of_a_site_where_an_endpoint_still_works(registry: Registry) -> None:
    number = registry.get("/api/v1/services?site=BIFI")["items"][0]["id"]
    registry.send(
        "POST", f"/api/v1/services/{number}/endpoints", {"name": "second", "url": "https://b.example/"}
    )
    first = registry.get(f"/api/v1/services/{number}")["endpoints"][0]["id"]
    registry.declare("BIFI", -timedelta(minutes=5), timedelta(hours=2), endpoints=[first])
    registry.declare("UKIM", -timedelta(minutes=5), timedelta(hours=2))
    with registry.db.transaction() as session:
        assert directory.look(registry.db, session).away.sites == {"UKIM"}


def test_services_are_found_by_a_part_of_host_type_or_site_page_by_page(registry: Registry) -> None:
    for number in range(3):
        registry.register_service("BIFI", hostname=f"s{number}.bifi.example")
    every = [one["hostname"] for one in registry.get("/api/v1/services?q=BIFI.ex")["items"]]
    assert every == ["occi.bifi.example", "s0.bifi.example", "s1.bifi.example", "s2.bifi.example"]
    seen, cursor = [], ""
    while cursor is not None:
        page = registry.get(f"/api/v1/services?q=bifi.ex&limit=2{cursor and f'&cursor={cursor}'}")
        seen += [one["hostname"] for one in page["items"]]
        cursor = page["next"]
    assert seen == every
    assert len(registry.get("/api/v1/services?q=UKI")["items"]) == 1
    assert len(registry.get("/api/v1/services?q=vm-management&site=BIFI&limit=3")["items"]) == 3
    assert registry.get("/api/v1/services?q=bifi&monitored=false")["items"] == []

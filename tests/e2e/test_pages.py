"""Every page that a person of the cast opens: it answers, fits, says nothing to the console, and weighs little.

The pictures are in `screenshots/`: look at them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.peer("chromium"), pytest.mark.timeout(900)]
PICTURES = Path(__file__).resolve().parents[2] / "screenshots"
HEAVIEST = 300_000
TOUR = [
    (None, "registry", "/"),
    (None, "registry", "/sites"),
    (None, "registry", "/services"),
    (None, "registry", "/clouds"),
    (None, "monitoring", "/status"),
    (None, "vomsdb", "/vos"),
    ("Ingrid Holm", "registry", "/"),
    ("Ingrid Holm", "registry", "/sites"),
    ("Ingrid Holm", "registry", "/sites/BIFI"),
    ("Ingrid Holm", "registry", "/sites/BIFI/edit"),
    ("Ingrid Holm", "registry", "/services/1"),
    ("Ingrid Holm", "registry", "/federation"),
    ("Ingrid Holm", "registry", "/roles"),
    ("Ingrid Holm", "registry", "/people"),
    ("Ingrid Holm", "registry", "/history"),
    ("Ingrid Holm", "registry", "/downtimes"),
    ("Ingrid Holm", "accounting", "/usage"),
    ("Ingrid Holm", "accounting", "/publishing"),
    ("Ingrid Holm", "accounting", "/publishing/BIFI"),
    (None, "accounting", "/exports"),
    ("Ingrid Holm", "monitoring", "/incidents"),
    ("Ingrid Holm", "monitoring", "/incidents/1"),
    ("Ingrid Holm", "monitoring", "/probes"),
    ("Ingrid Holm", "vomsdb", "/replication"),
    ("Laura Gil", "registry", "/downtimes/new"),
    ("Laura Gil", "registry", "/mine"),
    ("Laura Gil", "registry", "/sites/BIFI/services/new"),
    ("Laura Gil", "registry", "/downtimes/calendar"),
    ("Laura Gil", "registry", "/downtimes/import"),
    ("Laura Gil", "accounting", "/refused/BIFI"),
    ("Laura Gil", "accounting", "/refused/BIFI/remarks"),
    ("Marta Kowalska", "vomsdb", "/vos/training.egi.eu/queue"),
    ("Marta Kowalska", "vomsdb", "/vos/training.egi.eu/members"),
    ("Anna Lindqvist", "vomsdb", "/me"),
    ("Anna Lindqvist", "vomsdb", "/vos/training.egi.eu/apply"),
]


def open_page(page: Page, address: str) -> list[str]:
    """Opens and waits; what the console said."""
    said: list[str] = []
    page.on(
        "console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: said.append(str(error)))
    weights: list[int] = []
    page.on("response", lambda response: weights.append(int(response.headers.get("content-length", 0))))
    response = page.goto(address)
    assert response is not None
    assert response.status == 200, address
    page.wait_for_load_state("load")
    assert sum(weights) < HEAVIEST, f"{address} weighs {sum(weights)} bytes"
    return said


@pytest.mark.parametrize(("who", "service", "path"), TOUR)
def test_the_page_answers_and_fits(
    told: dict[str, Any], signed_in: Callable[..., Page], who: str | None, service: str, path: str
) -> None:
    address = told["services"][service]["url"] + path
    name = f"{(who or 'nobody').split()[0].lower()}{path.replace('/', '-').rstrip('-')}"
    PICTURES.mkdir(exist_ok=True)
    page = signed_in(who)
    assert open_page(page, address) == []
    assert page.locator("h1").count() == 1
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
    page.set_viewport_size({"width": 360, "height": 780})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.screenshot(path=PICTURES / f"{name}-phone.png", full_page=True)


MATRIX = Path(__file__).resolve().parents[1] / "architecture" / "routes" / "registry.txt"
NAMES = {"/ngis/": "NGI_CZ", "/service-types/": "eu.egi.cloud.vm-management.occi", "/scopes/": "EGI"}


def registry_pages() -> list[str]:
    """Every GET route of the registry that is no API, filled with what the demo has."""
    found = []
    for line in MATRIX.read_text().splitlines():
        match = re.search(r"\bGET (/\S*): ", line)
        if match and not re.match(r"/(api|v1|gocdbpi|gocdb|assets|healthz|readyz|metrics|openapi)", match[1]):
            name = next((name for place, name in NAMES.items() if match[1].startswith(place)), "BIFI")
            found.append(re.sub(r"<int:\w+>", "1", match[1]).replace("<name>", name).replace("<site>", name))
    return [path for path in found if "<" not in path]


@pytest.mark.parametrize("who", [None, "Ingrid Holm", "Laura Gil", "Anna Lindqvist"])
def test_every_page_of_the_registry_opens_and_fits_for_each_of_the_cast(
    told: dict[str, Any], signed_in: Callable[..., Page], who: str | None
) -> None:
    page, base = signed_in(who), told["services"]["registry"]["url"]
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    opened = 0
    for path in registry_pages():
        head = page.request.head(base + path)
        assert head.status in (200, 401, 403, 404), f"{path}: {head.status}"
        if head.status != 200 or not head.headers.get("content-type", "").startswith("text/html"):
            continue
        page.goto(base + path)
        opened += 1
        for width in (1440, 360):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{path} at {width}"
        assert page.locator("h1").count() == 1, path
    assert said == []
    assert opened > (12 if who is None else 20), f"{opened} pages opened"


def test_what_would_be_refused_shows_while_somebody_types(
    told: dict[str, Any], signed_in: Callable[..., Page]
) -> None:
    page = signed_in("Laura Gil")
    assert open_page(page, told["services"]["registry"]["url"] + "/sites/BIFI/services/new") == []
    page.select_option("select[name=service_type]", "eu.egi.cloud.vm-management.occi")
    page.fill("input[name=hostname]", "occi.bifi.example")
    page.fill("input[name=url]", "occi.bifi.example:8787")
    page.locator("input[name=host_os]").focus()
    page.locator("#about-url .fault").wait_for()
    assert "would be refused" in page.inner_text("#checked")
    page.fill("input[name=url]", "https://occi.bifi.example:8787/")
    page.locator("input[name=host_os]").focus()
    page.locator("#checked .mark.ok").wait_for()
    assert page.locator(".fault").count() == 0
    assert page.input_value("input[name=hostname]") == "occi.bifi.example"


def test_the_map_is_drawn_and_reached_by_the_keyboard(
    told: dict[str, Any], signed_in: Callable[..., Page]
) -> None:
    page = signed_in(None)
    assert open_page(page, told["services"]["registry"]["url"] + "/sites") == []
    land = page.evaluate("document.querySelector('.map .land').getBBox().width")
    assert land > 500
    marker = page.locator(".map a.marker", has_text="BIFI")
    marker.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/sites/BIFI")


def test_a_page_that_is_not_for_everybody_says_for_whom_it_is(
    told: dict[str, Any], signed_in: Callable[..., Page]
) -> None:
    page = signed_in(None)
    response = page.goto(told["services"]["vomsdb"]["url"] + "/vos/training.egi.eu/queue")
    assert response is not None
    assert response.status == 401
    assert "VO manager" in page.inner_text("main")
    assert page.locator("a[href*='/signin']").count() >= 1


def test_one_sign_in_counts_at_all_four_services(
    told: dict[str, Any], signed_in: Callable[..., Page]
) -> None:
    page = signed_in("Ingrid Holm")
    for service, path in (
        ("accounting", "/publishing"),
        ("monitoring", "/incidents"),
        ("vomsdb", "/replication"),
    ):
        page.goto(told["services"][service]["url"] + path)
        assert "Ingrid Holm" in page.inner_text("header")


def test_home_works_in_the_dark(told: dict[str, Any], signed_in: Callable[..., Page]) -> None:
    page = signed_in("Ingrid Holm", scheme="dark")
    assert open_page(page, told["services"]["registry"]["url"] + "/") == []
    ground = page.evaluate("getComputedStyle(document.querySelector('header')).backgroundColor")
    assert sum(int(part) for part in re.findall(r"\d+", ground)[:3]) < 150, ground
    page.screenshot(path=PICTURES / "ingrid-dark.png", full_page=True)

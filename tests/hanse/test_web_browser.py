"""The pages in Chromium: nothing that the policy forbids, no sideways scrolling, keys, and a phone. Pictures are kept
in `screenshots/` for people to look at.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Response
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from hanse.identity.permissions import PUBLIC
from hanse.web import Pages, page
from tests.hanse.web_service import WebHouse, build, token_of
from tests.hanse.web_showcase import showcase
from tests.tls import serving

ROOT = Path(__file__).resolve().parents[2]
SHOTS = ROOT / "screenshots"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
pytestmark = pytest.mark.peer("chromium")


def gallery() -> Pages:
    pages = Pages("gallery", __name__)

    @pages.get("/components", permission=PUBLIC)
    def components() -> Response:
        sentence = "States that the other pictures do not show."
        return page("components.html", title="Components", sentence=sentence, refresh_s=30, **showcase())

    @pages.get("/now", permission=PUBLIC)
    def now() -> Response:
        return page("home.html", title="Tuesday 24 November 2026", api="/api/v1/overview", **showcase())

    return pages


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield browser
        browser.close()


class Visit:
    """A window on the service; what the browser complained about is kept."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.page: Page = context.new_page()
        self.url = url
        self.complaints: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def sign_in(self, person: str) -> None:
        self.page.goto(f"{self.url}/signin?next=/sites")
        self.page.get_by_label("Token", exact=True).fill(token_of(person))
        self.page.get_by_role("button", name="Sign in with the token").click()
        self.page.wait_for_url(f"{self.url}/sites")


@pytest.fixture
def address(web_house: WebHouse) -> Iterator[str]:
    house = build(web_house.db, web_house.settings, extra=[gallery()], badges=lambda: {"Home": 1})
    with serving(house.app) as url:
        yield url


def visit(chromium: Browser, address: str, **options: Any) -> Visit:
    context = chromium.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
    context.set_default_timeout(20_000)
    return Visit(context, address)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 800, 360])
def test_pages_fit_their_window_and_break_no_policy(
    chromium: Browser, address: str, width: int, scheme: Any
) -> None:
    seen = visit(chromium, address, viewport={"width": width, "height": 900}, color_scheme=scheme)
    seen.sign_in("Eliška Malá")
    SHOTS.mkdir(exist_ok=True)
    for name in ("components", "now", "sites", "signin"):
        seen.page.goto(f"{address}/{name}")
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        seen.page.screenshot(path=SHOTS / f"{name}-{width}-{scheme}.png", full_page=True)
    assert seen.complaints == []


def test_keys_move_search_and_tell_themselves(chromium: Browser, address: str) -> None:
    seen = visit(chromium, address)
    seen.page.goto(f"{address}/now")
    seen.page.keyboard.press("j")
    seen.page.keyboard.press("j")
    assert seen.page.evaluate("document.activeElement.textContent") == "LUSO-COMPUTE"
    seen.page.keyboard.press("k")
    assert seen.page.evaluate("document.activeElement.textContent") == "BIFI"
    seen.page.keyboard.press("?")
    assert seen.page.locator("dialog#keys").is_visible()
    seen.page.keyboard.press("Escape")
    seen.page.keyboard.press("/")
    assert seen.page.evaluate("document.activeElement.name") == "q"
    seen.page.keyboard.type("gs?")  # while typing no key acts
    assert seen.page.locator("header > form input[name=q]").input_value() == "gs?"
    seen.page.locator("h1").click()
    seen.page.keyboard.press("g")
    seen.page.keyboard.press("s")
    seen.page.wait_for_url(f"{address}/sites")
    assert seen.complaints == []


def test_keys_can_be_switched_off(chromium: Browser, address: str) -> None:
    seen = visit(chromium, address)
    seen.page.goto(f"{address}/now")
    seen.page.keyboard.press("?")
    seen.page.get_by_label("Keys are on").uncheck()
    seen.page.get_by_role("button", name="Close").click()
    seen.page.reload()
    seen.page.keyboard.press("j")
    assert seen.page.locator("tr.at").count() == 0


def test_a_day_of_the_bar_is_told_by_arrow_keys(chromium: Browser, address: str) -> None:
    seen = visit(chromium, address)
    seen.page.goto(f"{address}/components")
    bar = seen.page.locator("svg[data-days]").first
    bar.focus()
    seen.page.keyboard.press("ArrowLeft")
    tip = seen.page.locator(".day-tip").first
    assert tip.inner_text() == "Tue 24 Nov 2026: in order"
    for _ in range(9):
        seen.page.keyboard.press("ArrowLeft")
    assert tip.inner_text() == "Sun 15 Nov 2026: degraded"


def test_a_live_page_changes_in_place_and_asks_with_its_etag(chromium: Browser, address: str) -> None:
    seen = visit(chromium, address)
    seen.page.goto(f"{address}/components")
    seen.page.locator("details.as-table summary").first.click()
    answers: list[int] = []
    seen.page.on("response", lambda r: answers.append(r.status) if r.url.endswith("/components") else None)
    with seen.page.expect_response("**/components"):
        seen.page.evaluate("htmx.trigger('#main', 'hanse:refresh')")
    seen.page.wait_for_timeout(300)
    assert answers[0] in (200, 304)
    assert seen.page.locator("details.as-table[open]").count() == 1
    assert seen.page.locator("button[data-copy]").first.is_visible()
    assert seen.complaints == []


def test_without_script_forms_and_links_work(chromium: Browser, address: str) -> None:
    seen = visit(chromium, address, java_script_enabled=False)
    seen.sign_in("Eliška Malá")
    seen.page.get_by_role("button", name="Close CESNET").click()
    seen.page.wait_for_url(f"{address}/sites")
    assert not seen.page.locator("button[data-copy]").first.is_visible()
    seen.page.locator("details.person summary").click()
    seen.page.get_by_role("button", name="Sign out").first.click()
    seen.page.wait_for_url(f"{address}/**")
    seen.page.goto(f"{address}/sites")
    assert seen.page.locator("header a.signin").is_visible()


def test_a_phone_has_the_menu_behind_one_button(chromium: Browser, address: str) -> None:
    seen = visit(chromium, address, viewport={"width": 360, "height": 740}, has_touch=True)
    seen.sign_in("Ingrid Holm")
    assert not seen.page.locator("header > nav.sections").is_visible()
    seen.page.locator("details.menu summary").tap()
    seen.page.locator("details.menu").get_by_role("link", name="Sites").tap()
    seen.page.wait_for_url(f"{address}/sites")
    for box in [button.bounding_box() for button in seen.page.locator("main .button").all()]:
        assert box is not None
        assert box["height"] >= 36

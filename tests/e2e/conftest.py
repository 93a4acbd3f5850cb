"""The demo federation, with a browser to look at it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.demo.conftest import Federation, federation

__all__ = ["federation"]

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def told(federation: Federation) -> dict[str, Any]:
    """What `hanse demo status --json` says; the story has been played once, so there is something to see."""
    story = federation.hanse("story", "--seed", "7")
    assert story.returncode == 0, story.stdout + story.stderr
    found: dict[str, Any] = json.loads(federation.hanse("status", "--json").stdout)
    return found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def signed_in_once() -> dict[str, Any]:
    """The cookies of each person who has signed in: more than a few sign-ins a minute are refused, to anybody."""
    return {}


@pytest.fixture
def signed_in(
    chromium: Browser, told: dict[str, Any], signed_in_once: dict[str, Any]
) -> Iterator[Callable[..., Page]]:
    """`signed_in("Ingrid Holm", width=1440)`: a page of a browser in which that person has signed in; None = nobody."""
    contexts = []

    def sign_in(name: str | None, width: int = 1440, scheme: str = "light") -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,  # type: ignore[arg-type]
            storage_state=signed_in_once.get(name or ""),
        )
        contexts.append(context)
        page = context.new_page()
        if name is not None and name not in signed_in_once:
            tokens = {person["name"]: person["token"] for person in told["people"]}
            page.goto(told["services"]["registry"]["url"] + "/signin")
            page.fill("input[name=token]", tokens[name])
            # The page that stands there is loaded already: what is waited for is the one behind the form.
            with page.expect_navigation(url=lambda url: "/signin" not in url):
                page.press("input[name=token]", "Enter")
            signed_in_once[name] = context.storage_state()
        return page

    yield sign_in
    for context in contexts:
        context.close()

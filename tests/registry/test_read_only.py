"""A fail-over copy: everything can be read, every change is refused with 503 and the reason, through every room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from registry.app import create_app
from registry.jobs import jobs
from registry.models import PersonalRead

from .conftest import Registry, close

REASON = "The first registry is being moved until 18:00."


@pytest.fixture
def copy(registry: Registry) -> Iterator[Registry]:
    """The filled registry once more, as a copy that only answers."""
    settings = registry.settings.model_copy(
        update={"read_only": True, "read_only_reason": REASON, "banner": "Test data."}
    )
    copied = Registry(create_app(settings), registry.db, settings, dict(registry.tokens))
    yield copied
    close(copied)


def test_every_route_that_changes_something_says_why_not(copy: Registry) -> None:
    with copy.app.app_context():
        writing = [
            (method, rule.rule)
            for rule in copy.app.url_map.iter_rules()
            for method in (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}
            if not rule.rule.startswith("/sign")
        ]
    assert len(writing) > 50
    for method, rule in writing:
        path = rule.replace("<path:write>", "v5/site/1")
        while "<" in path:
            begin, end = path.index("<"), path.index(">")
            path = path[:begin] + "1" + path[end + 1 :]
        answer = copy.ask(method, path)
        assert answer.status_code == 503, (method, rule, answer.status_code)
        assert REASON in answer.text, (method, rule)


def test_reading_and_signing_in_go_on(copy: Registry) -> None:
    assert len(copy.get("/api/v1/sites")["items"]) == 3
    assert copy.get("/api/v1/people")["items"]
    client = copy.app.test_client()
    signed = client.post("/signin", data={"token": copy.tokens["Laura Gil"], "next": "/account"})
    assert signed.status_code == 303
    assert "Laura Gil" in client.get("/account").text


def test_every_page_says_so(copy: Registry) -> None:
    for path in ("/sites", "/account", "/sites/BIFI", "/nowhere"):
        page = copy.ask("GET", path).text
        assert f'<p class="banner" role="note">{REASON}</p>' in page, path
        assert "Test data." in page
    assert "banner" not in Registry(create_app(copy.settings.model_copy(update={"read_only": False, "banner": ""})),
                                    copy.db, copy.settings, copy.tokens).ask("GET", "/sites").text  # fmt: skip


def test_the_copy_writes_nothing_of_its_own(copy: Registry) -> None:
    copy.get("/api/v1/people", "Laura Gil")
    assert copy.get("/api/v1/me", "Laura Gil")["last_login_at"] is None
    with copy.db.transaction() as session:
        assert session.scalars(select(PersonalRead)).all() == []
    assert jobs(copy.settings, copy.db) == []

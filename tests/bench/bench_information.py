"""The information system at 1,000 sites, 20,000 services, 100 clouds that publish: GLUE, publishing, search, drift.

Beside the whole tree: fetching the bodies of the same rows, in the same database, by plain psycopg.
"""

from __future__ import annotations

import psycopg

from registry.app import create_app
from tests.bench.big_registry import FULL, Size, big_registry
from tests.bench.clouds import document
from tests.bench.measure import both, line, times
from tests.registry.clouds import encoded
from tests.registry.conftest import Registry, close

LIMIT_MS = 50
ROWS = "select body from history where kind in ('site', 'service') and to_revision is null and op = 'put'"


def main(size: Size = FULL) -> None:
    """Print the table."""
    made = big_registry(size)
    registry = Registry(create_app(made.settings), made.db, made.settings, made.tokens)
    names = [f"SITE-{n:04}" for n in range(1, size.sites + 1)][:100]
    try:
        publishing(registry, names)
        reading(registry, names)
        with psycopg.connect(made.db.url.replace("postgresql+psycopg", "postgresql")) as plain:
            whole(registry, plain)
    finally:
        close(registry)


def publishing(registry: Registry, names: list[str]) -> None:
    """One document after the other, then the same text again."""
    contents = [encoded(document(name)) for name in names]

    def publish(number: int, status: int) -> None:
        site = names[number % len(names)]
        answer = registry.ask("PUT", f"/v1/sites/{site}/cloudinfo", data=contents[number % len(names)])
        assert answer.status_code == status, answer.text[:300]

    both("publish a new document", times(lambda number: publish(number, 202), len(names) - 5, 5))
    both("publish the same text again", times(lambda number: publish(number, 204)), limit=LIMIT_MS)
    line("size of a document", len(contents[0]) / 1000, "kB")


def reading(registry: Registry, names: list[str]) -> None:
    """What programs and people ask."""
    for name, path, who in (
        ("a site as LDIF", "/api/v1/sites/{}/glue2.ldif", None),
        ("a site as GLUE 2.1 JSON", "/api/v1/sites/{}/glue21.json", None),
        ("drift of a site", "/api/v1/sites/{}/drift", "Ingrid Holm"),
        ("search: VO, cores, image", "/api/v1/clouds?vo=chipster&cores=4&image=ubuntu&limit=20", None),
        ("page /clouds", "/clouds?vo=chipster&cores=4", None),
        ("drift of all sites", "/api/v1/drift", "Ingrid Holm"),
        ("cloud-info-api /sites/", "/sites/", None),
    ):

        def call(number: int, path: str = path, who: str | None = who) -> None:
            answer = registry.ask("GET", path.format(names[number % len(names)]), who)
            assert answer.status_code == 200, answer.text[:300]

        both(name, times(call, 40), limit=LIMIT_MS)


def whole(registry: Registry, plain: psycopg.Connection) -> None:
    """The tree of all sites, as a BDII fetches it."""

    def ask(path: str) -> int:
        answer = registry.ask("GET", path, None)
        assert answer.status_code == 200
        return len(answer.data)

    fetched = times(lambda _: plain.execute(ROWS).fetchall(), 3, 1)
    for form in ("glue2.ldif", "glue2.xml", "glue21.json"):
        taken = times(lambda _, form=form: ask(f"/api/v1/{form}"), 3, 1)
        line(f"all sites as {form}, p50", taken.p50, "ms", "plain fetch of the rows", fetched.p50)
    line("size of glue2.ldif", ask("/api/v1/glue2.ldif") / 1e6, "MB")

"""Lists and single reads of the registry at 1,000 sites and 20,000 services: p95 below 50 ms (issue 3).

Beside each: fetching the bodies of the same rows, in the same database, by plain psycopg.
"""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from registry.app import create_app
from tests.bench.big_registry import FULL, Size, big_registry
from tests.bench.measure import Times, both, line, times
from tests.bench.stand_in import StandIn
from tests.registry.conftest import Registry, close

LIMIT_MS = 50
OPEN = "to_revision is null and op = 'put'"
SITES = f"select entity_id, body from history where kind = 'site' and {OPEN}"
SERVICES = f"""select entity_id, body from history where kind = 'service' and {OPEN}
    and length(entity_id) >= 1 order by length(entity_id), entity_id limit 51"""
ONE_SITE = f"select entity_id, body from history where kind = 'site' and body ->> 'name' collate \"C\" = %s and {OPEN}"
ONE_SERVICE = f"select entity_id, body from history where kind = 'service' and entity_id = %s and {OPEN}"


def main(size: Size = FULL) -> None:
    """Print the table."""
    made = big_registry(size)
    names = [f"SITE-{n:04}" for n in range(1, size.sites + 1)]
    others = StandIn(names)
    urls = {f"{name}_url": others.url(name) for name in ("monitoring", "accounting", "vomsdb")}
    settings = made.settings.model_copy(update=urls)
    registry = Registry(create_app(settings), made.db, settings, made.tokens)
    with made.db.transaction() as session:
        services = [str(row[0]) for row in session.connection().exec_driver_sql("select id from service")]
    try:
        with psycopg.connect(made.db.url.replace("postgresql+psycopg", "postgresql")) as plain:
            pages(registry, plain, names, services)
    finally:
        others.close()
        close(registry)


def pages(registry: Registry, plain: psycopg.Connection, names: list[str], services: list[str]) -> None:
    """The pages, then the same through the API."""

    def ask(path: Callable[[int], str], who: str | None = "Ingrid Holm") -> Times:
        def call(number: int) -> None:
            answer = registry.ask("GET", path(number), who)
            assert answer.status_code == 200, f"{path(number)}: {answer.status_code} {answer.text[:200]}"

        return times(call)

    def fetch(statement: str, argument: Callable[[int], str] | None = None) -> Times:
        def call(number: int) -> None:
            plain.execute(statement, None if argument is None else (argument(number),)).fetchall()

        return times(call)

    def site(number: int) -> str:
        return names[number * 37 % len(names)]

    def service(number: int) -> str:
        return services[number * 911 % len(services)]

    every, some = fetch(SITES), fetch(SERVICES)
    one_site, one_service = fetch(ONE_SITE, site), fetch(ONE_SERVICE, service)
    kinds = ("OpenStack", "OpenNebula", "Synnefo")
    for name, path, peer in (
        ("page /sites", lambda n: "/sites", every),
        (
            "page /sites, filtered",
            lambda n: f"/sites?middleware={kinds[n % 3]}&vo=biomed&q=site-0{n % 10}",
            every,
        ),
        ("page /sites, sorted, third page", lambda n: f"/sites?sort=-vcpu&cursor={site(n)}", every),
        ("page /services", lambda n: "/services", some),
        ("page /services, filtered", lambda n: f"/services?q=s{n % 20}.site-0&monitored=true", some),
        ("page /sites/NAME", lambda n: f"/sites/{site(n)}", one_site),
        ("page /services/ID", lambda n: f"/services/{service(n)}", one_service),
        ("page /downtimes", lambda n: "/downtimes", some),
        ("page /", lambda n: "/", every),
        ("API /sites, 100", lambda n: "/api/v1/sites", every),
        ("API /services, 100", lambda n: "/api/v1/services", some),
        ("API /sites/NAME", lambda n: f"/api/v1/sites/{site(n)}", one_site),
        ("API /services/ID", lambda n: f"/api/v1/services/{service(n)}", one_service),
        ("API /downtimes, 100", lambda n: "/api/v1/downtimes", some),
    ):
        both(name, ask(path), "psycopg", peer, limit=LIMIT_MS)
    weight = len(registry.ask("GET", "/sites").data) / 1000
    line("page /sites, weight", weight, "kB", limit=300)


if __name__ == "__main__":
    main()

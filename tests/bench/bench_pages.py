"""Every list page and single read of the registry at 1,000 sites and 20,000 services: p95 below 50 ms.

Beside each: fetching the bodies of the same rows, in the same database, by plain psycopg.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg

from registry.app import create_app
from tests.bench import big_people
from tests.bench.big_registry import FULL, Size, big_registry
from tests.bench.measure import Times, both, line, times
from tests.bench.stand_in import StandIn
from tests.registry.conftest import Registry, close

LIMIT_MS = 50
OPEN = "to_revision is null and op = 'put'"
EVERY = f"select entity_id, body from history where kind = '{{}}' and {OPEN}"
SOME = f"{EVERY} order by length(entity_id), entity_id limit 51"
NAMED = f"{EVERY} and body ->> 'name' collate \"C\" = %s"
NUMBERED = f"{EVERY} and entity_id = %s"
LATEST = """select h.body, r.reason from history h join revision r on r.number = h.from_revision
    order by h.id desc limit 100"""
PEOPLE = """select p.*, c.oidc_subject, r.role from person p join credential c on c.person_id = p.id
    left join role r on r.person_id = p.id order by p.id limit 51"""
FACTS = "select facts from cloud_document where current"
KINDS = ("OpenStack", "OpenNebula", "Synnefo")
Path = Callable[[int], str]


@dataclass(frozen=True)
class Read:
    """What is asked, `path(n)` for the n-th time, and the same rows as SQL, with `argument(n)` where it takes one."""

    name: str
    path: Path
    peer: str
    argument: Path | None = None


@dataclass(frozen=True)
class Things:
    """Names and numbers to ask for."""

    sites: list[str]
    services: list[str]
    downtimes: list[str]
    people: list[str]

    def site(self, number: int) -> str:
        """One site after the other, not in their order."""
        return self.sites[number * 37 % len(self.sites)]

    def service(self, number: int) -> str:
        """One service."""
        return self.services[number * 911 % len(self.services)]

    def downtime(self, number: int) -> str:
        """One downtime."""
        return self.downtimes[number * 911 % len(self.downtimes)]

    def person(self, number: int) -> str:
        """One person."""
        return self.people[number * 37 % len(self.people)]


def main(size: Size = FULL) -> None:
    """Print the table."""
    made = big_registry(size)
    names = [f"SITE-{n:04}" for n in range(1, size.sites + 1)]
    others = StandIn(names)
    urls = {f"{name}_url": others.url(name) for name in ("monitoring", "accounting", "vomsdb")}
    settings = made.settings.model_copy(update=urls)
    registry = Registry(create_app(settings), made.db, settings, made.tokens)
    big_people.add(registry)
    calls = 100 if size is FULL else 20
    try:
        with psycopg.connect(made.db.url.replace("postgresql+psycopg", "postgresql")) as plain:
            things = Things(names, *(_ids(plain, table) for table in ("service", "downtime", "person")))
            for read in (*pages(things), *reads(things)):
                _measure(registry, plain, read, calls)
        weight = len(registry.ask("GET", "/sites").data) / 1000
        line("page /sites, weight", weight, "kB", limit=300)
    finally:
        others.close()
        close(registry)


def _ids(plain: psycopg.Connection, table: str) -> list[str]:
    return [str(row[0]) for row in plain.execute(f"select id from {table} order by id").fetchall()]  # type: ignore[arg-type]


def _measure(registry: Registry, plain: psycopg.Connection, read: Read, calls: int) -> None:
    def ask(number: int) -> None:
        answer = registry.ask("GET", read.path(number))
        assert answer.status_code == 200, f"{read.path(number)}: {answer.status_code} {answer.text[:200]}"

    def fetch(number: int) -> None:
        plain.execute(
            read.peer,
            None if read.argument is None else (read.argument(number),),  # type: ignore[arg-type]
        ).fetchall()

    found: Times = times(ask, calls)
    both(read.name, found, "psycopg", times(fetch, calls), limit=LIMIT_MS)


def pages(of: Things) -> Iterator[Read]:
    """The pages: lists, then one thing each."""
    sites, services, downtimes = EVERY.format("site"), SOME.format("service"), SOME.format("downtime")
    yield Read("page /", lambda n: "/", sites)
    yield Read("page /sites", lambda n: "/sites", sites)
    yield Read(
        "page /sites, filtered",
        lambda n: f"/sites?middleware={KINDS[n % 3]}&vo=biomed&q=site-0{n % 10}",
        sites,
    )
    yield Read("page /sites, sorted, third page", lambda n: f"/sites?sort=-vcpu&cursor={of.site(n)}", sites)
    yield Read("page /sites, as of 2.5 years ago", lambda n: "/sites?as_of=30000", sites)
    yield Read("page /services", lambda n: "/services", services)
    yield Read("page /services, filtered", lambda n: f"/services?q=s{n % 20}.site-0&monitored=true", services)
    yield Read("page /downtimes", lambda n: "/downtimes", downtimes)
    yield Read("page /downtimes, past", lambda n: "/downtimes?state=ended", downtimes)
    yield Read("page /downtimes/calendar", lambda n: "/downtimes/calendar", downtimes)
    yield Read("page /clouds", lambda n: "/clouds", FACTS)
    yield Read("page /clouds, filtered", lambda n: "/clouds?vo=chipster&cores=4", FACTS)
    yield Read("page /drift", lambda n: "/drift", FACTS)
    for path in ("/people", "/roles"):
        yield Read(f"page {path}", lambda n, path=path: path, PEOPLE)
    for path in ("/history", "/mine", "/federation", "/certification"):
        yield Read(f"page {path}", lambda n, path=path: path, LATEST)
    yield Read("page /history of a site", lambda n: f"/history?site={of.site(n)}", LATEST)
    yield Read("page /history of an NGI", lambda n: "/history?ngi=NGI_DE", LATEST)
    for path, kind, name in RECORDS:
        yield Read(f"page {path}", lambda n, path=path: path, SOME.format(kind))
        yield Read(
            f"page {path}/NAME",
            lambda n, path=path, name=name: f"{path}/{name}",
            NAMED.format(kind),
            lambda n, name=name: name,
        )
    yield Read("page /sites/NAME", lambda n: f"/sites/{of.site(n)}", NAMED.format("site"), of.site)
    yield Read("page /sites/NAME/drift", lambda n: f"/sites/{of.site(n)}/drift", FACTS)
    yield Read(
        "page /services/ID", lambda n: f"/services/{of.service(n)}", NUMBERED.format("service"), of.service
    )
    yield Read(
        "page /downtimes/ID",
        lambda n: f"/downtimes/{of.downtime(n)}",
        NUMBERED.format("downtime"),
        of.downtime,
    )
    yield Read("page /people/ID", lambda n: f"/people/{of.person(n)}", PEOPLE)


RECORDS = (
    ("/ngis", "ngi", "NGI_DE"),
    ("/projects", "project", "Project1"),
    ("/service-groups", "service_group", "GROUP-1"),
    ("/service-types", "service_type", "org.openstack.nova"),
    ("/scopes", "scope", "EGI"),
)


def reads(of: Things) -> Iterator[Read]:
    """The same through the API."""
    for path, kind in (
        ("sites", "site"),
        ("services", "service"),
        ("endpoints", "endpoint"),
        ("downtimes", "downtime"),
    ):
        yield Read(f"API /{path}, 100", lambda n, path=path: f"/api/v1/{path}", SOME.format(kind))
    yield Read("API /sites/NAME", lambda n: f"/api/v1/sites/{of.site(n)}", NAMED.format("site"), of.site)
    for kind, path, one in (
        ("service", "services", of.service),
        ("endpoint", "endpoints", of.service),
        ("downtime", "downtimes", of.downtime),
    ):
        yield Read(
            f"API /{path}/ID",
            lambda n, path=path, one=one: f"/api/v1/{path}/{one(n)}",
            NUMBERED.format(kind),
            one,
        )
    for path, kind, name in RECORDS:
        yield Read(f"API {path}", lambda n, path=path: f"/api/v1{path}", SOME.format(kind))
        yield Read(
            f"API {path}/NAME",
            lambda n, path=path, name=name: f"/api/v1{path}/{name}",
            NAMED.format(kind),
            lambda n, name=name: name,
        )
    for path in ("people", "roles", "role-requests", "role-actions"):
        yield Read(f"API /{path}", lambda n, path=path: f"/api/v1/{path}", PEOPLE)
    yield Read("API /people/ID", lambda n: f"/api/v1/people/{of.person(n)}", PEOPLE)
    for path in ("history", "overview", "certification-changes"):
        yield Read(f"API /{path}", lambda n, path=path: f"/api/v1/{path}", LATEST)
    yield Read("API /history of a site", lambda n: f"/api/v1/sites/{of.site(n)}/history", LATEST)
    yield Read("API /clouds, 100", lambda n: "/api/v1/clouds", FACTS)
    yield Read("API /drift", lambda n: "/api/v1/drift", FACTS)
    yield Read("API /changes since 0, 500", lambda n: "/api/v1/changes?since=0", EVERY.format("site"))


if __name__ == "__main__":
    main()

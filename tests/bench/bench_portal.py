"""Views of usage: p95 below 100 ms by site, NGI, country, VO, discipline, month; pivots within a VO below 1 s.

Beside each the bare query over the same rows by plain psycopg. HANSE_BENCH_MACHINES sets how many machine-months.
"""

from __future__ import annotations

import os

import psycopg

from tests.bench.big_portal import TOKEN, Portal, big_portal
from tests.bench.measure import Times, both, line, times

VIEW_MS, PIVOT_MS = 100, 1000
SMALL = 60_000
MONTHS = "kind = 'cloud' and month between %(first)s and %(last)s"
PLACE = """join (select body ->> 'name' as site, body ->> '{0}' as {0} from followed where kind = 'site') p
    using (site)"""
FIELD = """join (select body ->> 'name' as vo, body ->> 'discipline' as discipline from followed where kind = 'vo') f
    using (vo)"""
CPU = "month, sum(cpu_s) from usage_month"
PEERS = {
    "site": f"select site, {CPU} where {MONTHS} group by 1, 2",
    "ngi": f"select ngi, {CPU} {PLACE.format('ngi')} where {MONTHS} group by 1, 2",
    "country": f"select country, {CPU} {PLACE.format('country')} where {MONTHS} group by 1, 2",
    "vo": f"select vo, {CPU} where {MONTHS} group by 1, 2",
    "discipline": f"select discipline, {CPU} {FIELD} where {MONTHS} group by 1, 2",
}
WITHIN = "vo = %(vo)s and month between %(first)s and %(last)s"
PIVOTS = {
    ("user", "month"): f"select user_name, month, sum(cpu_s) from usage_summary where {WITHIN} group by 1, 2",
    ("image", "site"): f"select image, site, sum(cpu_s) from usage_summary where {WITHIN} group by 1, 2",
    ("user", "image"): f"select user_name, image, sum(cpu_s) from usage_summary where {WITHIN} group by 1, 2",
}


def main(machine_months: int = 0) -> None:
    """Print the table."""
    many = machine_months or int(os.environ.get("HANSE_BENCH_MACHINES", "600000"))
    portal = big_portal(many)
    line("machine-months stored", many, "")
    with psycopg.connect(portal.db.url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as plain:
        views(portal, plain)
        pivots(portal, plain)


def views(portal: Portal, plain: psycopg.Connection) -> None:
    """The page and the API by each dimension that is rolled up."""
    given = {"first": portal.months[-1], "last": portal.months[0]}
    for by, statement in PEERS.items():
        peer = fetched(plain, statement, given)
        both(f"page /usage by {by}", asked(portal, f"/usage?by={by}"), "psycopg", peer, limit=VIEW_MS)
        both(
            f"API /usage by {by}, month",
            asked(portal, f"/api/v1/usage?by={by},month"),
            "psycopg",
            peer,
            limit=VIEW_MS,
        )
    peer = fetched(plain, PEERS["vo"], given)
    months = asked(portal, "/usage?by=vo&pivot=vo,month&site=SITE-07")
    both("page /usage, VO by month of a site", months, "psycopg", peer, limit=VIEW_MS)


def pivots(portal: Portal, plain: psycopg.Connection) -> None:
    """Users and images within one VO: by the API, and as the page shows them."""
    for (rows, columns), statement in PIVOTS.items():
        peer = times(
            lambda n, query=statement: plain.execute(query, _within(portal, n)).fetchall(),
            calls=20,
            warm=2,  # type: ignore[misc]
        )
        path = f"/api/v1/usage?by={rows},{columns}&vo=vo-%s.example.org"
        both(
            f"API /usage, {rows} by {columns} of a VO",
            asked(portal, path, 20),
            "psycopg",
            peer,
            limit=PIVOT_MS,
        )
        path = f"/usage?by={rows}&pivot={rows},{columns}&vo=vo-%s.example.org"
        both(
            f"page /usage, {rows} by {columns} of a VO",
            asked(portal, path, 20),
            "psycopg",
            peer,
            limit=PIVOT_MS,
        )


def _within(portal: Portal, number: int) -> dict[str, object]:
    return {"vo": f"vo-{number % 40}.example.org", "first": portal.months[-1], "last": portal.months[0]}


def asked(portal: Portal, path: str, calls: int = 60) -> Times:
    """Times of a request as the operator; %s stands for another VO each time."""
    client = portal.app.test_client()
    headers = {"Authorization": f"Bearer {TOKEN}"}

    def call(number: int) -> None:
        answer = client.get(path % (number % 40) if "%s" in path else path, headers=headers)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:200]}"

    return times(call, calls)


def fetched(plain: psycopg.Connection, statement: str, given: dict[str, object]) -> Times:
    """Times of a bare query."""
    return times(lambda _: plain.execute(statement, given).fetchall(), calls=60)


if __name__ == "__main__":
    main()

"""Pages of managers at 100,000 members, 20,000 of them in the VO, 2,000 waiting, 1,000 sites: p95 below 50 ms.

Beside each: fetching the rows that it shows, in the same database, by plain psycopg.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg

from tests.bench.big_vos import FULL, MANAGER, VO, Size, big_vos
from tests.bench.measure import both, line, times
from tests.vomsdb.conftest import Browser

LIMIT_MS = 50
Path = Callable[[int], str]
_PEOPLE = """select m.*, p.name, p.email, c.subject from member m join person p on p.id = m.person_id
    join member_certificate mc on mc.member_id = m.id join certificate c on c.id = mc.certificate_id"""
WAITING = f"select * from application where vo = '{VO}' and state = 'pending' order by id limit 50"
MEMBERS = f"{_PEOPLE} where m.vo = '{VO}' order by m.id limit 50"
NAMED = f"{_PEOPLE} where m.vo = '{VO}' and p.name ilike '%009%' order by m.id limit 50"
ONE = f"{_PEOPLE} where m.id = %s"
ENDING = f"{_PEOPLE} where m.vo = '{VO}' order by m.until limit 50"
SIGNED = f"select aup_version, count(*) from member where vo = '{VO}' group by 1"
PAIRS = "select * from replica order by site, vo limit 50"


@dataclass(frozen=True)
class Read:
    """What is asked for the n-th time, and the same rows as SQL, with `argument(n)` where it takes one."""

    name: str
    path: Path
    peer: str
    argument: Callable[[int], int] | None = None


def main(size: Size = FULL) -> None:
    """Print the table."""
    house = big_vos(size)
    browser = house.browser(MANAGER)
    calls = 60 if size is FULL else 20
    with psycopg.connect(house.db.url.replace("postgresql+psycopg", "postgresql")) as plain:
        waiting = [int(row[0]) for row in plain.execute("select id from application order by id")]
        for read in reads(size, waiting):
            _measure(browser, plain, read, calls)
    weight = len(browser.get(f"/vos/{VO}/members").data) / 1000
    line("page /vos/VO/members, weight", weight, "kB", limit=300)


def _measure(browser: Browser, plain: psycopg.Connection, read: Read, calls: int) -> None:
    def ask(number: int) -> None:
        answer = browser.get(read.path(number))
        assert answer.status_code == 200, f"{read.path(number)}: {answer.status_code} {answer.text[:200]}"

    def fetch(number: int) -> None:
        given = None if read.argument is None else (read.argument(number),)
        plain.execute(read.peer, given).fetchall()  # type: ignore[arg-type]

    both(read.name, times(ask, calls), "psycopg", times(fetch, calls), limit=LIMIT_MS)


def reads(size: Size, waiting: list[int]) -> Iterator[Read]:
    """The pages of a manager, and the same through the API."""

    def member(number: int) -> int:
        return 1_000_000 + number * 37 % size.biggest

    def request(number: int) -> int:
        return waiting[-1 - number * 7 % (len(waiting) - 1)]

    yield Read("page /vos/VO/queue", lambda n: f"/vos/{VO}/queue", WAITING)
    yield Read("page /vos/VO/requests/ID", lambda n: f"/vos/{VO}/requests/{request(n)}", WAITING)
    yield Read("page /vos/VO/members", lambda n: f"/vos/{VO}/members", MEMBERS)
    yield Read("page /vos/VO/members, searched", lambda n: f"/vos/{VO}/members?q=person+0{n % 10}", NAMED)
    yield Read("page /members/ID", lambda n: f"/members/{member(n)}", ONE, member)
    yield Read("page /vos/VO/ending", lambda n: f"/vos/{VO}/ending", ENDING)
    yield Read("page /vos/VO/aup", lambda n: f"/vos/{VO}/aup", SIGNED)
    yield Read("page /vos/VO/groups", lambda n: f"/vos/{VO}/groups", SIGNED)
    yield Read("page /vos/VO", lambda n: f"/vos/{VO}", PAIRS)
    yield Read("page /vos", lambda n: "/vos", "select * from vo")
    yield Read("page /replication", lambda n: "/replication", PAIRS)
    yield Read("API /vos/VO/requests", lambda n: f"/api/v1/vos/{VO}/requests?state=pending", WAITING)
    yield Read("API /vos/VO/members", lambda n: f"/api/v1/vos/{VO}/members", MEMBERS)
    yield Read("API /members/ID", lambda n: f"/api/v1/members/{member(n)}", ONE, member)


if __name__ == "__main__":
    main()

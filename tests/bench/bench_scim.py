"""SCIM at 100,000 members, 20,000 of them in one VO: single reads and filters, and how long reading everybody takes.

Beside each: fetching the rows that it tells, in the same database, by plain psycopg.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import quote

import psycopg
from flask.testing import FlaskClient

from hanse.identity.tokens import token_key
from tests.bench.big_vos import FULL, VO, Size, big_vos
from tests.bench.measure import both, line, times
from tests.vomsdb.conftest import House

LIMIT_MS = 100
OPERATOR, TOKEN = "Ingrid Holm", "hanse_bench_operator"
_ROWS = """select m.*, p.name, p.email, c.subject from member m join person p on p.id = m.person_id
    join member_certificate mc on mc.member_id = m.id join certificate c on c.id = mc.certificate_id"""
PAGE = f"{_ROWS} where m.state <> 'removed' order by m.id limit 100"
ONE = f"{_ROWS} where m.id = 1000037"


def main(size: Size = FULL) -> None:
    """Print the table."""
    house = big_vos(size)
    client = _client(house)
    calls = 40 if size is FULL else 20
    asked = {
        "SCIM /Users/ID": ("/Users/1000037", ONE),
        "SCIM /Users, 100 of all": ("/Users?count=100", PAGE),
        "SCIM /Users by userName": (_filtered(f'userName eq "1000037@{VO}"'), ONE),
        "SCIM /Users by e-mail": (_filtered('emails eq "nobody@example.org"'), ONE),
        "SCIM /Users, 100 active ones": (_filtered("active eq true"), PAGE),
        "SCIM /Users by a part of the name": (_filtered('displayName co "00009"'), PAGE),
        "SCIM /Groups of all": ("/Groups?count=100", "select * from vo_group order by path limit 100"),
    }
    with psycopg.connect(house.db.url.replace("postgresql+psycopg", "postgresql")) as plain:
        for name, (path, peer) in asked.items():
            found = times(_reading(client, path), calls)
            both(name, found, "psycopg", times(_fetching(plain, peer), calls), limit=LIMIT_MS)
    began, busy = time.perf_counter(), time.process_time()
    count = _everybody(client)
    taken = time.perf_counter() - began
    line("SCIM, reading everybody, 500 a page", count / taken, "1/s")
    line("SCIM, processor time a user of it", (time.process_time() - busy) / count * 1000, "ms")


def _filtered(text: str) -> str:
    return f"/Users?count=100&filter={quote(text)}"


def _client(house: House) -> FlaskClient:
    """A program with a token of the operator."""
    for key in (house.principal(OPERATOR).key, token_key(TOKEN)):
        house.follow("identity", key, {"key": key, "person": "1", "name": OPERATOR})
    client = house.app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {TOKEN}"
    return client


def _reading(client: FlaskClient, path: str) -> Callable[[int], None]:
    def read(_number: int) -> None:
        answer = client.get(f"/scim/v2{path}")
        assert answer.status_code == 200, answer.text[:200]

    return read


def _fetching(plain: psycopg.Connection, query: str) -> Callable[[int], None]:
    def fetch(_number: int) -> None:
        plain.execute(query.encode()).fetchall()

    return fetch


def _everybody(client: FlaskClient) -> int:
    """All users, page after page; how many."""
    seen: set[str] = set()
    total = 1
    while len(seen) < total:
        page = client.get(f"/scim/v2/Users?startIndex={len(seen) + 1}&count=500").get_json()
        total = page["totalResults"]
        seen |= {one["id"] for one in page["Resources"]}
    return len(seen)


if __name__ == "__main__":
    main()

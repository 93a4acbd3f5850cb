"""A membership service as big as the biggest: 200 VOs, 100,000 members (a fifth of them in one VO), 1,000 sites.

VOs are made through the use cases. One person becomes a member all the way from the request; the others are written
as copies of that membership by COPY, with names and certificates of their own, and stand in the log in one revision a
VO. `check` compares a few of them with what the service would write itself.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from demo.ca import CertificateAuthority
from hanse.database import Database, FollowCursor, Followed
from hanse.identity import names
from hanse.identity.principals import X509Identity
from hanse.migrations import upgrade
from hanse.postgres import PrivatePostgres
from hanse.revisions import Actor, History, change
from tests.conftest import Cast
from tests.vomsdb.conftest import VO, House
from vomsdb import members, publishing
from vomsdb.jobs import press_of
from vomsdb.ledger import Ledger
from vomsdb.models import Member
from vomsdb.settings import VomsdbSettings

MANAGER = "Marta Kowalska"
BY = Actor("person:1", "Ingrid Holm")


@dataclass(frozen=True)
class Size:
    """How much; `a_site` VOs are supported by each site beside the big one, which all support."""

    vos: int = 200
    members: int = 100_000
    biggest: int = 20_000
    sites: int = 1_000
    a_site: int = 20
    requests: int = 2_000


FULL = Size()
SMALL = Size(vos=4, members=300, biggest=120, sites=6, a_site=2, requests=20)


@cache
def big_vos(size: Size = FULL) -> House:
    """The service, made at the first call in this process and taken away at its end."""
    stack = ExitStack()
    atexit.register(stack.close)
    folder, data = (Path(tempfile.mkdtemp(prefix=f"hanse-bench-{name}-")) for name in ("vomsdb", "postgres"))
    for one in (folder, data):
        stack.callback(shutil.rmtree, one, ignore_errors=True)
    server = stack.enter_context(PrivatePostgres(data, durable=False))
    server.create_database("vomsdb")
    upgrade("vomsdb", server.dsn("vomsdb"))
    db = Database(server.dsn("vomsdb"))
    stack.callback(db.close)
    ca = CertificateAuthority.create(folder / "ca", "/C=EU/O=Hanse Demo/CN=Hanse Demo CA")
    cast = Cast(ca)
    settings = VomsdbSettings(
        service="vomsdb",
        database_url=db.url,
        secret_key=SecretStr("a secret of the bench alone"),
        trust_dir=ca.trust_dir,
        data_dir=folder,
        aa_cert=cast.local().cert_path,
        aa_key=cast.local().key_path,
        secure_cookies=False,
    )
    house = House(db, settings, cast, press_of(settings))
    stack.callback(house.close)
    fill(house, size)
    return house


def fill(house: House, size: Size) -> None:
    """VOs, sites, one member of each VO all the way, and the copies."""
    house.grant("Ingrid Holm", "federation_operator", "federation")
    every = [VO, *(f"vo{number:03}.example.org" for number in range(1, size.vos))]
    for vo in every:
        house.found_vo(vo, MANAGER)
    sites(house, size, every)
    first = house.join("Anna Lindqvist")
    rest = (size.members - size.biggest) // max(1, size.vos - 1)
    number = 0
    for vo in every:
        count = size.biggest if vo == VO else rest
        with house.db.transaction() as session:
            _copies(house.db, session, vo, range(number, number + count), first.id)
        number += count
    with house.db.transaction() as session:
        _requests(house.db, session, size.requests)
    with house.db.transaction() as session:
        publishing.follow_the_registry(session)
    with house.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))
    with house.db.transaction() as session:
        check(session)


def sites(house: House, size: Size, every: list[str]) -> None:
    """Sites as the registry's feed tells them."""
    with house.db.transaction() as session:
        session.add(FollowCursor(source="registry", epoch="the bench", cursor=1, head=1))
        for number in range(size.sites):
            name = f"SITE-{number:04}"
            some = [every[1 + (number * 7 + place) % (len(every) - 1)] for place in range(size.a_site)]
            shares = [{"vo": vo, "vcpu": 10} for vo in dict.fromkeys([VO, *some])]
            body = {"id": name, "name": name, "supports": shares, "agent_url": None}
            session.add(Followed(source="registry", kind="site", id=name, body=body, revision=1))


def _copies(db: Database, session: Session, vo: str, numbers: range, first: int) -> None:
    """People with one certificate each, members of the VO as the first one is of its own."""
    made = [(number, _identity(number)) for number in numbers]
    base = 1_000_000
    db.copy(session, "person", ("id", "name", "email", "institution"), (
        (base + number, f"Person {number:06}", f"person{number}@site.example", "Example Institute")
        for number, _one in made
    ))  # fmt: skip
    db.copy(session, "certificate", (
        "id", "person_id", "key", "subject_der", "issuer_der", "subject", "issuer",
    ), (
        (base + n, base + n, one.key, one.subject_der, one.issuer_der, one.subject_slash, one.issuer_slash)
        for n, one in made
    ))  # fmt: skip
    copied = [one.name for one in Member.__table__.columns if one.name not in ("id", "person_id", "vo")]
    named = ", ".join(copied)
    session.execute(
        text(
            f"insert into member (id, person_id, vo, {named})"
            f" overriding system value select {base} + n, {base} + n, :vo, {named.replace('until', _ENDS, 1)}"
            " from member m, generate_series(cast(:first as int), :last) n where m.id = :model"
        ),
        {"vo": vo, "first": numbers[0], "last": numbers[-1], "model": first},
    )
    session.execute(
        text("insert into member_certificate (member_id, certificate_id) select n, n from"
             " generate_series(cast(:first as int), :last) n"),
        {"first": base + numbers[0], "last": base + numbers[-1]},
    )  # fmt: skip
    with change(session, BY, f"{len(made)} members of {vo} for the bench") as recorded:
        members.put(session, Ledger(recorded), session.get_one(Member, base + numbers[0]))
    _log(session, vo, numbers, base)


_ENDS = "now() + make_interval(days => 1 + n % 365)"
_FIRST = (
    "select body, from_revision from history where kind = :kind and entity_id = :id and to_revision is null"
)


def _log(session: Session, vo: str, numbers: range, base: int) -> None:
    """The first copy stands in the log; the others are written as it was, with their own names."""
    number = session.scalar(text("select max(number) from revision"))
    session.execute(
        text("insert into vo_change (vo, revision, urgent) values (:vo, :n, false)"), {"vo": vo, "n": number}
    )
    session.execute(
        text(
            """
            insert into history (kind, entity_id, from_revision, op, body)
            select 'membership', cast(m.id as text), h.from_revision, h.op, h.body
                || jsonb_build_object('member', cast(m.id as text), 'name', p.name, 'keys', jsonb_build_array(c.key),
                   'until', to_char(m.until at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
            from history h, member m join person p on p.id = m.person_id
            join certificate c on c.person_id = p.id
            where h.kind = 'membership' and h.entity_id = :first and h.to_revision is null
              and m.vo = :vo and m.id > cast(:first as bigint) and m.id <= :last
            """
        ),
        {"vo": vo, "first": str(base + numbers[0]), "last": base + numbers[-1]},
    )
    session.execute(
        text(
            """
            insert into history (kind, entity_id, from_revision, op, body)
            select 'grant', c.key || ' vo_member vo:' || cast(:vo as text), r.number, 'put', jsonb_build_object(
                'principal', c.key, 'role', 'vo_member', 'scope', 'vo:' || cast(:vo as text), 'name', p.name,
                'not_before', null,
                'not_after', to_char(m.until at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
            from (select max(number) as number from revision) r, member m join person p on p.id = m.person_id
            join certificate c on c.person_id = p.id
            where m.vo = :vo and m.id > :first and m.id <= :last
            """
        ),
        {"vo": vo, "first": base + numbers[0], "last": base + numbers[-1]},
    )


_ISSUER = names.from_slash("/C=EU/O=Hanse Demo/CN=Hanse Demo CA")


def _identity(number: int) -> X509Identity:
    return X509Identity(names.from_slash(f"/C=EU/O=Hanse Demo/OU=People/CN=Person {number:06}"), _ISSUER)


def _requests(db: Database, session: Session, count: int) -> None:
    """People who wait for a decision of the big VO."""
    now = datetime.now(UTC)

    def rows() -> Iterator[tuple[Any, ...]]:
        for number in range(count):
            one = _identity(900_000 + number)
            yield (
                VO, "pending", one.key, one.subject_der, one.issuer_der, one.subject_slash, one.issuer_slash,
                f"Applicant {number}", f"applicant{number}@site.example", "Example Institute", "to learn", 1,
                now + timedelta(days=30), f"hash {number}", now,
            )  # fmt: skip

    columns = (
        "vo", "state", "key", "subject_der", "issuer_der", "subject", "issuer", "name", "email", "institution",
        "motivation", "aup_version", "expires_at", "token_hash", "confirmed_at",
    )  # fmt: skip
    db.copy(session, "application", columns, rows())


def check(session: Session) -> None:
    """Raises AssertionError when the copies are not what the service would write."""
    some = select(Member).where(Member.id >= 1_000_000).order_by(Member.id % 97, Member.id).limit(5)
    for member in session.scalars(some).all():
        query = select(History.body).where(
            History.kind == "membership", History.entity_id == str(member.id), History.to_revision.is_(None)
        )
        before = session.scalars(query).all()
        with change(session, BY, "compared") as recorded:
            members.put(session, Ledger(recorded), member)
        assert recorded.number is None, f"member {member.id} would be written otherwise: {before}"

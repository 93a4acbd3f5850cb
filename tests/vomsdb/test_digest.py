"""The managers' digest: only when there is something to say, once a day, and ended by a link."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from tests.vomsdb.test_replication import _ack, _publish
from vomsdb.jobs import digests
from vomsdb.models import Digest, Mail, Replica, VoChange, VoManager

VO = "training.egi.eu"


def _written(house: Any) -> list[Mail]:
    with house.db.transaction() as session:
        return list(session.scalars(select(Mail).where(Mail.about.like("digest:%")).order_by(Mail.id)))


def _late(house: Any, hours: float = 25) -> None:
    house.join("Anna Lindqvist")
    _publish(house)
    then = datetime.now(UTC) - timedelta(hours=hours)
    with house.db.transaction() as session:
        session.execute(update(VoChange).where(VoChange.vo == VO).values(at=then))
        session.execute(update(Replica).values(since=then - timedelta(days=9)))
        session.execute(
            update(VoChange).where(VoChange.vo != VO).values(at=datetime.now(UTC) - timedelta(hours=1))
        )


def test_nothing_is_written_while_every_change_is_on_its_way_or_there(house: Any) -> None:
    house.join("Anna Lindqvist")
    _publish(house)
    assert digests(house.db, house.settings) == "0 digests written."
    _ack(house)
    assert digests(house.db, house.settings) == "0 digests written."


def test_a_breach_is_told_to_the_managers_of_that_vo_once_a_day(house: Any) -> None:
    _late(house)
    assert digests(house.db, house.settings) == "1 digests written."
    (mail,) = _written(house)
    assert (mail.recipient, mail.vo) == ("marta@example.org", VO)
    assert mail.subject == f"{VO}: 2 past the promise, 0 late, 0 changed at the site"
    assert "BIFI: 2 changes not confirmed for 25.0 h; no agent has joined" in mail.body
    assert f"/replication?vo={VO}" in mail.body
    assert digests(house.db, house.settings) == "0 digests written."
    with house.db.transaction() as session:
        session.execute(update(Digest).values(day=datetime.now(UTC).date() - timedelta(days=1)))
    assert digests(house.db, house.settings) == "1 digests written."


def test_a_warning_and_a_site_that_holds_something_else_are_told(house: Any) -> None:
    _late(house, 19)
    _ack(house, site="BIFI")
    _ack(house, site="BIFI", sha256="e" * 64)
    digests(house.db, house.settings)
    (mail,) = _written(house)
    assert mail.subject == f"{VO}: 0 past the promise, 1 late, 1 changed at the site"
    assert "BIFI: 0 changes not confirmed for 0.0 h; holds something else than it was given" in mail.body


def test_one_mail_an_address_however_many_certificates_its_owner_has(house: Any) -> None:
    _late(house)
    with house.db.transaction() as session:
        row = session.scalars(select(VoManager).where(VoManager.vo == VO)).one()
        session.add(
            VoManager(
                vo=VO, key="x509:1", name=row.name, email="Marta@Example.org", subject="/CN=m", issuer="/CN=i"
            )
        )
    assert digests(house.db, house.settings) == "1 digests written."


def test_the_link_ends_them_and_brings_them_back_and_a_scanner_does_nothing(house: Any) -> None:
    _late(house)
    digests(house.db, house.settings)
    (mail,) = _written(house)
    found = re.search(r"(/digest\?who=\S+)", mail.body)
    assert found is not None
    nobody = house.browser(None)
    for _ in range(3):
        assert "are written when a site is late" in nobody.get(found[1]).text
    assert nobody.client.post(found[1], data={"wanted": "no"}).status_code == 303
    assert "are not written to you any more" in nobody.get(found[1]).text
    with house.db.transaction() as session:
        session.execute(update(Digest).values(day=None))
    assert digests(house.db, house.settings) == "0 digests written."
    assert nobody.client.post(found[1], data={"wanted": "yes"}).status_code == 303
    assert digests(house.db, house.settings) == "1 digests written."
    assert nobody.get("/digest?who=guessed").status_code == 404
    assert nobody.client.post("/digest?who=guessed").status_code == 404

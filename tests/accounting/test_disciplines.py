"""Usage by discipline, as membership's own feed tells them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from hanse.follow import Follower
from tests.accounting.conftest import House
from tests.accounting.records import DAY, message, record
from tests.tls import serving
from tests.vomsdb.conftest import VO
from tests.vomsdb.conftest import House as Membership
from vomsdb import cards
from vomsdb.jobs import press_of
from vomsdb.models import Vo
from vomsdb.settings import VomsdbSettings

TOKEN = "the token of accounting at membership"


@pytest.fixture
def membership(database_for: Any, settings_for: Callable[..., Any], cast: Any) -> Iterator[Membership]:
    """A membership service with two VOs, which accounting may follow."""
    db, aa = database_for("vomsdb"), cast.local()
    settings = settings_for(
        VomsdbSettings, "vomsdb", db, aa_host="localhost", aa_cert=aa.cert_path, aa_key=aa.key_path,
        service_tokens={"accounting": TOKEN},
    )  # fmt: skip
    made = Membership(db, settings, cast, press_of(settings))
    made.grant("Ingrid Holm", "federation_operator", "federation")
    made.found_vo(VO, "Marta Kowalska")
    made.found_vo("chipster", "Paavo Salo")
    yield made
    made.close()


def hours(client: FlaskClient, query: str) -> dict[str, float]:
    answer = client.get(f"/api/v1/usage?by=discipline{query}").json
    assert answer is not None
    return {row["discipline"]: row["cpu_hours"] for row in answer["rows"]}


def test_usage_groups_and_filters_by_the_disciplines_that_membership_tells(
    house: House, membership: Membership, client: FlaskClient
) -> None:
    house.load(
        message(
            record("BIFI", "a"), record("BIFI", "b", FQAN="chipster"), record("CESNET", "c", FQAN="nobodys.vo"),
            record("CESNET", "d", FQAN="chipster"),
        )
    )  # fmt: skip
    with serving(membership.app) as url:
        follower = Follower(house.db, "vomsdb", url, TOKEN)
        follower.pull()
        assert hours(client, "") == {"Training": 4 * 3 * DAY / 3600, "unknown": 4 * DAY / 3600}
        with membership.db.transaction() as session:
            vo = session.get_one(Vo, "chipster")
            card = replace(cards.details_of(vo), discipline="Life sciences")
            cards.edit(session, "chipster", card, membership.principal("Paavo Salo"))
        follower.pull()
    by = {"Training": 4 * DAY / 3600, "Life sciences": 4 * 2 * DAY / 3600, "unknown": 4 * DAY / 3600}
    assert hours(client, "") == by
    assert hours(client, "&discipline=Life%20sciences&site=CESNET") == {"Life sciences": 4 * DAY / 3600}
    page = client.get("/usage?by=discipline&pivot=discipline,site").get_data(as_text=True)
    assert "Life sciences" in page

"""The matrix, the history of acknowledgements and the figures: the worst first, a page at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from tests.vomsdb.test_replication import PROMISE, _ack, _newest, _pair, _publish
from vomsdb import standings
from vomsdb.models import Acknowledgement, Agent, Replica, VoChange
from vomsdb.promise import BREACH

VO = "training.egi.eu"


@pytest.fixture
def behind(house: Any) -> Any:
    """CESNET is in step with both VOs; BIFI has not confirmed training.egi.eu for 25 hours."""
    house.join("Anna Lindqvist")
    _publish(house)
    for vo in (VO, "chipster"):
        _ack(house, _newest(house, vo))
    then = datetime.now(UTC) - timedelta(hours=25)
    with house.db.transaction() as session:
        session.execute(update(VoChange).values(at=then))
        session.execute(update(Replica).values(since=then))
    return house


def test_the_figures_are_those_of_the_pairs(behind: Any) -> None:
    with behind.db.transaction() as session:
        summary = standings.summary(session, PROMISE)
        of_vo = standings.summary(session, PROMISE, vo="chipster")
        every = standings.every(session)
    assert (summary.total, summary.in_step, summary.broken) == (3, 2, 1)
    assert (of_vo.total, of_vo.in_step, of_vo.worst) == (1, 1, None)
    assert summary.worst is not None
    assert summary.worst[:2] == ("BIFI", VO)
    now = datetime.now(UTC)
    for one in every:
        pair = _pair(behind, one.site, one.vo)
        assert one.age_s(now) == (None if pair.age_s is None else pytest.approx(pair.age_s, abs=30))
    assert _pair(behind, "BIFI").state == BREACH


def test_the_worst_site_comes_first_and_filters_and_pages_narrow(behind: Any, monkeypatch: Any) -> None:
    anna = behind.browser("Anna Lindqvist")
    page = anna.get("/replication").text
    assert "1 of 3 pairs past the promise: BIFI" in page
    assert page.index(">BIFI<") < page.index(">CESNET<")
    only = anna.get("/replication?state=behind").text
    assert 'class="name" href="/replication?state=behind&amp;site=CESNET"' not in only
    assert "No such site" in anna.get("/replication?q=nowhere").text
    assert "All 1 pair in step" in anna.get("/replication?vo=chipster").text
    assert anna.get("/replication?past=x&site=NOWHERE").status_code == 200
    monkeypatch.setattr("vomsdb.views.sites.SITES", 1)
    first = anna.get("/replication").text
    assert "sites 1 to 1, the worst first" in first
    assert "past=1" in first
    assert "sites 2 to 2, the worst first" in anna.get("/replication?past=1").text


def test_a_clock_that_is_off_is_said(behind: Any) -> None:
    with behind.db.transaction() as session:
        session.add(Agent(site="BIFI", version="1", clock_off_s=-90000))
    assert _pair(behind, "BIFI").why == "its clock is 25.0 h behind"
    page = behind.browser("Anna Lindqvist").get("/replication?site=BIFI").text
    assert "its clock is 25.0 h behind" in page


def test_what_sites_confirmed_can_be_read_back(behind: Any) -> None:
    anna = behind.browser("Anna Lindqvist")
    page = anna.get("/replication/acknowledgements").text
    assert page.count("CESNET") >= 2
    assert "Nothing confirmed" in anna.get("/replication/acknowledgements?q=BIFI").text
    assert (
        "chipster"
        not in anna.get(f"/replication/acknowledgements?site=CESNET&vo={VO}").text.split("<tbody>")[1]
    )
    assert anna.get("/replication/acknowledgements?before=x").status_code == 422
    lines = anna.get("/replication/acknowledgements.csv").text.splitlines()
    assert lines[0] == "id,site,vo,at,sha256,changes,oldest_change_at,took_s"
    assert len(lines) == 3
    answer = anna.get("/api/v1/replication/acknowledgements?limit=1").json
    assert [one["vo"] for one in answer["items"]] == ["chipster"]
    rest = anna.get(f"/api/v1/replication/acknowledgements?cursor={answer['next']}").json
    assert [(one["vo"], one["changes"]) for one in rest["items"]] == [(VO, 2)]
    assert rest["next"] is None


def test_figures_for_prometheus(behind: Any, monkeypatch: Any) -> None:
    nobody = behind.browser(None)
    text = nobody.get("/metrics").text
    assert 'hanse_replication_pairs{state="breach"} 1.0' in text
    assert 'hanse_replication_pairs{state="in_step"} 2.0' in text
    assert 'hanse_replication_in_step{site="CESNET",vo="chipster"} 1.0' in text
    monkeypatch.setattr("vomsdb.app.MOST_PAIRS", 2)
    text = nobody.get("/metrics").text
    assert 'site="CESNET"' not in text
    assert 'hanse_replication_in_step{site="BIFI",vo="training.egi.eu"} 0.0' in text


def test_old_acknowledgements_are_forgotten(behind: Any) -> None:
    from vomsdb import publishing

    with behind.db.transaction() as session:
        session.execute(update(Acknowledgement).values(at=datetime.now(UTC) - timedelta(days=91)))
        publishing.purge(session)
        assert standings.acknowledgements(session) == []

"""The change feed over HTTP: who may follow, what comes, and waiting for news."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from hanse.follow import Follower, followed
from hanse.revisions import Actor, change
from tests.hanse.web_service import WebHouse
from tests.tls import serving

INGRID = Actor("person:1", "Ingrid Holm")


def put(house: WebHouse, entity: str, **body: Any) -> None:
    with house.db.transaction() as session, change(session, INGRID, "a test") as revision:
        revision.put("site", entity, {"id": entity, **body})


def feed(house: WebHouse, **query: Any) -> dict[str, Any]:
    answer = house.client("Ingrid Holm").get("/api/v1/changes", query_string=query)
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    return dict(answer.json)


def test_services_and_operators_may_follow_and_nobody_else(web_house: WebHouse) -> None:
    service = {"Authorization": "Bearer the token of monitoring"}
    assert web_house.client().get("/api/v1/changes", headers=service).status_code == 200
    assert web_house.client("Ingrid Holm").get("/api/v1/changes").status_code == 200
    assert web_house.client("Eliška Malá").get("/api/v1/changes").status_code == 403
    assert web_house.client().get("/api/v1/changes").status_code == 401


def test_the_beginning_gives_what_is_current(web_house: WebHouse) -> None:
    put(web_house, "BIFI", vcpu=40)
    put(web_house, "BIFI", vcpu=50)
    put(web_house, "UKIM", vcpu=48)
    page = feed(web_house)
    assert page["bootstrap"] is True
    assert [(c["kind"], c["id"], c["op"], c["body"]["vcpu"]) for c in page["changes"]] == [
        ("site", "BIFI", "put", 50),
        ("site", "UKIM", "put", 48),
    ]
    assert page["next"] == page["head"] == 3
    assert page["changes"][0]["actor_name"] == "Ingrid Holm"
    assert page["changes"][0]["at"].endswith("Z")


def test_after_that_only_news(web_house: WebHouse) -> None:
    put(web_house, "BIFI", vcpu=40)
    known = feed(web_house)["next"]
    assert feed(web_house, since=known)["changes"] == []
    with web_house.db.transaction() as session, change(session, INGRID, "closed") as revision:
        revision.delete("site", "BIFI")
    (gone,) = feed(web_house, since=known)["changes"]
    assert (gone["op"], gone["body"], gone["reason"]) == ("delete", None, "closed")


def test_waiting_ends_with_the_first_change(web_house: WebHouse) -> None:
    put(web_house, "BIFI", vcpu=40)
    known = feed(web_house)["next"]
    timer = threading.Timer(0.7, put, (web_house, "UKIM"), {"vcpu": 48})
    timer.start()
    began = time.monotonic()
    page = feed(web_house, since=known, wait=20)
    timer.join()
    assert [c["id"] for c in page["changes"]] == ["UKIM"]
    assert 0.3 < time.monotonic() - began < 15


def test_waiting_for_nothing_ends_in_time(web_house: WebHouse) -> None:
    put(web_house, "BIFI", vcpu=40)
    began = time.monotonic()
    assert feed(web_house, since=1, wait=1)["changes"] == []
    assert 0.9 < time.monotonic() - began < 10


@pytest.mark.parametrize("query", ["since=-1", "since=x", "limit=0", "limit=5001", "wait=26", "sinse=1"])
def test_questions_that_cannot_be_answered_are_refused(web_house: WebHouse, query: str) -> None:
    answer = web_house.client("Ingrid Holm").get(f"/api/v1/changes?{query}")
    assert answer.status_code == 422


def test_a_follower_reads_it_to_the_end(web_house: WebHouse) -> None:
    for number in range(7):
        put(web_house, f"SITE-{number}", vcpu=number)
    with serving(web_house.app) as url:
        follower = Follower(web_house.db, "registry", url, "the token of monitoring", page=3)
        assert follower.pull() == 7
        put(web_house, "SITE-3", vcpu=99)
        assert follower.pull() == 1
    with web_house.db.transaction() as session:
        sites = followed(session, "registry", "site")
    assert sorted(sites) == [f"SITE-{number}" for number in range(7)]
    assert sites["SITE-3"]["vcpu"] == 99


def test_a_follower_may_ask_for_some_kinds_only(web_house: WebHouse) -> None:
    put(web_house, "BIFI", vcpu=40)
    with web_house.db.transaction() as session, change(session, INGRID, "a test") as revision:
        revision.put("ngi", "1", {"name": "NGI_CZ"})
        revision.put("vo", "1", {"name": "training.egi.eu"})
    kinds = [change["kind"] for change in feed(web_house, kinds="ngi,vo")["changes"]]
    assert kinds == ["ngi", "vo"]
    page = feed(web_house, since=1, kinds="site")
    assert page["changes"] == []
    assert page["next"] == page["head"] == 2  # what is of no interest is behind the follower too
    assert web_house.client("Ingrid Holm").get("/api/v1/changes?kinds=a b").status_code == 422


def test_a_filtered_feed_loses_nothing_at_the_edge_of_a_page(web_house: WebHouse) -> None:
    for number in range(7):
        put(web_house, f"S{number}", vcpu=number)
        with web_house.db.transaction() as session, change(session, INGRID, "a test") as revision:
            revision.put("ngi", str(number), {"n": number})
    seen, cursor = [], 0
    while True:
        page = feed(web_house, since=cursor, limit=2, kinds="ngi")
        seen += [change["id"] for change in page["changes"]]
        cursor = page["next"]
        if cursor == page["head"]:
            break
    assert seen == [str(number) for number in range(7)]

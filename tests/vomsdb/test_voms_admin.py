"""VOMS-Admin's JSON API, as its own command line and workload managers call it, over TLS and without."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import update

from hanse.identity.names import from_slash
from hanse.identity.principals import X509Identity
from tests.tls import serving
from tests.vomsdb.mkgridmap import Consumer
from vomsdb import certificates, groups, robots
from vomsdb.models import Member

VO = "training.egi.eu"
AT = f"/voms/{VO}/apiv2"
GUARD = {"X-VOMS-CSRF-GUARD": ""}
CA = "/C=EU/O=Hanse Demo/CN=Hanse Demo CA"
PEOPLE = "/C=EU/O=Hanse Demo/OU=People/CN="


def _ask(house: Any, name: str | None, path: str, body: Any = None, guard: bool = True) -> Any:
    """Somebody's call, known by the certificate."""
    from flask import g

    sent = {} if body is None else {"json": body}
    headers = GUARD if guard else {}
    method = "GET" if body is None else "POST"
    with house.app.test_request_context(path, method=method, headers=headers, **sent):
        if name is not None:
            who = house.machine(name) if name.isupper() else house.principal(name)
            g.hanse_principal, g.hanse_how = who, "certificate"
        return house.app.full_dispatch_request()


def test_people_are_listed_page_by_page_with_what_stops_them(house: Any) -> None:
    marta = house.principal("Marta Kowalska")
    ids = [house.join(name).id for name in ("Anna Lindqvist", "Tomás Vidal", "Goran Petrov")]
    with house.db.transaction() as session:
        groups.create_group(session, VO, f"/{VO}/schools", "", marta)
        groups.give(session, ids[0], f"/{VO}/schools", marta)
        second = X509Identity(from_slash("/C=EU/O=Other/CN=anna"), from_slash("/C=EU/O=Other/CN=CA"))
        certificates.add(session, ids[0], second, marta)
        known = certificates.known(session, second.key)
        certificates.suspend_certificate(session, ids[0], known.id, "lost", marta)
        past = datetime.now(UTC) - timedelta(seconds=1)
        session.execute(update(Member).where(Member.id == ids[1]).values(until=past))
        session.execute(update(Member).where(Member.id == ids[2]).values(aup_due=past))
    whole = _ask(house, "Marta Kowalska", f"{AT}/users.action").json
    assert (whole["startIndex"], whole["pageSize"], whole["count"]) == (0, 100, 3)
    anna, tomas, goran = whole["result"]
    assert (anna["id"], anna["name"], anna["surname"]) == (ids[0], "Anna", "Lindqvist")
    assert (anna["suspended"], anna["suspensionReasonCode"]) == (False, None)
    assert anna["fqans"] == [f"/{VO}", f"/{VO}/schools"]
    assert anna["aupAcceptanceRecords"][0]["valid"] is True
    assert [
        (one["subjectString"], one["suspended"], one["suspensionReason"]) for one in anna["certificates"]
    ] == [
        (PEOPLE + "Anna Lindqvist", False, None),
        ("/C=EU/O=Other/CN=anna", True, "lost"),
    ]
    assert (tomas["suspended"], tomas["suspensionReasonCode"]) == (True, "MEMBERSHIP_EXPIRATION")
    assert (goran["suspensionReasonCode"], goran["suspensionReason"]) == (
        "FAILED_TO_SIGN_AUP",
        "AUP not signed in time",
    )
    page = _ask(house, "Marta Kowalska", f"{AT}/users?startIndex=1&pageSize=1").json
    assert [one["id"] for one in page["result"]] == [ids[1]]
    assert _ask(house, "Marta Kowalska", f"{AT}/users?startIndex=9").json["result"] == []
    assert _ask(house, "Marta Kowalska", f"{AT}/users?pageSize=99999999").json["pageSize"] == 10_000
    stats = _ask(house, "Marta Kowalska", f"{AT}/user-stats.action").json
    assert stats == {"usersCount": 3, "suspendedUsersCount": 2, "expiredUsersCount": 1}
    stopped = _ask(house, "Marta Kowalska", f"{AT}/suspended-users.action").json["suspendedUsers"]
    assert [one["id"] for one in stopped] == ids[1:]
    ended = _ask(house, "Marta Kowalska", f"{AT}/expired-users.action").json["expiredUsers"]
    assert [one["id"] for one in ended] == ids[1:2]
    for query in (f"userId={ids[0]}", f"dn={PEOPLE}Anna%20Lindqvist&ca={CA}"):
        assert _ask(house, "Marta Kowalska", f"{AT}/user-info.action?{query}").json == anna


def test_only_who_may_see_the_members_and_sends_the_guard_reads_them(house: Any) -> None:
    house.join("Anna Lindqvist")
    for who, vo, status in (
        ("Marta Kowalska", VO, 200),
        ("Ingrid Holm", VO, 200),
        ("Marta Kowalska", "chipster", 403),
        ("Paavo Salo", VO, 403),
        ("Anna Lindqvist", VO, 403),
        ("CESNET", VO, 403),
        (None, VO, 401),
        ("Ingrid Holm", "nowhere.example.org", 404),
    ):
        answer = _ask(house, who, f"/voms/{vo}/apiv2/users.action")
        assert answer.status_code == status, (who, vo)
        assert status == 200 or answer.json["actionErrors"]
    unguarded = _ask(house, "Marta Kowalska", f"{AT}/users.action", guard=False)
    assert (unguarded.status_code, "X-VOMS-CSRF-GUARD" in unguarded.json["actionErrors"][0]) == (400, True)
    for path, status in (
        ("users.action?startIndex=-1", 422),
        ("users.action?pageSize=1e9", 422),
        ("user-info.action", 422),
        ("user-info.action?userId=99", 404),
        ("user-info.action?dn=nothing&ca=nothing", 422),
        ("delete-user.action", 404),
    ):
        assert _ask(house, "Marta Kowalska", f"{AT}/{path}").status_code == status, path


def test_a_reader_over_tls_reads_with_the_certificate_alone(house: Any) -> None:
    house.join("Anna Lindqvist")
    marta = house.cast["Marta Kowalska"]
    with serving(house.app, house.settings) as url:
        consumer = Consumer(url, house.settings.trust_dir, (marta.cert_path, marta.key_path))
        answer = consumer.ask(f"{AT}/users?startIndex=0&pageSize=100", X_VOMS_CSRF_GUARD="y")
        assert answer.status == 200
        assert b"Lindqvist" in answer.content  # type: ignore[attr-defined]


def test_members_are_made_suspended_and_restored_by_those_who_may(house: Any) -> None:
    anna = {"certificateSubject": PEOPLE + "Anna Lindqvist", "caSubject": CA}
    user = {"name": "Anna", "surname": "Lindqvist", "emailAddress": "anna@example.org", "institution": "I"}
    new = {"user": user, **anna}
    for who in ("Paavo Salo", "Anna Lindqvist", "Ingrid Holm"):
        assert _ask(house, who, f"{AT}/create-user.action", new).status_code == 403, who
    assert _ask(house, "Marta Kowalska", f"{AT}/create-user.action", new, guard=False).status_code == 400
    made = _ask(house, "Marta Kowalska", f"{AT}/create-user.action", new)
    assert made.status_code == 200, made.json
    again = _ask(house, "Marta Kowalska", f"{AT}/create-user.action", new)
    assert (again.status_code, "already" in again.json["actionErrors"][0]) == (409, True)
    (one,) = _ask(house, "Marta Kowalska", f"{AT}/users").json["result"]
    assert (one["name"], one["suspended"], one["aupAcceptanceRecords"][0]["valid"]) == ("Anna", False, False)
    reason = {**anna, "suspensionReason": "asked"}
    assert _ask(house, "Paavo Salo", f"{AT}/suspend-user.action", reason).status_code == 403
    assert _ask(house, "Marta Kowalska", f"{AT}/suspend-user.action", reason).status_code == 200
    (one,) = _ask(house, "Marta Kowalska", f"{AT}/users").json["result"]
    assert (one["suspended"], one["suspensionReason"]) == (True, "asked")
    assert _ask(house, "Marta Kowalska", f"{AT}/suspend-user.action", reason).status_code == 409
    assert _ask(house, "Marta Kowalska", f"{AT}/restore-user.action", anna).status_code == 200
    (one,) = _ask(house, "Marta Kowalska", f"{AT}/users").json["result"]
    assert one["suspended"] is False
    for action, body, status in (
        ("suspend-user", {**anna, "suspensionReason": ""}, 422),
        ("suspend-user", {"suspensionReason": "x"}, 422),
        ("suspend-user", {**anna, "caSubject": "/CN=Another CA", "suspensionReason": "x"}, 404),
        ("restore-user", [1], 422),
        ("create-user", {**new, "certificateSubject": "/CN=B", "user": {"emailAddress": "none"}}, 422),
        ("create-user", {**new, "certificateSubject": {"$gt": ""}}, 422),
        ("create-user", {"x": "y" * 70_000}, 422),
    ):
        assert _ask(house, "Marta Kowalska", f"{AT}/{action}.action", body).status_code == status, action


def test_nobody_is_entered_who_has_to_apply(house: Any) -> None:
    """A manager themselves, also by a certificate that only the person's row tells; others' members; robots."""
    elsewhere = house.join("Goran Petrov", "chipster", "Paavo Salo")
    house.found_vo("second", "Marta Kowalska")
    marta, anna = house.join("Marta Kowalska", by="Ingrid Holm"), house.join("Anna Lindqvist")
    names = {
        one: X509Identity(from_slash(f"/C=EU/CN={one}"), from_slash("/C=EU/CN=CA")) for one in ("m", "r")
    }
    with house.db.transaction() as session:
        by = house.principal("Marta Kowalska")
        certificates.add(session, marta.id, names["m"], house.principal("Ingrid Holm"))
        robots.create(session, VO, robots.Account("robot", "mover", "moves", anna.id, names["r"]), by)
    for vo, subject, issuer, words in (
        ("second", PEOPLE + "Marta Kowalska", CA, "themselves"),
        ("second", "/C=EU/CN=m", "/C=EU/CN=CA", "themselves"),
        (VO, PEOPLE + "Goran Petrov", CA, "another VO"),
        ("second", "/C=EU/CN=r", "/C=EU/CN=CA", "robot"),
    ):
        body = {"user": {"emailAddress": "x@example.org"}, "certificateSubject": subject, "caSubject": issuer}
        answer = _ask(house, "Marta Kowalska", f"/voms/{vo}/apiv2/create-user.action", body)
        assert (answer.status_code, words in answer.json["actionErrors"][0]) == (409, True), answer.json
        assert b"Goran" not in answer.data
    with house.db.transaction() as session:
        assert session.get_one(Member, elsewhere.id).state == "active"
    both = {
        "user": {"emailAddress": "a@example.org"},
        "certificateSubject": PEOPLE + "Anna Lindqvist",
        "caSubject": CA,
    }
    assert _ask(house, "Marta Kowalska", "/voms/second/apiv2/create-user.action", both).status_code == 200

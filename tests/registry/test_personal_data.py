"""What is held of a person: given out, erased so that the log stays whole, and who read it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import select, text

from demo.ca import Issued
from hanse.identity.authority import Authority
from hanse.identity.principals import Principal
from hanse.revisions import History, Revision, current
from registry import personal_data
from registry.models import Base, ContactConfirmation, Person, Site, Webhook, WebhookDelivery

from .conftest import Cast, Registry

LAURA = "laura.gil@bifi.example"
SUBJECT = "/C=EU/O=Hanse Demo/OU=People/CN=Laura Gil"


def caller(registry: Registry, issued: Issued) -> Principal:
    return Authority(registry.db, {}).for_certificate_chain([issued.cert])


@pytest.fixture
def lived(registry: Registry) -> Registry:
    """Laura Gil did things that leave her name in many places."""
    registry.send("PATCH", "/api/v1/me", {"email": LAURA, "telephone": "+34 1"}, "Laura Gil")
    registry.declare("BIFI", timedelta(hours=1), timedelta(hours=1), "Laura Gil")
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"}, "Laura Gil")
    contacts = [{"kind": "admin", "name": "Laura Gil", "email": LAURA}]
    registry.send(
        "PATCH",
        "/api/v1/sites/BIFI",
        {"contacts": contacts, "reason": f"Ask Laura Gil, {LAURA}"},
        "Laura Gil",
    )
    registry.send("PATCH", "/api/v1/sites/BIFI", {"contacts": contacts * 2}, "Laura Gil")
    laura = registry.principal("Laura Gil").person
    role = {"person": laura, "role": "site_security_officer", "scope": "site:BIFI"}
    made = registry.send("POST", "/api/v1/roles", role)
    registry.ask("DELETE", f"/api/v1/roles/{made['id']}", "Laura Gil")
    registry.get("/api/v1/people", "Laura Gil")
    registry.send("PATCH", "/api/v1/me", {"email": "ingrid@egi.example"})
    wish = {"role": "regional_staff_rod", "scope": "ngi:NGI_MK", "reason": f"Write to {LAURA}"}
    registry.send("POST", "/api/v1/role-requests", wish, "Laura Gil")  # which Ingrid gets a mail about
    with registry.db.transaction() as session:
        ingrid = session.scalars(select(Person).where(Person.name == "Ingrid Holm")).one()
        site = session.scalars(select(Site).where(Site.name == "BIFI")).one()
        hook = Webhook(person_id=ingrid.id, url="https://x.example/", secret="s", cursor=0)
        session.add(hook)
        session.flush()
        told = json.dumps({"name": "Laura Gil", "email": LAURA})
        session.add(WebhookDelivery(id="d1", webhook_id=hook.id, body=told))
        asked = {"asked_by": "Laura Gil", "expires_at": datetime.now(UTC)}
        session.add(ContactConfirmation(site_id=site.id, email=LAURA, code_hash="x", **asked))
        session.add(ContactConfirmation(site_id=site.id, email="other@bifi.example", code_hash="y", **asked))
    return registry


def everything(registry: Registry) -> str:
    """All text of all tables."""
    with registry.db.transaction() as session:
        tables = [table.name for table in Base.metadata.sorted_tables] + ["history", "revision", "followed"]
        rows = [
            session.execute(text(f'select to_jsonb(t)::text from "{name}" t')).scalars() for name in tables
        ]
        return "\n".join(row for found in rows for row in found)


def test_an_erased_person_is_named_nowhere_any_more(lived: Registry) -> None:
    assert "Laura Gil" in everything(lived)
    number = lived.principal("Laura Gil").person
    before = log_of(lived)
    told = lived.send("DELETE", f"/api/v1/people/{number}", None)
    assert told == {"stands_as": f"erased person {number}", "sites": ["BIFI"]}
    left = everything(lived)
    for gone in ("Laura Gil", LAURA, SUBJECT):
        assert gone not in left, left[max(0, left.index(gone) - 200) : left.index(gone) + 200]
    assert log_of(lived)[: len(before)] == before  # numbers, times, what changed when: all still there


def log_of(registry: Registry) -> list[tuple[Any, ...]]:
    with registry.db.transaction() as session:
        rows = session.execute(
            select(Revision.number, Revision.at, History.kind, History.entity_id, History.op)
            .join(History, History.from_revision == Revision.number)
            .order_by(History.id)
        )
        return [tuple(row) for row in rows]


def test_the_feed_tells_the_end_of_the_person_and_no_name(lived: Registry) -> None:
    number = lived.principal("Laura Gil").person
    since = lived.get("/api/v1/changes?limit=5000")["head"]
    lived.ask("DELETE", f"/api/v1/people/{number}")
    after = lived.get(f"/api/v1/changes?since={since}&limit=5000")
    assert {change["op"] for change in after["changes"] if change["kind"] in ("identity", "grant")} == {
        "delete"
    }
    assert "Laura Gil" not in json.dumps(after) + json.dumps(lived.get("/api/v1/changes?limit=5000"))


def test_rows_and_log_agree_after_it(lived: Registry) -> None:
    lived.ask("DELETE", f"/api/v1/people/{lived.principal('Laura Gil').person}")
    with lived.db.transaction() as session:
        [downtime] = current(session, "downtime").values()
        row = session.execute(text("select created_by from downtime")).scalar_one()
        assert downtime["created_by"] == row
        assert row.startswith("erased person")
        site = next(body for body in current(session, "site").values() if body["name"] == "BIFI")
        assert site["contacts"] == []


def test_a_namesake_keeps_the_name(lived: Registry, cast: Cast) -> None:
    """Two people called Laura Gil: what stands beside things may be the other's, what is certain goes."""
    lived.admit("Tomás Vidal", cast["Tomás Vidal"].cert)
    lived.send("PATCH", "/api/v1/me", {"name": "Laura Gil"}, "Tomás Vidal")
    lived.send("PATCH", "/api/v1/me", {"email": "tomas@bifi.example"}, "Tomás Vidal")
    number = int(lived.principal("Laura Gil").person or 0)
    lived.ask("DELETE", f"/api/v1/people/{number}")
    left = everything(lived)
    assert LAURA not in left
    assert SUBJECT not in left
    with lived.db.transaction() as session:
        assert session.scalars(select(Person.name).where(Person.name == "Laura Gil")).all() == ["Laura Gil"]
        actors = set(session.scalars(select(Revision.actor).where(Revision.actor_name == "Laura Gil")))
    assert actors
    assert actors <= lived.principal("Tomás Vidal").keys


def test_people_erase_themselves(lived: Registry, cast: Cast) -> None:
    assert lived.ask("GET", "/account/erase", "Laura Gil").status_code == 200
    told = lived.send("DELETE", "/api/v1/me", None, "Laura Gil")
    assert told["stands_as"].startswith("erased person")
    assert "Laura Gil" not in everything(lived)
    assert lived.ask("GET", "/api/v1/me", "Laura Gil").status_code == 401
    assert caller(lived, cast["Laura Gil"]).person is None


def test_whom_others_depend_on_is_not_erased(registry: Registry) -> None:
    last = registry.ask("DELETE", "/api/v1/me")
    assert (last.status_code, "last federation operator" in last.text) == (422, True)
    body = {"kind": "x509", "identifier": "/C=EU/CN=robot"}
    registry.send("POST", "/api/v1/sites/BIFI/api-credentials", body, "Laura Gil")
    kept = registry.ask("DELETE", "/api/v1/me", "Laura Gil")
    assert (kept.status_code, "API credentials of BIFI" in kept.text) == (422, True)
    assert registry.get("/api/v1/me", "Laura Gil")["name"] == "Laura Gil"
    number = registry.principal("Goran Petrov").person
    assert registry.ask("DELETE", f"/api/v1/people/{number}", "Laura Gil").status_code == 403
    assert registry.ask("DELETE", "/api/v1/people/4711").status_code == 404


def test_own_data_is_given_out_whole(lived: Registry) -> None:
    data = lived.get("/api/v1/me/data", "Laura Gil")
    assert data["person"]["email"] == LAURA
    assert [one["realm"] for one in data["identities"] if one["kind"] == "x509"] == ["X.509"]
    assert {one["action"] for one in data["role_actions"]} == {"granted", "laid down", "requested"}
    assert data["contact_of"][0]["name"] == "BIFI"
    assert any("Zaragoza" in str(one) or one["reason"] for one in data["changes_made"])
    assert "hanse_person_" not in json.dumps(data)
    assert lived.ask("GET", "/api/v1/me/data", None).status_code == 401


def test_who_reads_about_people_is_written_down(registry: Registry) -> None:
    laura = registry.principal("Laura Gil").person
    registry.get(f"/api/v1/people/{laura}", "Goran Petrov")
    registry.ask("GET", f"/people/{laura}", "Eliška Malá")
    registry.get("/api/v1/people", "Eliška Malá")
    registry.get(f"/api/v1/people/{laura}", "Laura Gil")  # about oneself: no matter of record
    mine = registry.get("/api/v1/me/reads", "Laura Gil")["items"]
    assert [(one["by"], one["what"]) for one in mine] == [
        ("Eliška Malá", "list of people"),
        ("Eliška Malá", "one person"),
        ("Goran Petrov", "one person"),
    ]
    assert registry.get(f"/api/v1/people/{laura}/reads")["items"] == mine
    assert registry.ask("GET", f"/api/v1/people/{laura}/reads", "Goran Petrov").status_code == 403
    with time_machine.travel(datetime.now(UTC) + timedelta(days=366)):
        assert personal_data.prune_reads(registry.db, 365).startswith("3 reads")


def test_those_without_a_role_read_about_nobody(registry: Registry) -> None:
    laura = registry.principal("Laura Gil").person
    for path in ("/api/v1/people", f"/api/v1/people/{laura}", "/people", f"/people/{laura}", "/api/v1/roles"):
        assert registry.ask("GET", path, "Anna Lindqvist").status_code == 403, path
        assert registry.ask("GET", path, None).status_code == 401, path


def test_the_pages_ask_before_they_erase(lived: Registry) -> None:
    number = lived.principal("Laura Gil").person
    asked = lived.ask("GET", f"/people/{number}/erase")
    assert "This cannot be undone" in asked.text
    assert lived.ask("POST", f"/people/{number}/erase", "Goran Petrov").status_code == 403
    done = lived.ask("POST", f"/people/{number}/erase")
    assert (done.status_code, "These sites lost a contact: BIFI" in done.text) == (200, True)
    assert lived.ask("GET", f"/people/{number}").status_code == 404

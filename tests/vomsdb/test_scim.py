"""SCIM 2.0: members and groups read and provisioned, within the VOs of the caller and by the rules of every day."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import event, select
from werkzeug.test import TestResponse

from hanse.identity.principals import Subject
from hanse.identity.tokens import token_key
from hanse.revisions import History
from vomsdb import aups, certificates, groups, people, subjects, suspensions
from vomsdb.jobs import by_the_clock
from vomsdb.models import Mail, Member
from vomsdb.scim import writing
from vomsdb.scim.group_ids import id_of
from vomsdb.scim.names import ERROR, GROUP, INDIGO_USER, LIST, MEMBERSHIP, PATCH, USER

from .conftest import VO, House

MARTA, PAAVO, INGRID, ANNA = "Marta Kowalska", "Paavo Salo", "Ingrid Holm", "Anna Lindqvist"
WORK, SUB = f"/{VO}/work", f"/{VO}/work/deep"


@pytest.fixture
def scim(house: House) -> House:
    """A VO with a group tree and a role; each of the cast has a token, as the registry links it."""
    for number, who in enumerate((MARTA, PAAVO, INGRID, ANNA)):
        key, token = house.principal(who).key, token_key(f"hanse_test_{who}")
        for one in (key, token):
            house.follow("identity", one, {"key": one, "person": str(number), "name": who})
    with house.db.transaction() as session:
        marta = house.principal(MARTA)
        groups.create_group(session, VO, WORK, "who work", marta)
        groups.create_group(session, VO, SUB, "", marta)
        groups.create_role(session, VO, "operator", "", marta)
    return house


def call(
    house: House, method: str, path: str, body: Any = None, who: str | None = MARTA, **headers: str
) -> TestResponse:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if who is not None:
        sent["Authorization"] = f"Bearer hanse_test_{who}"
    data = None if body is None else json.dumps(body)
    return house.app.test_client().open(
        f"/scim/v2{path}", method=method, data=data, headers=sent, content_type="application/scim+json"
    )


def read(house: House, path: str, who: str | None = MARTA, **headers: str) -> Any:
    answer = call(house, "GET", path, None, who, **headers)
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "application/scim+json"
    return answer.get_json()


def patch(house: House, path: str, *operations: dict[str, Any], who: str = MARTA) -> TestResponse:
    return call(house, "PATCH", path, {"schemas": [PATCH], "Operations": list(operations)}, who)


def refused(answer: TestResponse, status: int, kind: str = "") -> str:
    body = answer.get_json()
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/scim+json"
    assert (body["schemas"], body["status"], body.get("scimType", "")) == ([ERROR], str(status), kind)
    return str(body["detail"])


def found(house: House, text: str, who: str = MARTA) -> list[str]:
    return [one["userName"] for one in read(house, f"/Users?filter={quote(text)}", who)["Resources"]]


def newcomer(house: House, person: str = "Tomás Vidal", **changes: Any) -> dict[str, Any]:
    pem = house.cast[person].cert_path.read_text()
    return {
        "schemas": [USER, INDIGO_USER],
        "userName": "tomas",
        "externalId": "hr-9",
        "name": {"givenName": "Tomás", "familyName": "Vidal"},
        "emails": [{"value": "tomas@example.org", "primary": True}],
        "active": True,
        INDIGO_USER: {"certificates": [{"pemEncodedCertificate": pem}]},
        **changes,
    }


# --- out ----------------------------------------------------------------------------------------------------------


def test_a_member_reads_as_a_user_with_the_extension_of_indigo(scim: House) -> None:
    member = scim.join(ANNA)
    with scim.db.transaction() as session:
        groups.give(session, member.id, SUB, scim.principal(MARTA))
        groups.give(session, member.id, f"{WORK}/Role=operator", scim.principal(MARTA))
        subjects.add(session, member.id, Subject("https://idp.example", "anna"), scim.principal(MARTA))
    one = read(scim, f"/Users/{member.id}")
    assert one["schemas"] == [USER, INDIGO_USER, MEMBERSHIP]
    assert (one["id"], one["userName"], one["active"]) == (str(member.id), f"{member.id}@{VO}", True)
    assert one["name"] == {"formatted": ANNA, "givenName": "Anna", "familyName": "Lindqvist"}
    assert one["emails"] == [{"value": "anna@example.org", "type": "work", "primary": True}]
    assert [each["display"] for each in one["groups"]] == [f"/{VO}", WORK, SUB]
    assert one["roles"] == [{"value": f"{WORK}/Role=operator"}]
    more = one[INDIGO_USER]
    assert more["certificates"][0]["subjectDn"] == "CN=Anna Lindqvist,OU=People,O=Hanse Demo,C=EU"
    assert more["oidcIds"] == [{"issuer": "https://idp.example", "subject": "anna"}]
    assert more["endTime"].endswith("Z")
    assert one[MEMBERSHIP]["vo"] == VO
    meta = one["meta"]
    assert (meta["resourceType"], meta["location"]) == (
        "User",
        f"{scim.settings.url}/scim/v2/Users/{member.id}",
    )
    assert meta["created"] <= meta["lastModified"]
    assert read(scim, one["groups"][2]["$ref"].partition("/scim/v2")[2])["displayName"] == SUB


def test_who_has_this_version_reads_nothing_again(scim: House) -> None:
    member = scim.join(ANNA)
    first = call(scim, "GET", f"/Users/{member.id}")
    version = first.headers["ETag"]
    assert version == first.get_json()["meta"]["version"]
    assert call(scim, "GET", f"/Users/{member.id}", If_None_Match=version).status_code == 304
    with scim.db.transaction() as session:
        groups.give(session, member.id, WORK, scim.principal(MARTA))
    changed = call(scim, "GET", f"/Users/{member.id}", If_None_Match=version)
    assert (changed.status_code, changed.headers["ETag"] == version) == (200, False)


def test_managers_see_their_vos_and_the_operator_all(scim: House) -> None:
    here, there = scim.join(ANNA), scim.join("Tomás Vidal", "chipster", PAAVO)
    assert [one["id"] for one in read(scim, "/Users")["Resources"]] == [str(here.id)]
    assert [one["id"] for one in read(scim, "/Users", PAAVO)["Resources"]] == [str(there.id)]
    assert read(scim, "/Users", INGRID)["totalResults"] == 2
    assert {one[MEMBERSHIP]["vo"] for one in read(scim, "/Groups", PAAVO)["Resources"]} == {"chipster"}
    refused(call(scim, "GET", f"/Users/{there.id}"), 404)
    refused(call(scim, "GET", f"/Groups/{id_of('/chipster')}"), 404)
    refused(call(scim, "GET", "/Users", who=ANNA), 403)
    refused(call(scim, "GET", "/Users", who=None), 401)
    assert scim.browser(MARTA).get("/scim/v2/Users").status_code == 401, "cookies count for nothing"
    for method, path in (("DELETE", f"/Users/{there.id}"), ("PUT", f"/Users/{there.id}")):
        refused(call(scim, method, path, {"schemas": [USER]}), 404)


def deactivate(value: object = False) -> dict[str, Any]:
    return {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": value}]}


def test_users_are_found_by_what_is_usual(scim: House) -> None:
    anna, goran = scim.join(ANNA), scim.join("Goran Petrov")
    with scim.db.transaction() as session:
        groups.give(session, anna.id, SUB, scim.principal(MARTA))
        groups.give(session, anna.id, f"{WORK}/Role=operator", scim.principal(MARTA))
        subjects.add(session, goran.id, Subject("https://idp.example", "goran"), scim.principal(MARTA))
    a, g = f"{anna.id}@{VO}", f"{goran.id}@{VO}"
    assert (
        patch(scim, f"/Users/{goran.id}", {"op": "replace", "path": "active", "value": False}).status_code
        == 200
    )
    for text, expected in (
        (f'id eq "{anna.id}"', [a]),
        (f'userName eq "{a.upper()}"', []),
        (f'userName eq "{a}"', [a]),
        (f'userName sw "{anna.id}@"', [a]),
        ('displayName co "lindq"', [a]),
        ('name.formatted eq "GORAN PETROV"', [g]),
        ('emails eq "anna@example.org"', [a]),
        ('emails[value ew "@example.org"]', [a, g]),
        ("active eq true", [a]),
        ("active eq false", [g]),
        ("not (active eq true)", [g]),
        ('active eq true and emails.value co "goran"', []),
        ('active eq false or displayName sw "Anna"', [a, g]),
        (f'groups eq "{id_of(SUB)}"', [a]),
        (f'groups.value eq "{id_of("/" + VO)}"', [a, g]),
        (f'groups.display eq "{WORK}"', [a]),
        (f'roles eq "{WORK}/Role=operator"', [a]),
        ("externalId pr", []),
        ('meta.created gt "2001-01-01T00:00:00Z"', [a, g]),
        ('meta.created lt "2001-01-01T00:00:00Z"', []),
        (f'{INDIGO_USER}:certificates.subjectDn eq "CN=Anna Lindqvist,OU=People,O=Hanse Demo,C=EU"', [a]),
        (f'{INDIGO_USER}:certificates.subjectDn ew "/CN=Goran Petrov"', [g]),
        (f'{INDIGO_USER}:oidcIds[subject eq "goran"]', [g]),
        (f'{MEMBERSHIP}:vo eq "{VO}"', [a, g]),
        (f'{MEMBERSHIP}:suspensionCode eq "OTHER"', [g]),
        (f'{USER}:displayName co "%"', []),
        ('displayName co "_"', []),
    ):
        assert found(scim, text) == expected, text
    for text in (
        "active gt true",
        'shoeSize eq "42"',
        "id gt 1",
        'emails[type eq "work" and value pr]',
        "displayName eq 7",
    ):
        refused(call(scim, "GET", f"/Users?filter={quote(text)}"), 400, "invalidFilter")


def test_lists_come_in_pages_and_cost_the_same_however_many(scim: House) -> None:
    for who in (ANNA, "Goran Petrov", "Laura Gil", "Tomás Vidal", "Eliška Malá"):
        scim.join(who)
    whole = read(scim, "/Users")
    ids = [one["id"] for one in whole["Resources"]]
    assert (whole["schemas"], whole["totalResults"], whole["startIndex"], whole["itemsPerPage"]) == (
        [LIST],
        5,
        1,
        5,
    )
    some = read(scim, "/Users?startIndex=2&count=2")
    assert [one["id"] for one in some["Resources"]] == ids[1:3]
    assert (some["totalResults"], some["startIndex"], some["itemsPerPage"]) == (5, 2, 2)
    assert read(scim, "/Users?count=0")["Resources"] == []
    assert read(scim, "/Users?count=-3&startIndex=-5")["startIndex"] == 1
    assert read(scim, "/Users?startIndex=99")["Resources"] == []
    refused(call(scim, "GET", "/Users?count=many"), 400, "invalidValue")
    assert questions(scim, "/Users?count=1") == questions(scim, "/Users?count=5")
    one, all_three = "/Groups?count=1&attributes=members", "/Groups?count=3&attributes=members"
    assert questions(scim, one) == questions(scim, all_three)
    assert questions(scim, "/Users?count=100") < questions(scim, "/Users?count=5"), "nothing is counted twice"


def questions(house: House, path: str) -> int:
    """How often the database is asked."""
    return len(statements(house, "GET", path))


def statements(house: House, method: str, path: str, body: Any = None) -> list[tuple[str, Any]]:
    """What the database is asked, with the values."""
    asked: list[tuple[str, Any]] = []
    engine = house.app.extensions["hanse"].db.engine

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        answer = call(house, method, path, body)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert answer.status_code in (200, 201), answer.text
    return asked


def test_attributes_are_chosen(scim: House) -> None:
    member = scim.join(ANNA)
    one = read(scim, f"/Users/{member.id}?attributes=userName,emails.value")
    assert set(one) == {"schemas", "id", "meta", "userName", "emails"}
    assert one["emails"] == [{"value": "anna@example.org"}]
    assert (
        "groups"
        not in read(scim, f"/Users?excludedAttributes=groups,{INDIGO_USER}:certificates")["Resources"][0]
    )
    refused(call(scim, "GET", "/Users?attributes=a&excludedAttributes=b"), 400, "invalidValue")


def test_groups_tell_their_members_when_asked(scim: House) -> None:
    member = scim.join(ANNA)
    with scim.db.transaction() as session:
        groups.give(session, member.id, WORK, scim.principal(MARTA))
    group = read(scim, f"/Groups/{id_of(WORK)}")
    assert (group["schemas"], group["displayName"]) == ([GROUP, MEMBERSHIP], WORK)
    assert group[MEMBERSHIP] == {"vo": VO, "description": "who work"}
    assert "members" not in group
    inside = read(scim, f"/Groups/{id_of(WORK)}?attributes=members")["members"]
    assert [(one["value"], one["display"]) for one in inside] == [(str(member.id), ANNA)]
    root = read(scim, f"/Groups/{id_of('/' + VO)}?attributes=members")
    assert [one["value"] for one in root["members"]] == [str(member.id)]
    for text, expected in (
        (f'displayName eq "{WORK}"', [WORK]),
        (f'displayName sw "{WORK}"', [WORK, SUB]),
        (f'members.value eq "{member.id}"', [f"/{VO}", WORK]),
        (f'id eq "{id_of(SUB)}"', [SUB]),
        ('id eq "nothing"', []),
    ):
        listed = read(scim, f"/Groups?filter={quote(text)}")["Resources"]
        assert [one["displayName"] for one in listed] == expected, text
    refused(call(scim, "GET", "/Groups?filter=x%20pr"), 400, "invalidFilter")


def test_the_service_describes_itself(scim: House) -> None:
    config = read(scim, "/ServiceProviderConfig")
    assert (config["patch"], config["etag"], config["bulk"]["supported"]) == (
        {"supported": True},
        {"supported": True},
        False,
    )
    types = read(scim, "/ResourceTypes")["Resources"]
    assert [one["endpoint"] for one in types] == ["/Users", "/Groups"]
    assert read(scim, "/ResourceTypes/User") == types[0]
    known = {one["id"]: one for one in read(scim, "/Schemas")["Resources"]}
    assert set(known) == {USER, GROUP, INDIGO_USER, MEMBERSHIP}
    assert read(scim, f"/Schemas/{USER}") == known[USER]
    refused(call(scim, "GET", "/Schemas/urn:none"), 404)
    refused(call(scim, "GET", "/Schemas?filter=id%20pr"), 403)
    told = {attribute["name"] for attribute in known[USER]["attributes"]}
    scim.join(ANNA)
    user = read(scim, "/Users")["Resources"][0]
    assert set(user) - {"schemas", "id", "meta", "externalId", INDIGO_USER, MEMBERSHIP} <= told
    for schema in (INDIGO_USER, MEMBERSHIP):
        assert set(user[schema]) <= {attribute["name"] for attribute in known[schema]["attributes"]}


# --- in -----------------------------------------------------------------------------------------------------------


def test_a_provisioned_member_rests_until_the_aup_is_signed(scim: House) -> None:
    answer = call(scim, "POST", "/Users", newcomer(scim))
    made = answer.get_json()
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == made["meta"]["location"]
    assert (made["userName"], made["externalId"], made["displayName"]) == ("tomas", "hr-9", "Tomás Vidal")
    assert (made["active"], made[MEMBERSHIP]["suspensionCode"]) == (False, "FAILED_TO_SIGN_AUP")
    assert "aupSignatureTime" not in made[INDIGO_USER]
    assert found(scim, 'userName eq "TOMAS"') == ["tomas"]
    assert found(scim, 'externalId eq "hr-9"') == ["tomas"]
    with scim.db.transaction() as session:
        subject = session.scalars(select(Mail.subject).where(Mail.recipient == "tomas@example.org")).one()
        assert subject == f"You were entered into {VO}"
    refused(patch(scim, f"/Users/{made['id']}", {"op": "replace", "path": "active", "value": True}), 409)
    with scim.db.transaction() as session:
        aups.sign(session, VO, 1, scim.principal("Tomás Vidal"))
    assert read(scim, f"/Users/{made['id']}")["active"] is True
    assert scim.principal("Tomás Vidal").has("vo_member", f"vo:{VO}")


def test_a_suspension_and_its_end_leave_a_provisioned_member_the_aup_to_sign(scim: House) -> None:
    number = int(call(scim, "POST", "/Users", newcomer(scim)).get_json()["id"])
    marta = scim.principal(MARTA)
    with scim.db.transaction() as session:
        assert aups.signed_counts(session, VO) == (0, 1)
        suspensions.suspend(session, number, "OTHER", "asked", marta)
        suspensions.restore(session, number, "answered", marta)
    by_the_clock(scim.db, 72)
    with scim.db.transaction() as session:
        assert session.get_one(Member, number).suspension_code == "FAILED_TO_SIGN_AUP"
        aups.sign(session, VO, 1, scim.principal("Tomás Vidal"))
        assert session.get_one(Member, number).state == "active"


def test_what_cannot_be_a_member_is_refused(scim: House) -> None:
    scim.join(ANNA)
    other = scim.join("Goran Petrov", "chipster", PAAVO)
    assert other.id
    for body, status, kind in (
        (newcomer(scim, userName=None), 400, "invalidValue"),
        (newcomer(scim, emails=[]), 400, "invalidValue"),
        (newcomer(scim, emails=[{"value": "no address"}]), 400, "invalidValue"),
        (newcomer(scim, emails="x"), 400, "invalidValue"),
        (newcomer(scim, name="Tomás"), 400, "invalidValue"),
        (newcomer(scim, active="perhaps"), 400, "invalidValue"),
        (newcomer(scim, **{INDIGO_USER: {}}), 400, "invalidValue"),
        (newcomer(scim, **{INDIGO_USER: {"certificates": [{"subjectDn": "CN=a"}]}}), 400, "invalidValue"),
        (
            newcomer(scim, **{INDIGO_USER: {"certificates": [{"pemEncodedCertificate": "x"}]}}),
            400,
            "invalidValue",
        ),
        (
            newcomer(scim, **{INDIGO_USER: {"oidcIds": [{"issuer": "x", "subject": "y"}]}}),
            400,
            "invalidValue",
        ),
        (newcomer(scim, roles=[{"value": "/none/Role=x"}]), 404, ""),
        (newcomer(scim, **{MEMBERSHIP: {"vo": "chipster"}}), 403, ""),
        (newcomer(scim, ANNA), 409, "uniqueness"),
        (newcomer(scim, "Goran Petrov"), 409, ""),
        (newcomer(scim, MARTA), 409, ""),
        ([], 400, "invalidSyntax"),
    ):
        refused(call(scim, "POST", "/Users", body), status, kind)
    assert call(scim, "POST", "/Users", newcomer(scim)).status_code == 201
    twice = newcomer(scim, "Laura Gil", userName="Tomas")
    refused(call(scim, "POST", "/Users", twice), 409, "uniqueness")
    assert read(scim, "/Users")["totalResults"] == 2
    refused(
        call(scim, "POST", "/Users", newcomer(scim, "Laura Gil", **{MEMBERSHIP: {"vo": VO}}), INGRID), 403
    )


def test_bodies_that_are_none_are_refused(scim: House) -> None:
    client = scim.app.test_client()
    headers = {"Authorization": f"Bearer hanse_test_{MARTA}"}
    for data, kind in (
        (b"{", "application/json"),
        (b"[" * 100_000, "application/scim+json"),
        (b"{}", "text/plain"),
    ):
        answer = client.post("/scim/v2/Users", data=data, content_type=kind, headers=headers)
        refused(answer, 400, "invalidSyntax")
    refused(call(scim, "POST", "/Users", {"userName": "a\x00b"}), 400, "invalidValue")
    half = {"displayName": f"/{VO}/x", MEMBERSHIP: {"description": "half \ud800 a pair"}}
    refused(call(scim, "POST", "/Groups", half), 400, "invalidSyntax")
    deep: Any = "x"
    for _ in range(400):
        deep = [deep]
    refused(call(scim, "POST", "/Users", newcomer(scim, emails=deep)), 400, "invalidValue")


def test_active_suspends_and_restores_with_the_reason(scim: House) -> None:
    member = scim.join(ANNA)
    reason = {"op": "add", "path": f"{MEMBERSHIP}:suspensionReason", "value": "left the institute"}
    gone = patch(scim, f"/Users/{member.id}", reason, {"op": "replace", "value": {"active": "False"}})
    assert gone.status_code == 200, gone.text
    told = gone.get_json()[MEMBERSHIP]
    assert (told["suspensionCode"], told["suspensionReason"]) == ("OTHER", "left the institute")
    assert not scim.principal(ANNA).has("vo_member", f"vo:{VO}")
    again = call(scim, "PUT", f"/Users/{member.id}", {**gone.get_json(), "active": True})
    assert again.get_json()["active"] is True
    assert "suspensionReason" not in again.get_json()[MEMBERSHIP]
    assert call(scim, "PUT", f"/Users/{member.id}", again.get_json()).get_json() == again.get_json()
    assert patch(scim, f"/Users/{member.id}", *deactivate()["Operations"], who=INGRID).status_code == 200


def test_names_certificates_roles_and_the_end_are_changed_each_by_its_rule(scim: House) -> None:
    member = scim.join(ANNA)
    laura = scim.cast["Laura Gil"].cert_path.read_text()
    answer = patch(
        scim,
        f"/Users/{member.id}",
        {"op": "replace", "path": "name.formatted", "value": "Anna Berg"},
        {"op": "replace", "path": 'emails[type eq "work"].value', "value": "berg@example.org"},
        {"op": "add", "path": "roles", "value": [{"value": f"{WORK}/Role=operator"}]},
        {"op": "add", "path": f"{INDIGO_USER}:certificates", "value": [{"pemEncodedCertificate": laura}]},
        {
            "op": "add",
            "path": f"{INDIGO_USER}:oidcIds",
            "value": [{"issuer": "https://idp.example", "subject": "a"}],
        },
        {"op": "replace", "path": f"{INDIGO_USER}:endTime", "value": "2031-01-01T00:00:00Z"},
    )
    one = answer.get_json()
    assert answer.status_code == 200, answer.text
    assert (one["displayName"], one["emails"][0]["value"]) == ("Anna Berg", "berg@example.org")
    assert one["roles"] == [{"value": f"{WORK}/Role=operator"}]
    assert len(one[INDIGO_USER]["certificates"]) == 2
    assert one[INDIGO_USER]["endTime"] == "2031-01-01T00:00:00Z"
    first = one[INDIGO_USER]["certificates"][0]["subjectDn"]
    path = f'{INDIGO_USER}:certificates[subjectDn eq "{first}"]'
    assert (
        len(
            patch(scim, f"/Users/{member.id}", {"op": "remove", "path": path}).get_json()[INDIGO_USER][
                "certificates"
            ]
        )
        == 1
    )
    assert scim.principal("Laura Gil").has("vo_member", f"vo:{VO}")
    last = {"op": "remove", "path": f"{INDIGO_USER}:certificates"}
    assert "only certificate" in refused(patch(scim, f"/Users/{member.id}", last), 409)
    with scim.db.transaction() as session:
        history = select(History.id).where(History.kind == "membership", History.entity_id == str(member.id))
        assert len(session.scalars(history).all()) >= 5


def test_a_patch_is_done_whole_or_not_at_all(scim: House) -> None:
    member = scim.join(ANNA)
    answer = patch(
        scim,
        f"/Users/{member.id}",
        {"op": "replace", "path": "active", "value": False},
        {"op": "add", "path": "roles", "value": [{"value": f"{WORK}/Role=none"}]},
    )
    refused(answer, 404)
    assert read(scim, f"/Users/{member.id}")["active"] is True
    refused(
        patch(scim, f"/Users/{member.id}", {"op": "add", "path": "groups", "value": []}), 400, "mutability"
    )
    other = {"op": "replace", "path": f"{MEMBERSHIP}:vo", "value": "chipster"}
    refused(patch(scim, f"/Users/{member.id}", other), 400, "mutability")


def test_who_may_suspend_alone_changes_nothing_else(scim: House) -> None:
    member = scim.join(ANNA)
    for operation in (
        {"op": "replace", "path": "displayName", "value": "x"},
        {"op": "replace", "path": "name.formatted", "value": "x"},
        {"op": "replace", "path": "userName", "value": "x"},
        {"op": "add", "path": "roles", "value": [{"value": f"{WORK}/Role=operator"}]},
        {"op": "replace", "path": f"{INDIGO_USER}:endTime", "value": "2031-01-01T00:00:00Z"},
        {
            "op": "add",
            "path": f"{INDIGO_USER}:oidcIds",
            "value": [{"issuer": "https://i.example", "subject": "a"}],
        },
    ):
        refused(patch(scim, f"/Users/{member.id}", operation, who=INGRID), 403)
    refused(call(scim, "DELETE", f"/Users/{member.id}", None, INGRID), 403)
    refused(call(scim, "POST", "/Groups", {"displayName": f"/{VO}/new"}, INGRID), 403)
    refused(
        patch(
            scim,
            f"/Groups/{id_of(WORK)}",
            {"op": "add", "path": "members", "value": [{"value": str(member.id)}]},
            who=INGRID,
        ),
        403,
    )


def test_a_person_in_two_vos_keeps_the_name_unless_both_agree(scim: House) -> None:
    member = scim.join(ANNA)
    scim.join(ANNA, "chipster", PAAVO)
    refused(
        patch(scim, f"/Users/{member.id}", {"op": "replace", "path": "name.formatted", "value": "x"}), 403
    )


def test_deleting_ends_the_membership_and_leaves_its_trace(scim: House) -> None:
    member = scim.join(ANNA)
    stale = read(scim, f"/Users/{member.id}")["meta"]["version"]
    with scim.db.transaction() as session:
        groups.give(session, member.id, WORK, scim.principal(MARTA))
    refused(call(scim, "DELETE", f"/Users/{member.id}", If_Match=stale), 412)
    fresh = read(scim, f"/Users/{member.id}")["meta"]["version"]
    assert call(scim, "DELETE", f"/Users/{member.id}", If_Match=fresh).status_code == 204
    refused(call(scim, "GET", f"/Users/{member.id}"), 404)
    refused(call(scim, "DELETE", f"/Users/{member.id}"), 404)
    with scim.db.transaction() as session:
        assert session.get_one(Member, member.id).state == "removed"


def test_groups_are_made_and_their_members_given_and_taken(scim: House) -> None:
    anna, goran = scim.join(ANNA), scim.join("Goran Petrov")
    a, g = {"value": str(anna.id)}, {"value": str(goran.id)}
    made = call(scim, "POST", "/Groups", {"schemas": [GROUP], "displayName": f"/{VO}/new", "members": [a]})
    assert made.status_code == 201, made.text
    where = f"/Groups/{made.get_json()['id']}"

    def inside() -> set[str]:
        return {one["value"] for one in read(scim, f"{where}?attributes=members")["members"]}

    assert inside() == {a["value"]}
    assert patch(scim, where, {"op": "add", "path": "members", "value": [a, g]}).status_code == 200
    assert inside() == {a["value"], g["value"]}
    assert patch(scim, where, {"op": "remove", "path": f'members[value eq "{anna.id}"]'}).status_code == 200
    assert inside() == {g["value"]}
    assert patch(scim, where, {"op": "replace", "value": {"members": [a]}}).status_code == 200
    assert inside() == {a["value"]}
    assert call(scim, "PUT", where, {"displayName": f"/{VO}/new", "members": [g]}).status_code == 200
    assert inside() == {g["value"]}
    replaced = {"op": "replace", "path": "members", "value": [a]}
    assert patch(scim, where, {"op": "add", "path": "members", "value": [g]}, replaced).status_code == 200
    assert inside() == {a["value"]}
    assert (
        patch(
            scim, where, {"op": "add", "path": "members", "value": [g]}, {"op": "remove", "path": "members"}
        ).status_code
        == 200
    )
    assert inside() == set()
    assert patch(scim, where, {"op": "add", "path": "members", "value": [g]}, replaced).status_code == 200
    assert inside() == {a["value"]}
    assert patch(scim, where, {"op": "remove", "path": "members"}).status_code == 200
    assert inside() == set()
    assert [one["display"] for one in read(scim, f"/Users/{anna.id}")["groups"]] == [f"/{VO}"]


def test_the_members_of_a_group_are_held_before_the_log(scim: House) -> None:
    """Who holds a member and waits for the log would otherwise wait for whoever holds the log and wants the member."""
    numbers = {scim.join(ANNA).id, scim.join("Goran Petrov").id}
    given = [{"value": str(number)} for number in numbers]
    where = f"/Groups/{id_of(WORK)}"
    for method, path, body in (
        ("POST", "/Groups", {"displayName": f"/{VO}/new", "members": given}),
        ("PUT", where, {"members": given}),
        ("PUT", where, {"members": []}),
    ):
        held: set[Any] = set()
        for statement, parameters in statements(scim, method, path, body):
            if "pg_advisory_xact_lock" in statement:
                break
            if statement.rstrip().endswith("FOR UPDATE"):
                held |= set(parameters.values())
        assert numbers <= held, (method, body)


def test_a_group_has_one_version_that_changes_with_its_members(scim: House) -> None:
    member, where = scim.join(ANNA), f"/Groups/{id_of(WORK)}"
    root = read(scim, f"/Groups/{id_of('/' + VO)}")["meta"]["version"]
    members = {"members": [{"value": str(member.id)}]}
    empty = read(scim, f"{where}?attributes=members")["meta"]["version"]
    assert empty == read(scim, where)["meta"]["version"]
    assert empty in [one["meta"]["version"] for one in read(scim, "/Groups")["Resources"]]
    first = call(scim, "PUT", where, members, If_Match=empty)
    assert first.status_code == 200, first.text
    assert first.headers["ETag"] == read(scim, f"{where}?attributes=members")["meta"]["version"] != empty
    refused(call(scim, "PUT", where, {"members": []}, If_Match=empty), 412)
    assert call(scim, "PUT", where, {"members": []}, If_Match=first.headers["ETag"]).status_code == 200
    assert read(scim, where)["meta"]["version"] == empty
    scim.join("Goran Petrov")
    assert read(scim, f"/Groups/{id_of('/' + VO)}")["meta"]["version"] != root


def test_who_was_quicker_is_seen_before_anything_is_changed(
    scim: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = scim.join(ANNA)
    roles = {"op": "add", "path": "roles", "value": [{"value": f"{WORK}/Role=operator"}]}
    body = {"schemas": [PATCH], "Operations": [roles]}
    version = read(scim, f"/Users/{member.id}")["meta"]["version"]
    real = writing.hold

    def second(session: Any, number: int) -> None:
        with scim.db.transaction() as other:
            people.describe(
                other, other.get_one(Member, number), "A. L.", "a@example.org", scim.principal(MARTA)
            )
        real(session, number)

    monkeypatch.setattr(writing, "hold", second)
    refused(call(scim, "PATCH", f"/Users/{member.id}", body, If_Match=version), 412)
    done = call(scim, "PATCH", f"/Users/{member.id}", body).get_json()
    assert (done["displayName"], done["roles"]) == ("A. L.", roles["value"])


def test_what_a_group_cannot_be_is_refused(scim: House) -> None:
    anna, elsewhere = scim.join(ANNA), scim.join("Goran Petrov", "chipster", PAAVO)
    where = f"/Groups/{id_of(WORK)}"
    add = {"op": "add", "path": "members"}
    refused(patch(scim, where, {**add, "value": [{"value": str(elsewhere.id)}]}), 400, "invalidValue")
    refused(patch(scim, where, {**add, "value": [{"value": "x"}]}), 400, "invalidValue")
    refused(patch(scim, where, {**add, "value": [{"value": str(n)} for n in range(1, 600)]}), 400, "tooMany")
    refused(patch(scim, where, {"op": "replace", "path": "displayName", "value": "/x"}), 400, "mutability")
    refused(patch(scim, where, {"op": "add", "path": "owners", "value": []}), 400, "invalidPath")
    root = f"/Groups/{id_of('/' + VO)}"
    taken = {"op": "remove", "path": "members", "value": [{"value": str(anna.id)}]}
    refused(patch(scim, root, taken), 400, "mutability")
    refused(call(scim, "POST", "/Groups", {"displayName": f"/{VO}/a/b"}), 400, "invalidValue")
    refused(call(scim, "POST", "/Groups", {"displayName": "/chipster/x"}), 403)
    refused(call(scim, "POST", "/Groups", {"displayName": WORK}), 409)
    refused(call(scim, "POST", "/Groups", {"displayName": "work"}), 400, "invalidValue")
    refused(call(scim, "DELETE", where), 405)


def test_a_suspended_certificate_is_told_as_such(scim: House) -> None:
    member = scim.join(ANNA)
    with scim.db.transaction() as session:
        number = read(scim, f"/Users/{member.id}")["id"]
        held = session.get_one(Member, int(number))
        own = certificates.known(session, scim.principal(ANNA).key)
        assert own is not None
        certificates.suspend_certificate(session, held.id, own.id, "key lost", scim.principal(MARTA))
    assert read(scim, f"/Users/{member.id}")[INDIGO_USER]["certificates"][0]["active"] is False

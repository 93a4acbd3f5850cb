"""Identity cards: proposed, completed, validated by a supervisor, suspended, closed; searched and exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from sqlalchemy import select

from hanse.errors import Conflict, Refused
from hanse.revisions import current
from vomsdb import cards, publishing, snapshots
from vomsdb.jobs import purge
from vomsdb.models import Mail, Snapshot

VO = "training.egi.eu"
SAMPLE = Path(__file__).parent / "samples" / "vo-id-card-egi.xml"
CARD = {
    "discipline": "Training",
    "middleware": ["gLite", "CLOUD_COMPUTING"],
    "contacts": [
        {"role": "security", "name": "Marta Kowalska", "email": "csirt@example.org", "public": True},
        {"role": "manager", "name": "Marta Kowalska", "email": "private@example.org"},
    ],
    "resources": {"ram_per_core_mb": 2048, "other": "GPUs & <tape>"},
    "shares": {f"/{VO}": 80},
}
PROPOSAL = {
    "name": "harbour.example.org",
    "description": "Ships",
    "aup_text": "Be kind.",
    "email": "anna@example.org",
}


def test_a_proposed_vo_lives_under_a_supervisors_validation(house: Any) -> None:
    anna, ingrid = house.browser("Anna Lindqvist"), house.browser("Ingrid Holm")
    at = "/api/v1/vos/harbour.example.org"
    made = anna.call("POST", "/api/v1/vo-proposals", PROPOSAL)
    assert (made.status_code, made.json["state"]) == (201, "new"), made.text
    assert house.principal("Anna Lindqvist").has("vo_manager", "vo:harbour.example.org")
    joined = house.browser("Tomás Vidal").call(
        "POST",
        f"{at}/requests",
        {"name": "T", "email": "t@example.org", "aup_version": 1, "aup_accepted": True},
    )
    assert (joined.status_code, "is new and takes no members" in joined.json["detail"]) == (422, True)
    refused = anna.call("POST", f"{at}/validation-request")
    assert {one["field"] for one in refused.json["errors"]} == {"discipline", "middleware", "contacts"}
    card = {**CARD, "shares": {}}
    assert anna.call("PUT", f"{at}/card", card).status_code == 200
    assert anna.call("POST", f"{at}/validation-request").json["asked_at"] is not None
    assert "harbour.example.org" in ingrid.get("/propose-vo").text
    assert anna.call("POST", f"{at}/state", {"state": "production", "reason": "mine"}).status_code == 403
    moved = ingrid.call("POST", f"{at}/state", {"state": "production", "reason": "complete"})
    assert (moved.json["state"], moved.json["validated_by"]) == ("production", "Ingrid Holm")
    with house.db.transaction() as session:
        mail = session.scalars(select(Mail).where(Mail.about == "vo:harbour.example.org")).one()
    assert (mail.recipient, "complete" in mail.body) == ("anna@example.org", True)
    assert anna.call("POST", "/api/v1/vo-proposals", PROPOSAL).status_code == 409
    assert house.browser(None).call("POST", "/api/v1/vo-proposals", PROPOSAL).status_code == 401


@pytest.mark.parametrize(
    ("first", "second"), [("closed", "production"), ("suspended", "new"), ("suspended", "suspended")]
)
def test_a_vo_moves_only_as_its_life_goes(house: Any, first: str, second: str) -> None:
    ingrid = house.principal("Ingrid Holm")
    with house.db.transaction() as session:
        cards.move(session, VO, first, "a test", ingrid)
    with pytest.raises(Conflict, match="can become"), house.db.transaction() as session:
        cards.move(session, VO, second, "a test", ingrid)
    with pytest.raises(Refused, match="reason"), house.db.transaction() as session:
        cards.move(session, "chipster", first, " ", ingrid)


def test_a_suspended_vo_leaves_nobody_at_the_sites_and_comes_back_whole(house: Any) -> None:
    house.join("Anna Lindqvist")
    ingrid = house.principal("Ingrid Holm")

    def published() -> Snapshot:
        with house.db.transaction() as session:
            publishing.publish_changed(session, house.press)
            newest = select(Snapshot).where(Snapshot.vo == VO).order_by(Snapshot.seq.desc()).limit(1)
            return session.scalars(newest).one()

    before = published()
    assert before.members == 1
    with house.db.transaction() as session:
        cards.move(session, VO, "suspended", "under review", ingrid)
    assert published().members == 0
    with house.db.transaction() as session:
        cards.move(session, VO, "production", "reviewed", ingrid)
    after = published()
    assert (after.members, after.content) == (1, before.content)
    assert after.sha256 == snapshots.digest(after.payload)


def test_the_managers_keep_the_card_and_nobody_else(house: Any) -> None:
    marta, at = house.browser("Marta Kowalska"), f"/api/v1/vos/{VO}/card"
    saved = marta.call("PUT", at, CARD)
    assert saved.status_code == 200, saved.text
    assert saved.json["description"] == f"the VO {VO}"
    assert len(saved.json["contacts"]) == 2
    everybody = house.browser(None).get(at).json
    assert [one["email"] for one in everybody["contacts"]] == ["csirt@example.org"]
    assert house.browser("Paavo Salo").call("PUT", at, CARD).status_code == 403
    assert house.browser("Anna Lindqvist").call("PUT", at, CARD).status_code == 403
    for fault, field in (
        ({"shares": {"/chipster": 5}}, "shares"),
        ({"shares": {f"/{VO}": 60, f"/{VO}/Role=x": 60}}, "shares"),
        ({"homepage": "javascript:alert(1)"}, "homepage"),
    ):
        refused = marta.call("PUT", at, fault)
        assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, field)


def test_the_discipline_is_in_the_feed_also_of_vos_from_before(house: Any) -> None:
    with house.db.transaction() as session:
        assert current(session, "vo")[VO]["discipline"] == "Training"
    house.browser("Marta Kowalska").call("PUT", f"/api/v1/vos/{VO}/card", {"discipline": "Earth sciences"})
    with house.db.transaction() as session:
        body = current(session, "vo")[VO]
    assert (body["discipline"], body["scope"]) == ("Earth sciences", "Global")
    with house.db.transaction() as session:
        before = current(session, "vo")
    purge(house.db)
    with house.db.transaction() as session:
        assert current(session, "vo") == before


def test_the_xml_has_the_form_that_readers_of_the_portal_know(house: Any) -> None:
    house.browser("Marta Kowalska").call("PUT", f"/api/v1/vos/{VO}/card", CARD)
    answer = house.browser(None).get("/xml/voIDCard/public/all/true")
    assert answer.mimetype == "text/xml"
    ours = etree.fromstring(answer.data)
    sample = etree.parse(SAMPLE).getroot()
    card = ours.find(f"IDCard[@Name='{VO}']")
    wanted = {
        element.tag
        for element in sample.iter()
        if not element.tag.endswith("Conf") or element.tag == "gLiteConf"
    }
    assert wanted <= {element.tag for element in ours.iter()}
    assert set(sample.find("IDCard").attrib) == set(card.attrib)
    assert card.find("Middlewares").attrib == {
        "ARC": "0",
        "gLite": "1",
        "UNICORE": "0",
        "GLOBUS": "0",
        "CLOUD_STORAGE": "0",
        "CLOUD_COMPUTING": "1",
    }
    server = card.find("gLiteConf/VOMSServers/VOMS_Server")
    assert set(server.attrib) == set(sample.find(".//VOMS_Server").attrib)
    assert server.findtext("X509Cert/DN") == "/C=EU/O=Hanse Demo/OU=Services/CN=localhost"
    assert card.findtext("gLiteConf/FQANs/FQAN/ComputingShare") == "80"
    assert card.findtext("OtherRequirements") == "GPUs & <tape>"
    assert card.findtext("Contact/Email") == "csirt@example.org"
    assert "private@example.org" not in answer.text
    one = etree.fromstring(house.browser(None).get(f"/xml/voIDCard/public/voname/{VO}").data)
    assert [element.get("Name") for element in one] == [VO]
    assert house.browser(None).get("/xml/voIDCard/public/voname/none.example.org").status_code == 404


def test_a_new_vo_is_in_no_catalogue(house: Any) -> None:
    house.browser("Anna Lindqvist").call("POST", "/api/v1/vo-proposals", PROPOSAL)
    assert "harbour" not in house.browser(None).get("/xml/voIDCard/public/all/true").text
    assert house.browser(None).get("/xml/voIDCard/public/voname/harbour.example.org").status_code == 404


def test_vos_are_found_by_words_scope_discipline_and_state(house: Any) -> None:
    marta, anybody = house.browser("Marta Kowalska"), house.browser(None)
    marta.call(
        "PUT", f"/api/v1/vos/{VO}/card", {"scope": "Regional", "alias": "TRAINERS", "discipline": "Physics"}
    )

    def names(query: str) -> list[str]:
        return [one["name"] for one in anybody.get(f"/api/v1/vos?{query}").json["items"]]

    assert names("scope=Regional") == names("q=trainers") == names("discipline=Physics") == [VO]
    assert names("state=production") == ["chipster", VO]
    assert names("scope=Local") == names("state=closed") == []
    assert anybody.get("/api/v1/vos?scope=Planet").status_code == 422
    page = anybody.get("/vos?scope=Regional&discipline=Physics").text
    assert f'href="/vos/{VO}"' in page
    assert 'href="/vos/chipster"' not in page
    assert "No VO matches" in anybody.get("/vos?scope=Local").text


def test_saving_the_page_keeps_what_a_line_of_a_contact_has_no_place_for(house: Any) -> None:
    marta, at = house.browser("Marta Kowalska"), f"/api/v1/vos/{VO}/card"
    dn = "/C=EU/O=Hanse Demo/CN=The team"
    contact = {"role": "security", "name": "The team", "email": "csirt@example.org", "dn": dn}
    assert marta.call("PUT", at, {"contacts": [contact]}).status_code == 200
    line, other = "users, The team, csirt@example.org, public", "users, Another, other@example.org"
    assert marta.post(f"/vos/{VO}/card", contacts=f"{line}\n{other}").status_code == 303
    kept = marta.call("GET", at).json["contacts"]
    assert [(one["role"], one["dn"]) for one in kept] == [("users", dn), ("users", "")]


def test_the_card_is_kept_and_a_vo_proposed_on_the_pages(house: Any) -> None:
    marta, ingrid, path = house.browser("Marta Kowalska"), house.browser("Ingrid Holm"), f"/vos/{VO}/card"
    form = {
        "description": "Courses",
        "discipline": "Training",
        "middleware": ["gLite"],
        "contacts": "security, The team, csirt@example.org, public",
        "shares": f"/{VO} 80",
        "ram_per_core_mb": "2048",
    }
    assert marta.post(path, **form).status_code == 303
    shown = marta.get(path).text
    assert "security, The team, csirt@example.org, public" in shown
    assert 'value="2048"' in shown
    assert "csirt@example.org" in house.browser(None).get(f"/vos/{VO}").text
    refused = marta.post(path, **{**form, "contacts": "no contact"})
    assert (refused.status_code, "line 1 must read" in refused.text) == (422, True)
    assert house.browser("Paavo Salo").post(path, **form).status_code == 403
    assert marta.post(f"{path}/state", state="closed", reason="x").status_code == 403
    assert ingrid.post(f"{path}/state", state="suspended", reason="under review").status_code == 303
    assert "under review" in marta.get(path).text
    anna = house.browser("Anna Lindqvist")
    assert anna.get("/propose-vo").status_code == 200
    assert anna.post("/propose-vo", **{**PROPOSAL, "name": "Not A Name"}).status_code == 422
    assert anna.post("/propose-vo", **PROPOSAL).status_code == 303
    assert anna.get("/vos/harbour.example.org/card").status_code == 200
    assert anna.post("/vos/harbour.example.org/card/validation").status_code == 422

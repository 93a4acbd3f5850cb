"""The pages answer, say the right thing to the right person, and do what their buttons say."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from vomsdb import publishing
from vomsdb.models import Application, Member

VO = "training.egi.eu"
PUBLIC = ["/vos", f"/vos/{VO}", f"/vos/{VO}/vomses", f"/vos/{VO}/lsc", f"/vos/{VO}/client.tar.gz", "/aups"]
PUBLIC += [f"/vos/{VO}/aups/1"]
MANAGED = [
    f"/vos/{VO}/{tab}"
    for tab in ("queue", "members", "members.csv", "groups", "attributes", "letters", "aup", "history")
]


@pytest.mark.parametrize("path", PUBLIC)
def test_what_everybody_may_see_needs_no_sign_in(house: Any, path: str) -> None:
    answer = house.browser(None).get(path)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("path", MANAGED)
def test_a_vos_pages_are_its_managers(house: Any, path: str) -> None:
    house.join("Anna Lindqvist")
    assert house.browser("Marta Kowalska").get(path).status_code == 200
    assert house.browser("Paavo Salo").get(path).status_code == 403
    assert house.browser("Anna Lindqvist").get(path).status_code == 403
    assert house.browser(None).get(path).status_code == 401


def test_from_the_form_to_the_membership(house: Any) -> None:
    anna, marta = house.browser("Anna Lindqvist"), house.browser("Marta Kowalska")
    assert "Anna Lindqvist" in anna.get(f"/vos/{VO}/apply").text
    form = {"name": "Anna Lindqvist", "email": "anna@example.org", "aup_version": "1", "aup_accepted": "true"}
    assert anna.post(f"/vos/{VO}/apply", **form).status_code == 303
    assert "Next: open the link in the mail to anna@example.org" in anna.get("/me").text
    with house.db.transaction() as session:
        application = session.scalars(select(Application)).one()
    link = f"/confirm/{house.token(application)}"
    nobody = house.browser(None)
    for _ in range(3):  # a mail scanner follows the link as often as it likes
        assert "Confirm my address" in nobody.get(link).text
    assert "Nobody waits for your decision" in marta.get(f"/vos/{VO}/queue").text
    assert nobody.client.post(link).status_code == 200
    assert nobody.client.post(link).status_code == 409
    assert "1 person waits" in marta.get(f"/vos/{VO}/queue").text
    assert marta.get(f"/vos/{VO}/requests/{application.id}").status_code == 200
    assert marta.post(f"/vos/{VO}/queue", action=f"approve:{application.id}").status_code == 303
    assert "Anna Lindqvist: approved." in marta.get(f"/vos/{VO}/queue").text
    page = anna.get("/me").text
    assert f"You are a member of <b>{VO}</b>" in page
    assert f"voms-proxy-init3 --voms {VO}" in page
    assert "voms-proxy-init2" in anna.get("/me?client=cxx").text


def test_a_refused_form_keeps_what_was_typed(house: Any) -> None:
    form = {"name": "Anna Lindqvist", "email": "no address", "institution": "Uni Ö", "aup_version": "1"}
    answer = house.browser("Anna Lindqvist").post(f"/vos/{VO}/apply", **form)
    assert answer.status_code == 422
    assert "must be one address" in answer.text
    assert 'value="Uni Ö"' in answer.text


def test_bulk_approval_goes_on_past_one_that_was_decided(house: Any) -> None:
    first = house.confirm(house.apply("Anna Lindqvist"))
    second = house.confirm(house.apply("Tomás Vidal"))
    marta = house.browser("Marta Kowalska")
    marta.post(f"/vos/{VO}/queue", action=f"approve:{first.id}")
    marta.get(f"/vos/{VO}/queue")
    marta.post(f"/vos/{VO}/queue", action="approve", request=[str(first.id), str(second.id)])
    page = marta.get(f"/vos/{VO}/queue").text
    assert "Marta Kowalska was quicker" in page
    assert "Tomás Vidal: approved." in page


def test_rejecting_asks_for_the_reason_first(house: Any) -> None:
    application = house.confirm(house.apply("Tomás Vidal"))
    marta = house.browser("Marta Kowalska")
    asked = marta.post(f"/vos/{VO}/queue", action="reject", request=[str(application.id)])
    assert "Tomás Vidal" in asked.text
    assert (
        marta.post(f"/vos/{VO}/queue", action="reject-now", request=[str(application.id)]).status_code == 422
    )
    marta.post(
        f"/vos/{VO}/queue", action="reject-now", request=[str(application.id)], reason="not in the project"
    )
    assert "not in the project" in house.browser("Tomás Vidal").get("/me").text


def test_a_member_is_suspended_and_restored_on_the_page(house: Any) -> None:
    member = house.join("Anna Lindqvist")
    marta, path = house.browser("Marta Kowalska"), f"/members/{member.id}"
    assert marta.post(path, action="suspend", code="SECURITY_INCIDENT").status_code == 422
    assert marta.post(path, action="suspend", code="SECURITY_INCIDENT", reason="key lost").status_code == 303
    assert "key lost" in marta.get(path).text
    assert house.browser("Anna Lindqvist").get(path).status_code == 200
    assert house.browser("Tomás Vidal").get(path).status_code == 403
    assert house.browser("Paavo Salo").post(path, action="restore", reason="x").status_code == 403
    assert marta.post(path, action="restore", reason="new key").status_code == 303
    with house.db.transaction() as session:
        assert session.get_one(Member, member.id).state == "active"


def test_groups_and_roles_are_made_and_given_on_the_pages(house: Any) -> None:
    member, marta = house.join("Anna Lindqvist"), house.browser("Marta Kowalska")
    assert marta.post(f"/vos/{VO}/groups", path=f"/{VO}/students").status_code == 303
    assert marta.post(f"/vos/{VO}/groups", role="operator").status_code == 303
    assert marta.post(f"/vos/{VO}/groups", path=f"/{VO}/students").status_code == 422
    path = f"/members/{member.id}"
    assert marta.post(path, action="give", fqan=f"/{VO}/students/Role=operator").status_code == 303
    assert f"/{VO}/students/Role=operator" in marta.get(path).text
    assert marta.post(path, action="take", fqan=f"/{VO}/students").status_code == 303
    assert f"<td><code>/{VO}/students" not in marta.get(path).text


def test_a_form_from_elsewhere_changes_nothing(house: Any) -> None:
    application = house.confirm(house.apply("Tomás Vidal"))
    forged = house.browser("Marta Kowalska").client.post(
        f"/vos/{VO}/queue", data={"action": f"approve:{application.id}"}
    )
    assert forged.status_code == 403
    with house.db.transaction() as session:
        assert session.get_one(Application, application.id).state == "pending"


def test_the_replication_page_shows_every_pair(house: Any) -> None:
    with house.db.transaction() as session:
        publishing.follow_the_registry(session)
        publishing.publish_changed(session, house.press)
    ingrid = house.browser("Ingrid Holm")
    page = ingrid.get("/replication")
    assert page.status_code == 200
    assert page.text.count('class="pair"') == 3
    assert "no agent has joined" in page.text
    assert ingrid.get("/replication?site=BIFI").status_code == 200
    assert ingrid.get("/replication.csv").text.count("\n") == 4
    assert ingrid.post("/replication/run").status_code == 303
    code = ingrid.post("/sites/CESNET/join-code")
    assert "Shown this once" in code.text
    assert house.browser("Anna Lindqvist").post("/sites/CESNET/join-code").status_code == 403


def test_a_new_aup_asks_the_members_to_sign(house: Any) -> None:
    house.join("Anna Lindqvist")
    marta, anna = house.browser("Marta Kowalska"), house.browser("Anna Lindqvist")
    assert marta.post(f"/vos/{VO}/aup", text="Be kinder.", days_to_sign="15").status_code == 303
    assert "0 of 1 have signed version 2" in marta.get(f"/vos/{VO}/aup").text
    assert "waits for your signature" in anna.get("/me").text
    assert anna.post(f"/vos/{VO}/aups/2/sign").status_code == 303
    assert "waits for your signature" not in anna.get("/me").text


def test_generic_attributes_are_defined_set_and_taken_on_their_page(house: Any) -> None:
    member, marta = house.join("Anna Lindqvist"), house.browser("Marta Kowalska")
    here = f"/vos/{VO}/attributes"
    assert "There is no generic attribute" in marta.get(here).text
    assert marta.post(here, action="define", name="nickname", distinct_values="true").status_code == 303
    assert marta.post(here, action="define", name="site").status_code == 303
    assert (
        marta.post(here, action="set", name="nickname", whose=str(member.id), value="anna").status_code == 303
    )
    assert marta.post(here, action="set", name="site", whose=f"/{VO}", value="all").status_code == 303
    shown = marta.get(here).text
    assert "nickname = anna" in shown
    assert "site = all" in shown
    for wrong, words in (
        ({"whose": "nobody", "value": "x"}, "must be a member, a group, or a role"),
        ({"whose": str(member.id), "value": "a\nb"}, "must be printable text"),
        ({"whose": "999999", "value": "x"}, "has no member 999999"),
    ):
        refused = marta.post(here, action="set", name="nickname", **wrong)
        assert refused.status_code == 422
        assert words in refused.text
    assert marta.post(here, action="forget", name="nickname").status_code == 303
    assert "nickname" not in marta.get(here).text
    assert house.browser("Anna Lindqvist").get(here).status_code == 403
    assert house.browser("Paavo Salo").post(here, action="forget", name="site").status_code == 403

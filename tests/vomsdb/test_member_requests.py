"""What members ask for: groups, roles, certificates, removal; and who decides, who does not, and only once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from hanse.errors import Conflict, Forbidden, HanseError, NotFound, Refused
from vomsdb import group_managers, groups, member_decisions, member_requests, members, proofs, vos
from vomsdb.jobs import by_the_clock, purge
from vomsdb.member_requests import Wish
from vomsdb.models import Mail, Member, MemberRequest
from vomsdb.vos import Manager

VO = "training.egi.eu"
COURSE, DEEP, OTHER = f"/{VO}/course", f"/{VO}/course/a", f"/{VO}/other"


@pytest.fixture
def school(house: Any) -> Any:
    """The house with groups /course, /course/a and /other, the role tutor, and Laura Gil, who manages /course."""
    marta = house.principal("Marta Kowalska")
    for path in (COURSE, DEEP, OTHER):
        with house.db.transaction() as session:
            groups.create_group(session, VO, path, "", marta)
    with house.db.transaction() as session:
        groups.create_role(session, VO, "tutor", "", marta)
    _appoint(house, "Laura Gil", COURSE)
    return house


def _appoint(house: Any, name: str, path: str) -> None:
    manager = Manager(house.principal(name).x509, name, f"{name.split()[0].lower()}@example.org")
    with house.db.transaction() as session:
        group_managers.appoint(session, VO, path, manager, house.principal("Marta Kowalska"))


def _ask(house: Any, name: str, kind: str, fqan: str | None = None, **more: Any) -> MemberRequest:
    with house.db.transaction() as session:
        wish = Wish(kind, fqan, **more)
        return member_requests.ask(session, VO, wish, house.principal(name), timedelta(days=30))


def _approve(house: Any, request: MemberRequest, by: str) -> MemberRequest:
    with house.db.transaction() as session:
        return member_decisions.approve(session, VO, request.id, "", house.principal(by))


def _fqans(house: Any, member: Member) -> tuple[str, ...]:
    with house.db.transaction() as session:
        return members.profile(session, member.id).fqans


def _state(house: Any, request: MemberRequest) -> str:
    with house.db.transaction() as session:
        return str(session.get_one(MemberRequest, request.id).state)


def test_a_group_manager_approves_a_group_and_a_role_there(school: Any) -> None:
    anna = school.join("Anna Lindqvist")
    group = _ask(school, "Anna Lindqvist", "group", DEEP, motivation="the course begins")
    role = _ask(school, "Anna Lindqvist", "role", f"{COURSE}/Role=tutor")
    _approve(school, group, "Laura Gil")
    _approve(school, role, "Laura Gil")
    assert _fqans(school, anna) == (f"/{VO}", COURSE, DEEP, f"{COURSE}/Role=tutor")
    with school.db.transaction() as session:
        told = list(
            session.scalars(select(Mail).where(Mail.about == f"member_request:{group.id}").order_by(Mail.id))
        )
    assert {mail.recipient for mail in told} == {"laura@example.org", "marta@example.org", "anna@example.org"}
    assert "the course begins" in told[0].body
    assert "approved" in told[-1].subject


@pytest.mark.parametrize("fqan", [OTHER, f"/{VO}/Role=tutor", f"{OTHER}/Role=tutor"])
def test_a_group_manager_decides_nothing_beside_or_above_the_group(school: Any, fqan: str) -> None:
    school.join("Anna Lindqvist")
    request = _ask(school, "Anna Lindqvist", "role" if "Role" in fqan else "group", fqan)
    with pytest.raises(Forbidden, match=r"Only a .* may decide"):
        _approve(school, request, "Laura Gil")
    assert _state(school, request) == "pending"
    _approve(school, request, "Marta Kowalska")


def test_a_manager_of_a_subgroup_brings_nobody_into_the_group_above(school: Any) -> None:
    anna = school.join("Anna Lindqvist")
    _appoint(school, "Tomás Vidal", DEEP)
    request = _ask(school, "Anna Lindqvist", "group", DEEP)
    with pytest.raises(Forbidden, match="which you do not manage"):
        _approve(school, request, "Tomás Vidal")
    assert _fqans(school, anna) == (f"/{VO}",)
    with school.db.transaction() as session:
        groups.give(session, anna.id, COURSE, school.principal("Marta Kowalska"))
    _approve(school, request, "Tomás Vidal")
    assert DEEP in _fqans(school, anna)


def test_a_group_manager_gives_nothing_to_themselves_and_appoints_nobody(school: Any) -> None:
    laura = school.join("Laura Gil")
    request = _ask(school, "Laura Gil", "role", f"{COURSE}/Role=tutor")
    with pytest.raises(Forbidden, match="own request"):
        _approve(school, request, "Laura Gil")
    browser = school.browser("Laura Gil")
    given = browser.call("PUT", f"/api/v1/members/{laura.id}/fqans", {"fqan": f"{COURSE}/Role=tutor"})
    assert (given.status_code, "to themselves" in given.json["detail"]) == (403, True)
    body = {
        "group": OTHER,
        "name": "Laura Gil",
        "certificate": school.cast["Laura Gil"].cert_path.read_text(),
    }
    assert browser.call("POST", f"/api/v1/vos/{VO}/group-managers", body).status_code == 403
    for act in ("suspension", "end", "certificates"):
        assert browser.call("POST", f"/api/v1/members/{laura.id}/{act}", {"reason": "x"}).status_code == 403
    assert browser.call("DELETE", f"/api/v1/members/{laura.id}?reason=x").status_code == 403
    assert _fqans(school, laura) == (f"/{VO}",)


def test_a_group_manager_sees_what_concerns_the_group_and_no_more(school: Any) -> None:
    school.join("Anna Lindqvist")
    inside, outside = (
        _ask(school, "Anna Lindqvist", "group", COURSE),
        _ask(school, "Anna Lindqvist", "group", OTHER),
    )
    school.confirm(school.apply("Tomás Vidal"))
    laura = school.browser("Laura Gil")
    seen = laura.get(f"/api/v1/vos/{VO}/member-requests").json["items"]
    assert [one["id"] for one in seen] == [inside.id]
    assert laura.get(f"/api/v1/vos/{VO}/member-requests/{outside.id}").status_code == 404
    page = laura.get(f"/vos/{VO}/queue")
    assert page.status_code == 200
    assert "Anna Lindqvist" in page.text
    assert "Tomás Vidal" not in page.text
    assert "/members" not in page.text.partition("<main")[2].partition("</main>")[0].replace(
        "member-requests", ""
    )
    assert laura.get("/vos/chipster/queue").status_code == 403
    assert laura.get(f"/vos/{VO}/members").status_code == 403
    decided = laura.post(f"/vos/{VO}/queue", action="approve", request=[f"m{inside.id}", f"m{outside.id}"])
    assert decided.status_code == 303
    assert (_state(school, inside), _state(school, outside)) == ("approved", "pending")


def test_a_manager_of_another_vo_decides_nothing(school: Any) -> None:
    school.join("Anna Lindqvist")
    request = _ask(school, "Anna Lindqvist", "group", COURSE)
    path = f"/api/v1/vos/{VO}/member-requests/{request.id}/decision"
    paavo = school.browser("Paavo Salo")
    assert paavo.call("POST", path, {"decision": "approve"}).status_code == 403
    elsewhere = path.replace(VO, "chipster")
    assert paavo.call("POST", elsewhere, {"decision": "approve"}).status_code == 404
    assert _state(school, request) == "pending"


def test_of_two_managers_at_once_one_decides_and_the_other_is_told(school: Any) -> None:
    anna = school.join("Anna Lindqvist")
    request = _ask(school, "Anna Lindqvist", "group", COURSE)
    start, told = threading.Barrier(2), []

    def decide(name: str) -> None:
        by = school.principal(name)
        start.wait()
        try:
            with school.db.transaction() as session:
                member_decisions.approve(session, VO, request.id, "", by)
            told.append("approved")
        except Conflict as fault:
            told.append(fault.detail)

    threads = [threading.Thread(target=decide, args=(name,)) for name in ("Marta Kowalska", "Laura Gil")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told.sort(key=len)
    assert told[0] == "approved"
    assert "was quicker: the request is approved" in told[1]
    assert _fqans(school, anna) == (f"/{VO}", COURSE)


def test_bulk_decides_both_kinds_and_goes_on_past_a_refusal(school: Any) -> None:
    school.join("Anna Lindqvist")
    asked = _ask(school, "Anna Lindqvist", "group", COURSE)
    applied = school.confirm(school.apply("Tomás Vidal"))
    marta = school.browser("Marta Kowalska")
    body = {"decision": "approve", "requests": [applied.id, 999], "member_requests": [asked.id, 998]}
    answer = marta.call("POST", f"/api/v1/vos/{VO}/decisions", body)
    assert [(one["kind"], one["decided"]) for one in answer.json["items"]] == [
        ("request", True),
        ("request", False),
        ("member_request", True),
        ("member_request", False),
    ]
    laura = school.browser("Laura Gil").call(
        "POST", f"/api/v1/vos/{VO}/decisions", {**body, "decision": "reject"}
    )
    assert [one["decided"] for one in laura.json["items"]] == [False] * 4


def test_rejecting_needs_a_reason_and_the_member_reads_it(school: Any) -> None:
    school.join("Anna Lindqvist")
    request = _ask(school, "Anna Lindqvist", "group", COURSE)
    by = school.principal("Laura Gil")
    with pytest.raises(Refused, match="reason"), school.db.transaction() as session:
        member_decisions.reject(session, VO, request.id, " ", by)
    with school.db.transaction() as session:
        member_decisions.reject(session, VO, request.id, "the course is full", by)
    with school.db.transaction() as session:
        mail = session.scalars(select(Mail).order_by(Mail.id.desc())).first()
    assert mail is not None
    assert (mail.recipient, "the course is full" in mail.body) == ("anna@example.org", True)
    assert "the course is full" in school.browser("Anna Lindqvist").get("/me").text


@pytest.mark.parametrize(
    ("kind", "fqan", "fault"),
    [
        ("group", f"/{VO}", Refused),
        ("group", "/chipster", NotFound),
        ("group", f"{COURSE}/Role=tutor", Refused),
        ("role", COURSE, Refused),
        ("role", f"{COURSE}/Role=none", NotFound),
        ("group", "nonsense", Refused),
        ("certificate", None, Refused),
    ],
)
def test_what_cannot_be_given_cannot_be_asked_for(
    school: Any, kind: str, fqan: str, fault: type[HanseError]
) -> None:
    school.join("Anna Lindqvist")
    with pytest.raises(fault):
        _ask(school, "Anna Lindqvist", kind, fqan)


def test_the_same_thing_is_asked_for_once_and_only_by_members(school: Any) -> None:
    school.join("Anna Lindqvist")
    first = _ask(school, "Anna Lindqvist", "group", COURSE)
    with pytest.raises(Conflict, match="waits for a decision"):
        _ask(school, "Anna Lindqvist", "group", COURSE)
    with pytest.raises(NotFound, match="not a member"):
        _ask(school, "Tomás Vidal", "removal")
    with pytest.raises(NotFound), school.db.transaction() as session:
        member_decisions.withdraw(session, VO, first.id, school.principal("Tomás Vidal"))
    with school.db.transaction() as session:
        member_decisions.withdraw(session, VO, first.id, school.principal("Anna Lindqvist"))
    assert _state(school, first) == "withdrawn"
    _ask(school, "Anna Lindqvist", "group", COURSE)


def test_a_further_certificate_is_the_members_when_approved(school: Any, ca: Any) -> None:
    anna = school.join("Anna Lindqvist")
    second = ca.issue("/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist at home")
    with school.db.transaction() as session:
        identity = vos.identity_from_pem(second.cert_path.read_text(), "certificate")
    request = _ask(school, "Anna Lindqvist", "certificate", identity=identity)
    assert not school.of(second.cert).has("vo_member", f"vo:{VO}")
    with pytest.raises(Forbidden):
        _approve(school, request, "Laura Gil")
    with school.db.transaction() as session:
        proofs.by_sign_in(session, request.id, school.of(second.cert))
    _approve(school, request, "Marta Kowalska")
    assert school.of(second.cert).has("vo_member", f"vo:{VO}")
    with school.db.transaction() as session:
        assert len(members.profile(session, anna.id).certificates) == 2
    with pytest.raises(Conflict, match="has this certificate already"):
        _ask(school, "Anna Lindqvist", "certificate", identity=identity)


def test_leaving_takes_a_decision_and_ends_everything(school: Any) -> None:
    anna = school.join("Anna Lindqvist")
    open_one = _ask(school, "Anna Lindqvist", "group", COURSE)
    request = _ask(school, "Anna Lindqvist", "removal", motivation="a new job")
    _approve(school, request, "Marta Kowalska")
    assert not school.principal("Anna Lindqvist").has("vo_member", f"vo:{VO}")
    with school.db.transaction() as session:
        assert session.get_one(Member, anna.id).state == "removed"
        assert session.get(MemberRequest, open_one.id) is None
    assert _state(school, request) == "approved"


def test_nobody_decides_in_time_and_the_request_expires(school: Any) -> None:
    school.join("Anna Lindqvist")
    request = _ask(school, "Anna Lindqvist", "group", COURSE)
    with school.db.transaction() as session:
        session.execute(update(MemberRequest).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    with pytest.raises(Conflict, match="has expired"):
        _approve(school, request, "Laura Gil")
    by_the_clock(school.db, 72)
    assert _state(school, request) == "expired"


def test_a_dismissed_group_manager_decides_no_more(school: Any) -> None:
    school.join("Anna Lindqvist")
    request = _ask(school, "Anna Lindqvist", "group", COURSE)
    laura = school.principal("Laura Gil")
    with school.db.transaction() as session:
        group_managers.dismiss(session, VO, COURSE, laura.key, school.principal("Marta Kowalska"))
    with pytest.raises(Forbidden):
        _approve(school, request, "Laura Gil")


def test_asking_and_deciding_over_the_api_and_on_the_pages(school: Any) -> None:
    anna = school.join("Anna Lindqvist")
    browser, marta = school.browser("Anna Lindqvist"), school.browser("Marta Kowalska")
    asked = browser.call("POST", f"/api/v1/vos/{VO}/member-requests", {"kind": "group", "fqan": COURSE})
    assert (asked.status_code, asked.json["state"]) == (201, "pending")
    assert browser.get("/api/v1/me/member-requests").json["items"][0]["fqan"] == COURSE
    number = asked.json["id"]
    page = marta.get(f"/vos/{VO}/queue?kind=group").text
    assert f"approve:m{number}" in page
    assert f"approve:m{number}" not in marta.get(f"/vos/{VO}/queue?kind=removal").text
    assert marta.get(f"/vos/{VO}/asked/{number}").status_code == 200
    marta.post(f"/vos/{VO}/queue", action=f"approve:m{number}")
    assert COURSE in _fqans(school, anna)
    sent = browser.post(f"/vos/{VO}/ask", kind="role", fqan=f"{COURSE}/Role=tutor", motivation="I teach")
    assert sent.status_code == 303
    assert "I teach" in marta.get(f"/vos/{VO}/queue").text
    with school.db.transaction() as session:
        newest = session.scalars(select(MemberRequest).order_by(MemberRequest.id.desc())).first()
    assert newest is not None
    assert browser.post(f"/me/asked/{newest.id}/withdraw").status_code == 303
    assert _state(school, newest) == "withdrawn"


def test_closed_requests_are_forgotten_after_a_while_and_approved_ones_are_not(school: Any) -> None:
    school.join("Anna Lindqvist")
    kept, gone = (
        _ask(school, "Anna Lindqvist", "group", COURSE),
        _ask(school, "Anna Lindqvist", "group", OTHER),
    )
    _approve(school, kept, "Marta Kowalska")
    with school.db.transaction() as session:
        member_decisions.reject(session, VO, gone.id, "full", school.principal("Marta Kowalska"))
    purge(school.db)
    assert _state(school, gone) == "rejected"
    with school.db.transaction() as session:
        session.execute(update(MemberRequest).values(decided_at=datetime.now(UTC) - timedelta(days=91)))
    purge(school.db)
    assert _state(school, kept) == "approved"
    with school.db.transaction() as session:
        assert session.get(MemberRequest, gone.id) is None


def test_a_group_manager_gives_and_takes_in_the_group_over_the_api(school: Any) -> None:
    anna = school.join("Anna Lindqvist")
    laura, at = school.browser("Laura Gil"), f"/api/v1/members/{anna.id}/fqans"
    given = laura.call("PUT", at, {"fqan": f"{DEEP}/Role=tutor"})
    assert (given.status_code, given.json["fqans"][-1]) == (200, f"{DEEP}/Role=tutor")
    assert laura.call("DELETE", f"{at}?fqan={COURSE}").json["fqans"] == [f"/{VO}"]
    for fqan in (OTHER, f"/{VO}/Role=tutor"):
        assert laura.call("PUT", at, {"fqan": fqan}).status_code == 403


@pytest.mark.parametrize(
    ("fqan", "status"),
    [("/chipster", 404), ("/chipster/x", 404), (f"/{VO}.org/x", 404), ("nonsense", 422), ("", 422)],
)
def test_what_is_no_group_of_the_vo_is_neither_given_nor_taken(school: Any, fqan: str, status: int) -> None:
    at = f"/api/v1/members/{school.join('Anna Lindqvist').id}/fqans"
    for name in ("Marta Kowalska", "Laura Gil"):
        caller = school.browser(name)
        assert caller.call("PUT", at, {"fqan": fqan}).status_code == status
        assert caller.call("DELETE", f"{at}?fqan={fqan}").status_code == status
    with pytest.raises(ValueError, match="no group"):
        groups.upwards(fqan, VO)

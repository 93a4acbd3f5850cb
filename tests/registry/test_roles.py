"""Roles: the table of who may what, asked of every role; requests, decisions, and who is told."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from hanse.identity.permissions import ROLES, Permission, who_may
from hanse.identity.principals import Grant, Principal
from hanse.revisions import current
from registry import rights, role_requests
from registry.models import Mail, Ngi, Person, Project, Role, ServiceGroup, Site
from registry.models.people import Owner
from registry.models.role_names import BY_SHOWN, ROLE_TYPES, held_at, shown
from registry.role_matrix import MATRIX, ND, G, N, P, S

from .conftest import Registry

# reference 2.4, written out once more by hand: role x what it may do to its own site, NGI, project or group, and to a
# site below it
WHAT = {
    "edit site": rights.EDIT_SITE,
    "declare downtime": rights.DECLARE_DOWNTIME,
    "certify": rights.CERTIFY_SITE,
    "decide roles of site": None,
    "keep API credentials": rights.KEEP_API_CREDENTIALS,
    "edit NGI": rights.EDIT_NGI,
    "add site": rights.REGISTER_SITE,
    "decide roles of NGI": None,
    "edit project": rights.EDIT_PROJECT,
    "decide roles of project": None,
    "edit group": rights.EDIT_GROUP,
    "decide roles of group": None,
}
EXPECTED = {
    "site_administrator": "edit site, declare downtime, keep API credentials",
    "site_security_officer": "edit site, declare downtime, keep API credentials, decide roles of site",
    "site_operations_deputy_manager": "edit site, declare downtime, keep API credentials, decide roles of site",
    "site_operations_manager": "edit site, declare downtime, keep API credentials, decide roles of site",
    "regional_first_line_support": "edit site, declare downtime, edit NGI",
    "regional_staff_rod": "edit site, declare downtime, edit NGI",
    **dict.fromkeys(
        (
            "ngi_security_officer",
            "ngi_operations_deputy_manager",
            "ngi_operations_manager",
            "ngi_manager",
        ),
        "edit site, declare downtime, certify, decide roles of site, edit NGI, add site, decide roles of NGI",
    ),
    **dict.fromkeys(
        ("cod_staff", "cod_administrator", "egi_csirt_officer", "chief_operations_officer"),
        "certify, edit project, decide roles of project, decide roles of NGI",
    ),
    "service_group_administrator": "edit group, decide roles of group",
    "federation_operator": "edit site, declare downtime, certify, decide roles of site, edit NGI, add site,"
    " decide roles of NGI, edit project, decide roles of project, edit group, decide roles of group",
}
SCOPES = {
    "site": "site:BIFI",
    "ngi": "ngi:NGI_IBERGRID",
    "project": "project:EGI",
    "servicegroup": "servicegroup:CLOUDS",
    "federation": "federation",
}
ELSEWHERE = {
    "site": "site:UKIM",
    "ngi": "ngi:NGI_MK",
    "project": "project:OTHER",
    "servicegroup": "servicegroup:OTHER",
}


def owners(registry: Registry) -> None:
    """Project EGI with NGI_IBERGRID in it, and the group CLOUDS."""
    with registry.db.transaction() as session:
        ngi = session.scalars(select(Ngi).where(Ngi.name == "NGI_IBERGRID")).one()
        session.add(Project(name="EGI", ngis=[ngi]))
        session.add(Project(name="OTHER"))
        for name in ("CLOUDS", "OTHER"):
            session.add(ServiceGroup(primary_key=f"{name}G0", name=name, monitored=True, scopes=["EGI"]))


def found_owners(session: Any) -> dict[str, Owner]:
    tables: dict[str, tuple[Any, str]] = {
        "site": (Site, "BIFI"),
        "NGI": (Ngi, "NGI_IBERGRID"),
        "project": (Project, "EGI"),
        "group": (ServiceGroup, "CLOUDS"),
    }
    return {
        word: session.scalars(select(t).where(t.name == name)).one() for word, (t, name) in tables.items()
    }


def holder(role: str, scope: str) -> Principal:
    return Principal("person:9", "person", role, grants=frozenset({Grant(role, scope)}))


def may(principal: Principal, what: str, permission: Permission | None, owner: Owner) -> bool:
    if permission is None:
        return rights.may_decide_role(principal, owner)
    return rights.may_owner(principal, permission, owner)


def test_every_role_may_what_the_rules_say_and_nothing_elsewhere(registry: Registry) -> None:
    owners(registry)
    assert set(EXPECTED) == set(ROLE_TYPES)
    with registry.db.transaction() as session:
        standing = found_owners(session)
        for role, kind in ROLE_TYPES.items():
            here = holder(role, SCOPES[kind.held_at])
            # register a site: asked for the NGI; everything that names no owner is about the site
            allowed = {
                what
                for what, permission in WHAT.items()
                if may(here, what, permission, standing[_about(what)])
            }
            assert allowed == set(EXPECTED[role].split(", ")), role
            if kind.held_at != "federation":
                there = holder(role, ELSEWHERE[kind.held_at])
                assert not any(may(there, w, p, standing[_about(w)]) for w, p in WHAT.items()), role


def _about(what: str) -> str:
    words = what.split()
    return "NGI" if what == "add site" else words[-1] if words[-1] in ("NGI", "project", "group") else "site"


def test_only_site_ngi_and_project_roles_read_about_people() -> None:
    for role in ROLE_TYPES:
        may_read = role in S | N | P or role == "federation_operator"
        assert (role in rights.READ_PEOPLE.roles) is may_read, role


def test_the_table_names_roles_where_they_can_be_held() -> None:
    assert S | N | P | G | {"federation_operator"} == set(ROLE_TYPES)
    assert N > ND
    for kind, actions in MATRIX.items():
        for action, allowed in actions.items():
            assert allowed <= set(ROLE_TYPES), (kind, action)
            assert held_at("servicegroup").isdisjoint(allowed) or kind == "servicegroup"


def test_every_role_has_its_exact_name_and_a_word_in_sentences() -> None:
    assert shown("regional_staff_rod") == "Regional Staff (ROD)"
    assert shown("egi_csirt_officer") == "EGI CSIRT Officer"
    assert {BY_SHOWN[kind.shown.casefold()].name for kind in ROLE_TYPES.values()} == set(ROLE_TYPES)
    assert set(ROLE_TYPES) <= set(ROLES)


def test_the_sentence_of_a_refusal_stays_short(registry: Registry) -> None:
    sentence = who_may(rights.EDIT_SITE, "site:BIFI", "ngi:NGI_IBERGRID")
    assert sentence == (
        "a site administrator of site BIFI, an NGI manager of NGI NGI_IBERGRID or a federation operator"
    )


# --- what a role gives to the other services ------------------------------------------------------------------


IMPLIED = (
    ("site_operations_manager", "site:BIFI", "site_administrator"),
    ("site_operations_deputy_manager", "site:BIFI", "site_administrator"),
    ("ngi_operations_manager", "ngi:NGI_IBERGRID", "ngi_manager"),
    ("ngi_operations_deputy_manager", "ngi:NGI_IBERGRID", "ngi_manager"),
    ("ngi_security_officer", "ngi:NGI_IBERGRID", "ngi_manager"),
    ("regional_staff_rod", "ngi:NGI_IBERGRID", None),
    ("site_security_officer", "site:BIFI", None),
    ("cod_staff", "project:EGI", None),
    ("service_group_administrator", "servicegroup:CLOUDS", None),
)


def test_the_feed_carries_the_role_and_what_the_others_ask_for(registry: Registry) -> None:
    owners(registry)
    anna = registry.principal("Anna Lindqvist").person
    for role, scope, implied in IMPLIED:
        made = registry.send("POST", "/api/v1/roles", {"person": anna, "role": role, "scope": scope})
        assert made["role_name"] == shown(role)
        holds = registry.principal("Anna Lindqvist")
        assert {grant.role for grant in holds.grants} == {role} | ({implied} if implied else set())
        assert registry.ask("DELETE", f"/api/v1/roles/{made['id']}").status_code == 204
        assert registry.principal("Anna Lindqvist").grants == frozenset()


# --- requests -------------------------------------------------------------------------------------------------------


def address(registry: Registry, who: str, email: str) -> None:
    registry.send("PATCH", "/api/v1/me", {"email": email}, who)


def ask(
    registry: Registry, role: str = "site_security_officer", scope: str = "site:BIFI", status: int = 201
) -> Any:
    body = {"role": role, "scope": scope, "reason": "I look after BIFI"}
    return registry.send("POST", "/api/v1/role-requests", body, "Anna Lindqvist", status)


def mails(registry: Registry) -> list[tuple[str, str]]:
    with registry.db.transaction() as session:
        rows = session.scalars(select(Mail).order_by(Mail.id))
        return [(mail.recipient, mail.subject) for mail in rows]


def make_manager(registry: Registry, who: str = "Laura Gil") -> None:
    """Laura Gil may decide about the roles of BIFI from now on."""
    person = registry.principal(who).person
    body = {"person": person, "role": "site_operations_manager", "scope": "site:BIFI"}
    registry.send("POST", "/api/v1/roles", body)


def test_a_request_gives_nothing_until_it_is_granted(registry: Registry) -> None:
    make_manager(registry)
    waiting = ask(registry)
    assert (waiting["status"], waiting["granted_at"]) == ("PENDING", None)
    assert registry.principal("Anna Lindqvist").grants == frozenset()
    assert registry.get("/api/v1/roles?scope=site:BIFI&status=PENDING")["items"][0]["id"] == waiting["id"]
    assert [one["id"] for one in registry.get("/api/v1/role-requests", "Laura Gil")["items"]] == [
        waiting["id"]
    ]
    granted = registry.send(
        "POST", f"/api/v1/role-requests/{waiting['id']}/grant", {"reason": "welcome"}, "Laura Gil", 200
    )
    assert (granted["status"], granted["granted_by"]) == ("GRANTED", "Laura Gil")
    assert registry.principal("Anna Lindqvist").has("site_security_officer", "site:BIFI")
    again = registry.send("POST", f"/api/v1/role-requests/{waiting['id']}/grant", {}, "Laura Gil", 422)
    assert "granted already, by Laura Gil" in again["detail"]


def test_a_role_is_asked_for_once(registry: Registry) -> None:
    ask(registry)
    assert "asked for this role already" in ask(registry, status=409)["detail"]
    body = {"role": "site_administrator", "scope": "site:BIFI"}
    held = registry.send("POST", "/api/v1/role-requests", body, "Laura Gil", 409)
    assert "hold this role already" in held["detail"]
    ask(registry, "site_administrator")  # another role in the same place is another request


def test_what_cannot_be_held_cannot_be_asked_for(registry: Registry) -> None:
    for role, scope, status in (
        ("site_administrator", "site:NOWHERE", 404),
        ("site_administrator", "ngi:NGI_MK", 422),
        ("ngi_manager", "site:BIFI", 422),
        ("cod_staff", "project:NONE", 404),
        ("vo_manager", "vo:chipster", 422),
    ):
        ask(registry, role, scope, status)


def test_others_decide_nothing(registry: Registry) -> None:
    """Goran works elsewhere, Laura is site administrator only, Anna asked herself."""
    waiting = ask(registry)
    for who, status in (("Goran Petrov", 403), ("Laura Gil", 403), ("Anna Lindqvist", 403), (None, 401)):
        for act in ("grant", "reject"):
            path = f"/api/v1/role-requests/{waiting['id']}/{act}"
            registry.send("POST", path, {"reason": "x"}, who, status)
    assert registry.principal("Anna Lindqvist").grants == frozenset()


def test_those_who_can_decide_are_told_and_so_is_who_asked(registry: Registry) -> None:
    make_manager(registry)
    address(registry, "Laura Gil", "laura@bifi.example")
    address(registry, "Goran Petrov", "goran@ukim.example")
    address(registry, "Ingrid Holm", "ingrid@egi.example")
    address(registry, "Anna Lindqvist", "anna@uu.example")
    waiting = ask(registry)
    told = "Anna Lindqvist asks to be Site Security Officer in site:BIFI"
    assert mails(registry) == [("laura@bifi.example", told)]
    rejected = registry.ask(
        "POST", f"/api/v1/role-requests/{waiting['id']}/reject", "Laura Gil", json={"reason": "not of BIFI"}
    )
    assert rejected.status_code == 204
    assert mails(registry)[-1] == (
        "anna@uu.example",
        "Your request to be Site Security Officer was rejected at BIFI",
    )
    with registry.db.transaction() as session:
        assert "not of BIFI" in session.scalars(select(Mail).order_by(Mail.id.desc())).first().body  # type: ignore[union-attr]
    ask(registry)  # what was rejected can be asked for again


def test_where_nobody_can_decide_the_operators_are_told(registry: Registry) -> None:
    """Laura is BIFI's only one, and a site administrator decides nothing: GOCDB would leave the request lying."""
    address(registry, "Ingrid Holm", "ingrid@egi.example")
    ask(registry)
    [(recipient, _)] = mails(registry)
    assert recipient == "ingrid@egi.example"
    with registry.db.transaction() as session:
        assert "waits for a federation operator" in session.scalars(select(Mail)).one().body
        site = session.scalars(select(Site).where(Site.name == "BIFI")).one()
        assert [one.name for one in role_requests.deciders(session, site)] == ["Ingrid Holm"]


def test_a_rejection_says_why(registry: Registry) -> None:
    waiting = ask(registry)
    refused = registry.send("POST", f"/api/v1/role-requests/{waiting['id']}/reject", {}, status=422)
    assert refused["errors"][0]["field"] == "reason"


def test_what_was_decided_is_kept_with_who_and_why(registry: Registry) -> None:
    make_manager(registry)
    first = ask(registry)
    registry.ask("POST", f"/api/v1/role-requests/{first['id']}/reject", "Laura Gil", json={"reason": "no"})
    second = ask(registry)
    registry.send("POST", f"/api/v1/role-requests/{second['id']}/grant", {}, "Laura Gil", 200)
    registry.ask("POST", f"/api/v1/roles/{second['id']}/revoke", "Laura Gil", json={"reason": "left BIFI"})
    anna = registry.principal("Anna Lindqvist").person
    told = registry.get(f"/api/v1/role-actions?person={anna}")["items"]
    assert [(one["action"], one["by"], one["reason"]) for one in reversed(told)] == [
        ("requested", "Anna Lindqvist", "I look after BIFI"),
        ("rejected", "Laura Gil", "no"),
        ("requested", "Anna Lindqvist", "I look after BIFI"),
        ("granted", "Laura Gil", ""),
        ("revoked", "Laura Gil", "left BIFI"),
    ]
    assert [(one["old_status"], one["new_status"]) for one in reversed(told)] == [
        ("", "PENDING"),
        ("PENDING", ""),
        ("", "PENDING"),
        ("PENDING", "GRANTED"),
        ("GRANTED", ""),
    ]
    page = registry.get(f"/api/v1/role-actions?person={anna}&limit=2")
    rest = registry.get(f"/api/v1/role-actions?person={anna}&cursor={page['next']}")
    assert [one["id"] for one in page["items"] + rest["items"]] == [one["id"] for one in told]
    assert registry.ask("GET", "/api/v1/role-actions", "Anna Lindqvist").status_code == 403


def test_a_request_is_in_the_log_and_goes_with_the_decision(registry: Registry) -> None:
    waiting = ask(registry)
    with registry.db.transaction() as session:
        body = current(session, "role_request")[waiting["id"]]
    assert (body["role"], body["scope"], body["name"]) == (
        "site_security_officer",
        "site:BIFI",
        "Anna Lindqvist",
    )
    assert registry.ask("DELETE", f"/api/v1/roles/{waiting['id']}", "Anna Lindqvist").status_code == 204
    with registry.db.transaction() as session:
        assert current(session, "role_request") == {}
        assert session.scalar(select(Role).where(Role.id == int(waiting["id"]))) is None


def test_a_role_that_was_asked_for_can_be_granted_outright(registry: Registry) -> None:
    waiting = ask(registry)
    anna = registry.principal("Anna Lindqvist").person
    body = {"person": anna, "role": "site_security_officer", "scope": "site:BIFI"}
    assert registry.send("POST", "/api/v1/roles", body)["id"] == waiting["id"]
    assert registry.get("/api/v1/role-requests")["items"] == []


def test_a_project_role_certifies_and_decides_below(registry: Registry) -> None:
    owners(registry)
    anna = registry.principal("Anna Lindqvist").person
    registry.send("POST", "/api/v1/roles", {"person": anna, "role": "cod_staff", "scope": "project:EGI"})
    goran = registry.principal("Goran Petrov").person
    role = {"person": goran, "role": "ngi_manager", "scope": "ngi:NGI_IBERGRID"}
    registry.send("POST", "/api/v1/roles", role, "Anna Lindqvist")
    registry.send("POST", "/api/v1/roles", {**role, "scope": "ngi:NGI_MK"}, "Anna Lindqvist", 403)
    step = {"status": "Suspended", "reason": "an incident"}
    registry.send("POST", "/api/v1/sites/BIFI/certification", step, "Anna Lindqvist", 200)
    registry.send("POST", "/api/v1/sites/UKIM/certification", step, "Anna Lindqvist", 403)
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "x"}, "Anna Lindqvist", 403)


def test_a_person_keeps_granted_roles_and_requests_apart(registry: Registry) -> None:
    ask(registry)
    with registry.db.transaction() as session:
        anna = session.scalars(select(Person).where(Person.name == "Anna Lindqvist")).one()
        assert (len(anna.roles), len(anna.requests)) == (0, 1)
    mine = registry.get("/api/v1/me", "Anna Lindqvist")
    assert (mine["roles"], [one["role"] for one in mine["requests"]]) == ([], ["site_security_officer"])


def test_the_page_shows_what_waits_for_whom_and_decides(registry: Registry) -> None:
    make_manager(registry)
    form = {"role": "site_security_officer", "scope": "site:BIFI", "reason": "I look after BIFI"}
    assert registry.ask("POST", "/roles/requests", "Anna Lindqvist", data=form).status_code == 303
    twice = registry.ask("POST", "/roles/requests", "Anna Lindqvist", data=form)
    assert (twice.status_code, "asked for this role already" in twice.text) == (409, True)
    own = registry.ask("GET", "/roles", "Anna Lindqvist").text
    assert "Laura Gil can decide" in own
    waits = registry.ask("GET", "/roles", "Laura Gil").text
    assert "1 request waits for your decision." in waits
    [request] = registry.get("/api/v1/role-requests", "Laura Gil")["items"]
    at = f"/roles/requests/{request['id']}"
    why = registry.ask("POST", f"{at}/reject", "Laura Gil", data={"reason": ""})
    assert (why.status_code, "must be given" in why.text) == (422, True)
    assert registry.ask("POST", f"{at}/grant", "Goran Petrov", data={}).status_code == 403
    assert registry.ask("POST", f"{at}/grant", "Laura Gil", data={"reason": "welcome"}).status_code == 303
    assert registry.principal("Anna Lindqvist").has("site_security_officer", "site:BIFI")
    assert "welcome" in registry.ask("GET", "/roles", "Laura Gil").text
    assert registry.ask("GET", "/roles", None).status_code == 401

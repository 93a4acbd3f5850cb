"""Pages of members: find somebody, everything about one of them, and the memberships that end."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from markupsafe import Markup
from sqlalchemy.orm import Session

from hanse.identity.permissions import SIGNED_IN, allows
from hanse.pages.words import count
from hanse.web import FormFaults, Pages, csv_response, current_principal, ground, page
from vomsdb import audit, generic_attributes, groups, lifetimes, members, robots, suspensions, vos
from vomsdb.api.members import member_in_reach
from vomsdb.importing import taking
from vomsdb.models.membership import KINDS
from vomsdb.permissions import REMOVE, SEE_MEMBERS, SUSPEND
from vomsdb.views.frame import ENDING_DAYS, PAGE, frame, number_in_query

pages = Pages("vomsdb_member_pages", __name__)


def _asked() -> dict[str, Any]:
    arguments = request.args
    state, kind = arguments.get("state", ""), arguments.get("kind", "")
    return {
        "words": arguments.get("q", "")[:200],
        "state": state if state in ("active", "suspended", "expired", "removed") else "",
        "kind": kind if kind in KINDS else "",
        "group": arguments.get("group", "")[:500],
        "after": number_in_query("after"),
    }


@pages.get("/vos/<vo>/members", permission=SEE_MEMBERS)
def list_members(vo: str) -> Response:
    """Find somebody; filters stand in the address."""
    asked = _asked()
    with ground().db.transaction() as session:
        whole = frame(session, vo, "members")
        found = members.search(session, vo, limit=PAGE + 1, **asked)
        tree = groups.tree(session, vo)
    sizes = whole["sizes"]
    words = Markup("<b>{}</b> active, {} suspended, {} expired.")
    return page(
        "vomsdb/members.html",
        title=vo,
        sentence=words.format(*(sizes.get(state, 0) for state in ("active", "suspended", "expired"))),
        crumbs=[("VOs", "/vos")],
        api=f"/api/v1/vos/{vo}/members",
        csv=f"/vos/{vo}/members.csv",
        profiles=found[:PAGE],
        next_id=found[PAGE - 1].member.id if len(found) > PAGE else None,
        groups=tree,
        asked=asked,
        **whole,
    )


@pages.get("/vos/<vo>/members.csv", permission=SEE_MEMBERS)
def members_csv(vo: str) -> Response:
    """All members that the filters let through."""
    with ground().db.transaction() as session:
        found = members.search(session, vo, limit=100_000, **{**_asked(), "after": 0})
    columns = [
        "id",
        "kind",
        "name",
        "email",
        "institution",
        "state",
        "until",
        "aup_version",
        "subjects",
        "fqans",
    ]
    rows = (
        {
            "id": p.member.id,
            "kind": p.member.kind,
            "name": p.person.name,
            "email": p.person.email,
            "institution": p.person.institution,
            "state": p.member.state,
            "until": p.member.until,
            "aup_version": p.member.aup_version,
            "subjects": " ".join(held.certificate.subject for held in p.certificates),
            "fqans": " ".join(p.fqans),
        }
        for p in found
    )
    return csv_response(rows, columns, f"{vo}-members.csv")


@pages.get("/members/<int:member_id>", permission=SIGNED_IN)
def member(member_id: int) -> Response:
    """Everything about one member; for managers also what can be done."""
    return member_page(member_id, FormFaults())


def member_page(member_id: int, form: FormFaults, status: int = 200) -> Response:
    """The page of one member, with what was wrong with a form of it."""
    caller = current_principal()
    with ground().db.transaction() as session:
        profile = member_in_reach(session, member_id)
        vo = profile.member.vo
        context: dict[str, Any] = {
            "options": _options(session, profile),
            "past": audit.of_member(session, member_id),
            "values": generic_attributes.of_member(session, profile.member),
            "attributes": generic_attributes.classes(session, vo),
            "robots": robots.owned(session, member_id),
            "owner": robots.owner_of(session, profile.member),
            "version": vos.found(session, vo).aup_version,
            "came_from": taking.came_from(session, profile.member),
        }
    return page(
        "vomsdb/member.html",
        title=profile.person.name,
        sentence=_member_sentence(profile),
        crumbs=[("VOs", "/vos"), (vo, f"/vos/{vo}/members")],
        api=f"/api/v1/members/{member_id}",
        status=status,
        profile=profile,
        form=form,
        may_suspend=allows(caller, SUSPEND, f"vo:{vo}"),
        may_arrange=allows(caller, REMOVE, f"vo:{vo}"),
        codes=[(code, suspensions.WORDS[code]) for code in suspensions.BY_HAND],
        words=suspensions.WORDS,
        **context,
    )


def _options(session: Session, profile: members.Profile) -> list[str]:
    """Groups and roles that the member does not hold."""
    vo = profile.member.vo
    tree, roles = groups.tree(session, vo), vos.roles_of(session, vo)
    paths = [size.group.path for size in tree]
    every = [*paths, *(f"{path}/Role={role.name}" for path in paths for role in roles)]
    return [fqan for fqan in every if fqan not in profile.fqans]


def _member_sentence(profile: members.Profile) -> Markup:
    one = profile.member
    if one.state == "suspended":
        words = Markup("<b>Suspended in {} by {}:</b> {}, {}")
        return words.format(
            one.vo, one.suspended_by, suspensions.WORDS[str(one.suspension_code)], one.suspension_reason
        )
    return Markup("<b>{}</b> member of {} until {}.").format(
        one.state.capitalize(), one.vo, f"{one.until:%d %b %Y}"
    )


@pages.get("/vos/<vo>/ending", permission=SEE_MEMBERS)
def ending(vo: str) -> Response:
    """Whose membership ends soon or has ended, to be prolonged one by one or in bulk."""
    with ground().db.transaction() as session:
        whole = frame(session, vo, "ending")
        found = lifetimes.ending(session, vo, ENDING_DAYS)
        total = lifetimes.ending_count(session, vo, ENDING_DAYS)
        ended = lifetimes.ending_count(session, vo, 0)
        weeks = lifetimes.ending_by_week(session, vo, 13)
        days = whole["vo"].membership_days
    words = Markup("Ending within 90 days: <b>{}</b>; ended and still to be prolonged: {}.")
    return page(
        "vomsdb/ending.html",
        title=vo,
        sentence=words.format(count(total - ended, "membership"), ended),
        crumbs=[("VOs", "/vos")],
        api=f"/api/v1/vos/{vo}/members",
        profiles=found,
        total=total,
        weeks=weeks,
        days=days,
        warned=lifetimes.WARNED,
        may_prolong=allows(current_principal(), REMOVE, f"vo:{vo}"),
        **whole,
    )

"""Pages for VO managers: who waits, who is in, groups and roles, the AUP, what was done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

from flask import Response, flash, redirect, request
from markupsafe import Markup
from pydantic import Field
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as AnyResponse

from hanse.errors import Conflict, FieldFault, Forbidden, HanseError, Refused
from hanse.identity.permissions import SIGNED_IN, allows
from hanse.pages.words import age, ago, count
from hanse.web import FormFaults, Pages, authorise, csv_response, current_principal, ground, page, read_form
from vomsdb import applications, audit, aups, decisions, groups, members, promise, vos
from vomsdb.api.answers import promise as promised
from vomsdb.api.answers import settings
from vomsdb.api.people import member_in_reach
from vomsdb.models import Application, Vo
from vomsdb.permissions import (
    ARRANGE,
    ARRANGE_MEMBER,
    DECIDE,
    PUBLISH_AUP,
    SEE_MEMBERS,
    SEE_QUEUE,
    SUSPEND,
)
from vomsdb.schemas.fields import Fqan, Id, LongText, Reason, Text, Wire

pages = Pages("vomsdb_manager_pages", __name__)
_PAGE = 50


def _frame(session: Session, name: str, tab: str) -> dict[str, Any]:
    """What the head of each page of a VO needs: the VO and its tabs with their numbers."""
    vo: Vo = vos.found(session, name)
    sizes = members.counts(session, name)
    here = sum(sizes.get(state, 0) for state in ("active", "suspended"))
    tabs = [
        ("Queue", f"/vos/{name}/queue", tab == "queue", applications.pending_count(session, name)),
        ("Members", f"/vos/{name}/members", tab == "members", here),
        ("Groups and roles", f"/vos/{name}/groups", tab == "groups", len(groups.tree(session, name))),
        ("AUP", f"/vos/{name}/aup", tab == "aup", None),
        ("At the sites", f"/replication?vo={name}", False, None),
        ("History", f"/vos/{name}/history", tab == "history", None),
    ]
    return {"vo": vo, "tabs": tabs, "sizes": sizes}


# --- the queue ----------------------------------------------------------------------------------------------------


@pages.get("/vos/<vo>/queue", permission=SEE_QUEUE)
def queue(vo: str) -> Response:
    """Who waits, what speaks against them, and the state of the VO beside it."""
    caller = current_principal()
    with ground().db.transaction() as session:
        frame = _frame(session, vo, "queue")
        waiting = applications.in_vo(session, vo, "pending", limit=200)
        context: dict[str, Any] = {
            "waiting": waiting,
            "doubts": applications.doubts(session, waiting),
            "unconfirmed": len(applications.in_vo(session, vo, "submitted", limit=200)),
            "aup": aups.in_force(session, vo),
            "signed": aups.signed_counts(session, vo),
            "ending": members.ending_by_week(session, vo, 13),
            "pairs": promise.pairs(session, promised(), vo=vo),
            "newest": members.search(session, vo, limit=8),
            "speed": promise.speed(session),
        }
    here = settings()
    return page(
        "vomsdb/queue.html",
        title=vo,
        sentence=_queue_sentence(waiting),
        crumbs=[("VOs", "/vos")],
        api=f"/api/v1/vos/{vo}/requests?state=pending",
        refresh_s=30,
        may_decide=allows(caller, DECIDE, f"vo:{vo}"),
        own_keys=caller.keys | {caller.key},
        warn_s=here.late_after_s,
        limit_s=here.breach_after_s,
        **frame,
        **context,
    )


def _queue_sentence(waiting: Sequence[Application]) -> Markup:
    if not waiting:
        return Markup("<b>Nobody waits for your decision.</b>")
    oldest = ago(min(a.confirmed_at or a.created_at for a in waiting))
    words = Markup("<b>{} for your decision,</b> the oldest for {}.")
    return words.format("1 person waits" if len(waiting) == 1 else f"{len(waiting)} people wait", age(oldest))


class QueueForm(Wire):
    """Buttons of the queue: `approve:7`, or approve or reject for the ticked ones."""

    action: Annotated[str, Field(pattern="^(approve:[0-9]{1,15}|approve|reject|reject-now)$")]
    request: list[Id] = Field(default_factory=list, max_length=500)
    reason: Reason = ""


@pages.post("/vos/<vo>/queue", permission=DECIDE)
def decide(vo: str) -> AnyResponse:
    """Decides each by itself: what somebody else was quicker with does not stop the rest."""
    filled, faults = read_form(QueueForm)
    if filled is None:
        raise Refused("Nothing was decided.", *(FieldFault(k, v) for k, v in faults.faults.items()))
    action, _, single = filled.action.partition(":")
    ids = [int(single)] if single else filled.request
    if not ids:
        flash("Nobody was ticked, so nothing was decided.")
    elif action == "reject":
        return _ask_why(vo, ids)
    else:
        _decide_all(vo, ids, action, filled.reason)
    return redirect(f"/vos/{vo}/queue", 303)


def _decide_all(vo: str, ids: Sequence[int], action: str, reason: str) -> None:
    act = decisions.approve if action == "approve" else decisions.reject
    if action != "approve" and not reason.strip():
        raise Refused("Nothing was rejected: a reason is needed, the applicants read it.")
    done, caller = [], current_principal()
    for application_id in ids:
        try:
            with ground().db.transaction() as session:
                done.append(act(session, vo, application_id, reason, caller).name)
        except (Conflict, Forbidden, HanseError) as fault:
            flash(f"Request {application_id}: {fault.detail}")
    if done:
        flash(f"{', '.join(done)}: {'approved' if action == 'approve' else 'rejected'}.")


def _ask_why(vo: str, ids: Sequence[int]) -> Response:
    with ground().db.transaction() as session:
        found = [one for one in (applications.one(session, vo, i) for i in ids) if one is not None]
    return page(
        "vomsdb/reject.html",
        title="Reject",
        sentence=Markup("<b>{}</b> will read the reason.").format(", ".join(one.name for one in found)),
        crumbs=[("VOs", "/vos"), (vo, f"/vos/{vo}/queue")],
        vo_name=vo,
        requests=found,
    )


@pages.get("/vos/<vo>/requests/<int:request_id>", permission=SEE_QUEUE)
def one_request(vo: str, request_id: int) -> Response:
    """One request whole, to approve or to reject with a reason."""
    caller = current_principal()
    with ground().db.transaction() as session:
        application = applications.one(session, vo, request_id)
        if application is None:
            raise Refused(f"{vo} has no request {request_id}.")
        doubts = applications.doubts(session, [application])[application.id]
    return page(
        "vomsdb/request.html",
        title=application.name,
        sentence=Markup("Asks to join <b>{}</b>; the request is <b>{}</b>.").format(vo, application.state),
        crumbs=[("VOs", "/vos"), (vo, f"/vos/{vo}/queue")],
        api=f"/api/v1/vos/{vo}/requests/{request_id}",
        application=application,
        doubts=doubts,
        may_decide=allows(caller, DECIDE, f"vo:{vo}") and application.state == "pending",
        own=application.key in caller.keys | {caller.key},
    )


# --- members ------------------------------------------------------------------------------------------------------


def _asked() -> dict[str, Any]:
    arguments = request.args
    state = arguments.get("state", "")
    cursor = arguments.get("after", "0")
    return {
        "words": arguments.get("q", "")[:200],
        "state": state if state in ("active", "suspended", "expired", "removed") else "",
        "group": arguments.get("group", "")[:500],
        "after": int(cursor) if cursor.isdigit() and len(cursor) < 16 else 0,
    }


@pages.get("/vos/<vo>/members", permission=SEE_MEMBERS)
def list_members(vo: str) -> Response:
    """Find somebody; filters stand in the address."""
    asked = _asked()
    with ground().db.transaction() as session:
        frame = _frame(session, vo, "members")
        found = members.search(session, vo, limit=_PAGE + 1, **asked)
        tree = groups.tree(session, vo)
    sizes = frame["sizes"]
    words = Markup("<b>{}</b> active, {} suspended, {} expired.")
    return page(
        "vomsdb/members.html",
        title=vo,
        sentence=words.format(*(sizes.get(state, 0) for state in ("active", "suspended", "expired"))),
        crumbs=[("VOs", "/vos")],
        api=f"/api/v1/vos/{vo}/members",
        csv=f"/vos/{vo}/members.csv",
        profiles=found[:_PAGE],
        next_id=found[_PAGE - 1].member.id if len(found) > _PAGE else None,
        groups=tree,
        asked=asked,
        **frame,
    )


@pages.get("/vos/<vo>/members.csv", permission=SEE_MEMBERS)
def members_csv(vo: str) -> Response:
    """All members that the filters let through."""
    with ground().db.transaction() as session:
        found = members.search(session, vo, limit=100_000, **{**_asked(), "after": 0})
    columns = ["id", "name", "email", "institution", "state", "until", "aup_version", "subjects", "fqans"]
    rows = (
        {
            "id": p.member.id,
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
    return _member_page(member_id, FormFaults())


def _member_page(member_id: int, form: FormFaults, status: int = 200) -> Response:
    caller = current_principal()
    with ground().db.transaction() as session:
        profile = member_in_reach(session, member_id)
        vo = profile.member.vo
        tree, roles = groups.tree(session, vo), vos.roles_of(session, vo)
        past = audit.of_member(session, member_id)
    options = [size.group.path for size in tree if size.group.path not in profile.fqans]
    options += [
        f"{size.group.path}/Role={role.name}"
        for size in tree
        for role in roles
        if f"{size.group.path}/Role={role.name}" not in profile.fqans
    ]
    return page(
        "vomsdb/member.html",
        title=profile.person.name,
        sentence=_member_sentence(profile),
        crumbs=[("VOs", "/vos"), (vo, f"/vos/{vo}/members")],
        api=f"/api/v1/members/{member_id}",
        status=status,
        profile=profile,
        options=options,
        past=past,
        form=form,
        may_suspend=allows(caller, SUSPEND, f"vo:{vo}"),
        may_arrange=allows(caller, ARRANGE_MEMBER, f"vo:{vo}"),
        codes=[(code, members.WORDS[code]) for code in members.BY_HAND],
        words=members.WORDS,
    )


def _member_sentence(profile: members.Profile) -> Markup:
    one = profile.member
    if one.state == "suspended":
        words = Markup("<b>Suspended in {} by {}:</b> {}, {}")
        return words.format(
            one.vo, one.suspended_by, members.WORDS[str(one.suspension_code)], one.suspension_reason
        )
    return Markup("<b>{}</b> member of {} until {}.").format(
        one.state.capitalize(), one.vo, f"{one.until:%d %b %Y}"
    )


class MemberForm(Wire):
    """What can be done on a member's page."""

    action: Literal["suspend", "restore", "give", "take", "remove"]
    code: Literal["SECURITY_INCIDENT", "HR_DB_VALIDATION", "OTHER"] = "OTHER"
    reason: Reason = ""
    certificate: Id | None = None
    fqan: Fqan | None = None


@pages.post("/members/<int:member_id>", permission=SUSPEND)
def change_member(member_id: int) -> AnyResponse:
    """Suspends, restores, gives or takes a group or role, or removes."""
    filled, form = read_form(MemberForm)
    if filled is None:
        return _member_page(member_id, form, 422)
    try:
        with ground().db.transaction() as session:
            vo = members.profile(session, member_id).member.vo
            wanted = SUSPEND if filled.action in ("suspend", "restore") else ARRANGE_MEMBER
            authorise(wanted, f"vo:{vo}")
            _change(session, member_id, filled)
    except (Refused, Conflict) as fault:
        return _member_page(member_id, FormFaults.of(fault, request.form.to_dict()), 422)
    return redirect(f"/vos/{vo}/members" if filled.action == "remove" else f"/members/{member_id}", 303)


def _change(session: Session, member_id: int, filled: MemberForm) -> None:
    caller = current_principal()
    if filled.action == "suspend" and filled.certificate:
        members.suspend_certificate(session, member_id, filled.certificate, filled.reason, caller)
    elif filled.action == "restore" and filled.certificate:
        members.restore_certificate(session, member_id, filled.certificate, filled.reason, caller)
    elif filled.action == "suspend":
        members.suspend(session, member_id, filled.code, filled.reason, caller)
    elif filled.action == "restore":
        members.restore(session, member_id, filled.reason, caller)
    elif filled.action == "remove":
        members.remove(session, member_id, filled.reason, caller)
    elif filled.fqan is None:
        raise Refused("Choose a group or role.", FieldFault("fqan", "must be chosen"))
    elif filled.action == "give":
        groups.give(session, member_id, filled.fqan, caller)
    else:
        groups.take(session, member_id, filled.fqan, caller)


# --- groups, roles, AUP, history ----------------------------------------------------------------------------------


class GroupForm(Wire):
    """A new group (by path) or role (by name)."""

    path: Annotated[str, Field(max_length=500)] | None = None
    role: Annotated[str, Field(max_length=64)] | None = None
    description: Text = ""


@pages.get("/vos/<vo>/groups", permission=SEE_MEMBERS)
def group_tree(vo: str) -> Response:
    """The tree of groups, and the roles."""
    return _groups_page(vo, FormFaults())


@pages.post("/vos/<vo>/groups", permission=ARRANGE)
def create_group(vo: str) -> AnyResponse:
    """A group or a role."""
    filled, form = read_form(GroupForm)
    if filled is None:
        return _groups_page(vo, form, 422)
    try:
        with ground().db.transaction() as session:
            if filled.role is not None:
                groups.create_role(session, vo, filled.role, filled.description, current_principal())
            else:
                groups.create_group(session, vo, filled.path or "", filled.description, current_principal())
    except (Refused, Conflict) as fault:
        return _groups_page(vo, FormFaults.of(fault, request.form.to_dict()), 422)
    return redirect(f"/vos/{vo}/groups", 303)


def _groups_page(vo: str, form: FormFaults, status: int = 200) -> Response:
    with ground().db.transaction() as session:
        frame = _frame(session, vo, "groups")
        tree, roles = groups.tree(session, vo), vos.roles_of(session, vo)
    return page(
        "vomsdb/groups.html",
        title=vo,
        sentence=Markup("<b>{}</b> and <b>{}</b>.").format(
            count(len(tree), "group"), count(len(roles), "role")
        ),
        crumbs=[("VOs", "/vos")],
        api=f"/api/v1/vos/{vo}/groups",
        status=status,
        tree=tree,
        roles=roles,
        form=form,
        may_arrange=allows(current_principal(), ARRANGE, f"vo:{vo}"),
        **frame,
    )


class AupForm(Wire):
    """A new version of the AUP."""

    text: LongText
    days_to_sign: Annotated[int, Field(ge=0, le=365)] = 15


@pages.get("/vos/<vo>/aup", permission=SEE_MEMBERS)
def aup(vo: str) -> Response:
    """The version in force, who signed it, and a form for the next."""
    return _aup_page(vo, FormFaults())


@pages.post("/vos/<vo>/aup", permission=PUBLISH_AUP)
def publish_aup(vo: str) -> AnyResponse:
    """Publishes a version; members have some days to sign."""
    filled, form = read_form(AupForm)
    if filled is None:
        return _aup_page(vo, form, 422)
    with ground().db.transaction() as session:
        aups.publish(session, vo, filled.text, filled.days_to_sign, current_principal())
    return redirect(f"/vos/{vo}/aup", 303)


def _aup_page(vo: str, form: FormFaults, status: int = 200) -> Response:
    with ground().db.transaction() as session:
        frame = _frame(session, vo, "aup")
        current = aups.in_force(session, vo)
        signed, everybody = aups.signed_counts(session, vo)
    return page(
        "vomsdb/vo_aup.html",
        title=vo,
        sentence=Markup("<b>{} of {} have signed version {}.</b>").format(signed, everybody, current.version),
        crumbs=[("VOs", "/vos")],
        api=f"/api/v1/vos/{vo}/aups/{current.version}",
        status=status,
        aup=current,
        due=current.published_at + timedelta(days=current.days_to_sign),
        signed=signed,
        everybody=everybody,
        form=form,
        may_publish=allows(current_principal(), PUBLISH_AUP, f"vo:{vo}"),
        **frame,
    )


@pages.get("/vos/<vo>/history", permission=SEE_MEMBERS)
def history(vo: str) -> Response:
    """Who changed what, when and why."""
    before = request.args.get("before", "")
    with ground().db.transaction() as session:
        frame = _frame(session, vo, "history")
        entries = audit.of_vo(session, vo, int(before) if before.isdigit() and len(before) < 16 else None)
    return page(
        "vomsdb/history.html",
        title=vo,
        sentence="Every change with its author and reason, newest first.",
        crumbs=[("VOs", "/vos")],
        api="/api/v1/changes",
        entries=entries,
        **frame,
    )

"""Pages of a VO's own affairs: groups and roles, the AUP, mails, what was done."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from flask import Response, flash, redirect, request
from markupsafe import Markup
from pydantic import Field
from werkzeug.wrappers import Response as AnyResponse

from hanse.errors import Conflict, Refused
from hanse.identity.permissions import allows
from hanse.pages.words import count
from hanse.web import FormFaults, Pages, current_principal, ground, page, read_form
from vomsdb import audit, aups, group_managers, groups, mails, vos
from vomsdb.permissions import APPOINT_IN_GROUP, ARRANGE, PUBLISH_AUP, SEE_MEMBERS
from vomsdb.schemas.fields import Line, LongText, Name, Pem, Text, Wire
from vomsdb.views.frame import PAGE, frame, number_in_query
from vomsdb.vos import Manager, identity_from_pem

pages = Pages("vomsdb_affairs_pages", __name__)


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


class GroupManagerForm(Wire):
    """A manager of a group: to appoint by certificate, or to dismiss by key."""

    group: Annotated[str, Field(min_length=2, max_length=500)]
    name: Name = "somebody"
    email: Line = ""
    pem: Pem = ""
    dismiss: Annotated[str, Field(max_length=100)] = ""


@pages.post("/vos/<vo>/group-managers", permission=APPOINT_IN_GROUP)
def change_group_managers(vo: str) -> AnyResponse:
    """Appoints or dismisses a manager of a group."""
    filled, form = read_form(GroupManagerForm)
    if filled is None:
        return _groups_page(vo, form, 422)
    caller = current_principal()
    try:
        with ground().db.transaction() as session:
            if filled.dismiss:
                group_managers.dismiss(session, vo, filled.group, filled.dismiss, caller)
            else:
                manager = Manager(identity_from_pem(filled.pem, "pem"), filled.name, filled.email)
                group_managers.appoint(session, vo, filled.group, manager, caller)
    except (Refused, Conflict) as fault:
        return _groups_page(vo, FormFaults.of(fault, request.form.to_dict()), 422)
    return redirect(f"/vos/{vo}/groups", 303)


def _groups_page(vo: str, form: FormFaults, status: int = 200) -> Response:
    with ground().db.transaction() as session:
        whole = frame(session, vo, "groups")
        tree, roles = groups.tree(session, vo), vos.roles_of(session, vo)
        managers = group_managers.of_vo(session, vo)
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
        managers=managers,
        form=form,
        may_arrange=allows(current_principal(), ARRANGE, f"vo:{vo}"),
        **whole,
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


class AskForm(Wire):
    """Within how many days all are to sign again."""

    days: Annotated[int, Field(ge=0, le=365)] = 15


@pages.post("/vos/<vo>/aup/ask", permission=PUBLISH_AUP)
def ask_again(vo: str) -> AnyResponse:
    """Asks all who have signed the version in force to sign it again."""
    filled, form = read_form(AskForm)
    if filled is None:
        return _aup_page(vo, form, 422)
    with ground().db.transaction() as session:
        asked = aups.ask_again(session, vo, None, filled.days, current_principal())
    flash(f"{count(asked, 'member')} asked to sign again within {count(filled.days, 'day')}.")
    return redirect(f"/vos/{vo}/aup", 303)


def _aup_page(vo: str, form: FormFaults, status: int = 200) -> Response:
    with ground().db.transaction() as session:
        whole = frame(session, vo, "aup")
        current = aups.in_force(session, vo)
        signed, everybody = aups.signed_counts(session, vo)
        unsigned, versions = aups.unsigned(session, vo), aups.versions(session, vo)
    return page(
        "vomsdb/vo_aup.html",
        title=vo,
        sentence=Markup("<b>{} of {} have signed version {}.</b>").format(signed, everybody, current.version),
        crumbs=[("VOs", "/vos")],
        api=f"/api/v1/vos/{vo}/aups/{current.version}",
        status=status,
        aup=current,
        due=unsigned.last or current.published_at + timedelta(days=current.days_to_sign),
        unsigned=unsigned,
        reminded=aups.REMINDED,
        versions=versions,
        signed=signed,
        everybody=everybody,
        form=form,
        may_publish=allows(current_principal(), PUBLISH_AUP, f"vo:{vo}"),
        **whole,
    )


@pages.get("/vos/<vo>/history", permission=SEE_MEMBERS)
def history(vo: str) -> Response:
    """Who changed what, when and why."""
    with ground().db.transaction() as session:
        whole = frame(session, vo, "history")
        entries = audit.of_vo(session, vo, number_in_query("before") or None)
    return page(
        "vomsdb/history.html",
        title=vo,
        sentence="Every change with its author and reason, newest first.",
        crumbs=[("VOs", "/vos")],
        api="/api/v1/changes",
        entries=entries,
        **whole,
    )


@pages.get("/vos/<vo>/mails", permission=SEE_MEMBERS)
def sent_mails(vo: str) -> Response:
    """What was written on behalf of the VO, and what became of it; texts, which may hold links, are not shown."""
    state = request.args.get("state", "")
    with ground().db.transaction() as session:
        whole = frame(session, vo, "mails")
        known = state if state in mails.STATES else None
        found = mails.of_vo(session, vo, known, number_in_query("before"), PAGE + 1)
        failed = len(mails.of_vo(session, vo, "failed", limit=PAGE))
    return page(
        "vomsdb/mails.html",
        title=vo,
        sentence=Markup("<b>{}</b> could not be delivered.").format(count(failed, "mail")) if failed else "",
        crumbs=[("VOs", "/vos")],
        api=f"/api/v1/vos/{vo}/mails",
        mails=found[:PAGE],
        next_id=found[PAGE - 1].id if len(found) > PAGE else None,
        state=known or "",
        **whole,
    )

"""The page of who waits: requests to join, and what members ask for; decided one by one or in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from flask import Response, flash, redirect, request
from markupsafe import Markup
from pydantic import Field
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as AnyResponse

from hanse.errors import FieldFault, HanseError, NotFound, Refused
from hanse.identity.permissions import allows
from hanse.pages.words import age, ago, count
from hanse.web import Pages, current_principal, ground, page, read_form
from vomsdb import (
    applications,
    aups,
    decisions,
    group_managers,
    lifetimes,
    member_requests,
    members,
    promise,
    standings,
)
from vomsdb.api.answers import promise as promised
from vomsdb.api.answers import settings
from vomsdb.member_requests import Asked
from vomsdb.models import Application
from vomsdb.permissions import DECIDE, DECIDE_MEMBER, SEE_ASKED, SEE_QUEUE
from vomsdb.schemas.fields import Reason, Wire
from vomsdb.views.frame import frame

pages = Pages("vomsdb_queue_pages", __name__)
KINDS = ("member", "group", "role", "certificate", "removal")
MOST = 50
"""So many of a kind are shown, the oldest: deciding brings the next ones."""


@dataclass(frozen=True)
class Waiting:
    """A row of the queue. `ref` is the number of a request to join, or m and the number of what a member asks."""

    ref: str
    kind: str
    name: str
    under_name: tuple[str, ...]
    identity: tuple[str, str]
    asks: str
    doubts: Sequence[str]
    since: datetime
    url: str
    own: bool


def _applicant(one: Application, doubts: Sequence[str], own_keys: frozenset[str]) -> Waiting:
    return Waiting(
        ref=str(one.id),
        kind="member",
        name=one.name,
        under_name=(one.institution, one.email),
        identity=_known_by(one),
        asks="member",
        doubts=doubts,
        since=one.confirmed_at or one.created_at,
        url=f"/vos/{one.vo}/requests/{one.id}",
        own=one.key in own_keys,
    )


def _known_by(one: Application) -> tuple[str, str]:
    if one.subject_der is None:
        return f"sign-in {one.subject}", urlsplit(one.issuer).hostname or one.issuer
    return _cn(one.subject), _cn(one.issuer)


def _asking(asked: Asked, own: bool) -> Waiting:
    one = asked.request
    thing = (member_requests.fqan_of(one) or one.kind).replace(f"/{one.vo}", "…", 1)
    return Waiting(
        ref=f"m{one.id}",
        kind=one.kind,
        name=asked.person.name,
        under_name=(asked.person.institution, one.motivation),
        identity=(_cn(one.subject), _cn(one.issuer)) if one.subject and one.issuer else ("member", ""),
        asks=thing,
        doubts=asked.doubts,
        since=one.created_at,
        url=f"/vos/{one.vo}/asked/{one.id}",
        own=own,
    )


def _cn(name: str) -> str:
    return "CN=" + name.rpartition("/CN=")[2]


def _waiting(session: Session, vo: str) -> list[Waiting]:
    caller = current_principal()
    keys = caller.keys | {caller.key}
    rows: list[Waiting] = []
    if allows(caller, SEE_QUEUE, f"vo:{vo}"):
        found = applications.in_vo(session, vo, "pending", limit=MOST)
        doubts = applications.doubts(session, found)
        rows += [_applicant(one, doubts[one.id], keys) for one in found]
    own = {p.member.id for p in members.of_keys(session, keys)}
    asked = member_requests.in_vo(session, vo, caller, "pending", limit=MOST)
    rows += [_asking(one, one.request.member_id in own) for one in asked]
    return sorted(rows, key=lambda row: row.since)


@pages.get("/vos/<vo>/queue", permission=SEE_ASKED)
def queue(vo: str) -> Response:
    """Who waits, what speaks against them, and the state of the VO beside it."""
    caller = current_principal()
    kind = request.args.get("kind", "")
    group_managers.check_in_vo(caller, vo, SEE_ASKED)
    with ground().db.transaction() as session:
        whole = frame(session, vo, "queue")
        waiting = _waiting(session, vo)
        beside = _beside(session, vo) if allows(caller, SEE_QUEUE, f"vo:{vo}") else {}
        total = _total(session, vo, waiting)
    return page(
        "vomsdb/queue.html",
        title=vo,
        sentence=_sentence(waiting, total, beside),
        total=total,
        crumbs=[("VOs", "/vos")],
        api=f"/api/v1/vos/{vo}/requests?state=pending",
        refresh_s=30,
        may_decide=bool(group_managers.managed(caller, vo)) or allows(caller, DECIDE, f"vo:{vo}"),
        waiting=[row for row in waiting if kind not in KINDS or row.kind == kind],
        kind=kind,
        kinds=KINDS,
        warn_s=settings().late_after_s,
        limit_s=settings().breach_after_s,
        beside=beside,
        **whole,
    )


def _beside(session: Session, vo: str) -> dict[str, Any]:
    return {
        "unconfirmed": applications.unconfirmed_count(session, vo),
        "aup": aups.in_force(session, vo),
        "signed": aups.signed_counts(session, vo),
        "unsigned": aups.unsigned(session, vo),
        "ending": lifetimes.ending_by_week(session, vo, 13),
        "soon": lifetimes.ending_count(session, vo, 15),
        "pairs": standings.worst_sites(session, promised(), vo),
        "sites": standings.summary(session, promised(), vo=vo).total,
        "newest": members.search(session, vo, limit=8),
        "speed": promise.speed(session),
    }


def _total(session: Session, vo: str, waiting: Sequence[Waiting]) -> int:
    """How many wait, those included for whom there is no place on the page."""
    applicants = sum(not row.ref.startswith("m") for row in waiting)
    if applicants < MOST:
        return len(waiting)
    return len(waiting) - applicants + applications.pending_count(session, vo)


def _sentence(waiting: Sequence[Waiting], total: int, beside: dict[str, Any]) -> Markup:
    if not waiting:
        first = Markup("<b>Nobody waits for your decision.</b>")
    else:
        words = Markup("<b>{} for your decision,</b> the oldest for {}.")
        many = "1 person waits" if total == 1 else f"{total:,} people wait"
        first = words.format(many, age(ago(waiting[0].since)))
    parts = []
    if beside.get("soon"):
        parts.append(f"{count(beside['soon'], 'membership')} ending within 15 days, or ended already")
    if beside and beside["signed"][1] > beside["signed"][0]:
        left = beside["signed"][1] - beside["signed"][0]
        parts.append(f"{count(left, 'signature')} of the AUP missing")
    return first + (" " + "; ".join(parts) + "." if parts else "")


class QueueForm(Wire):
    """Buttons of the queue: `approve:7`, or approve or reject for the ticked ones. m7 = what a member asks for."""

    action: Annotated[str, Field(pattern="^(approve:m?[0-9]{1,15}|approve|reject|reject-now)$")]
    request: list[Annotated[str, Field(pattern="^m?[0-9]{1,15}$")]] = Field(
        default_factory=list, max_length=500
    )
    reason: Reason = ""


@pages.post("/vos/<vo>/queue", permission=DECIDE_MEMBER)
def decide(vo: str) -> AnyResponse:
    """Decides each by itself: what somebody else was quicker with does not stop the rest."""
    group_managers.check_in_vo(current_principal(), vo, DECIDE_MEMBER)
    filled, faults = read_form(QueueForm)
    if filled is None:
        raise Refused("Nothing was decided.", *(FieldFault(k, v) for k, v in faults.faults.items()))
    action, _, single = filled.action.partition(":")
    refs = [single] if single else filled.request
    if not refs:
        flash("Nobody was ticked, so nothing was decided.")
    elif action == "reject":
        return _ask_why(vo, refs)
    else:
        _decide_all(vo, refs, action, filled.reason)
    return redirect(f"/vos/{vo}/queue", 303)


def _decide_all(vo: str, refs: Sequence[str], action: str, reason: str) -> None:
    if action != "approve" and not reason.strip():
        raise Refused("Nothing was rejected: a reason is needed, the applicants read it.")
    done: list[str] = []
    for ref in refs:
        kind, number = ("member_request", ref[1:]) if ref.startswith("m") else ("request", ref)
        try:
            with ground().db.transaction() as session:
                name = _name_of(session, vo, ref)
                word = "approve" if action == "approve" else "reject"
                decisions.decide(session, vo, kind, int(number), word, reason, current_principal())
            done.append(name)
        except HanseError as fault:
            flash(f"Request {number}: {fault.detail}")
    if done:
        flash(f"{', '.join(done)}: {'approved' if action == 'approve' else 'rejected'}.")


def _name_of(session: Session, vo: str, ref: str) -> str:
    if ref.startswith("m"):
        return member_requests.one(session, vo, int(ref[1:]), current_principal()).person.name
    found = applications.one(session, vo, int(ref))
    if found is None:
        raise NotFound(f"{vo} has no request {ref}.")
    return found.name


def _ask_why(vo: str, refs: Sequence[str]) -> Response:
    with ground().db.transaction() as session:
        rows = [row for row in _waiting(session, vo) if row.ref in refs]
    return page(
        "vomsdb/reject.html",
        title="Reject",
        sentence=Markup("<b>{}</b> will read the reason.").format(", ".join(row.name for row in rows)),
        crumbs=[("VOs", "/vos"), (vo, f"/vos/{vo}/queue")],
        vo_name=vo,
        requests=rows,
    )


@pages.get("/vos/<vo>/requests/<int:request_id>", permission=SEE_QUEUE)
def one_request(vo: str, request_id: int) -> Response:
    """One request whole, to approve or to reject with a reason."""
    caller = current_principal()
    with ground().db.transaction() as session:
        application = applications.one(session, vo, request_id)
        if application is None:
            raise NotFound(f"{vo} has no request {request_id}.")
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


@pages.get("/vos/<vo>/asked/<int:request_id>", permission=SEE_ASKED)
def one_asked(vo: str, request_id: int) -> Response:
    """What one member asks for, to approve or to reject with a reason."""
    caller = current_principal()
    with ground().db.transaction() as session:
        asked = member_requests.one(session, vo, request_id, caller)
        own = {p.member.id for p in members.of_keys(session, caller.keys | {caller.key})}
    one = asked.request
    scopes = group_managers.scopes(vo, one.path or f"/{vo}")
    return page(
        "vomsdb/asked.html",
        title=asked.person.name,
        sentence=Markup("Asks for <b>{}</b>; the request is <b>{}</b>.").format(
            member_requests.what(one), one.state
        ),
        crumbs=[("VOs", "/vos"), (vo, f"/vos/{vo}/queue")],
        api=f"/api/v1/vos/{vo}/member-requests/{request_id}",
        asked=asked,
        one=one,
        what=member_requests.what(one),
        may_decide=allows(caller, DECIDE_MEMBER, *scopes) and one.state == "pending",
        own=one.member_id in own,
    )

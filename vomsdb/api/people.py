"""/api/v1: requests to join, and what somebody sees of themselves."""

from __future__ import annotations

from datetime import timedelta

from hanse.errors import NotFound
from hanse.identity.permissions import PUBLIC, SIGNED_IN, allows
from hanse.web import Api, Listing, current_principal, ground
from vomsdb import applications, decisions, members, vos
from vomsdb.api.answers import cut, member_out, number_after, request_out, settings
from vomsdb.applications import Form, Terms
from vomsdb.permissions import DECIDE, SEE_QUEUE
from vomsdb.schemas.fields import RequestPath, RequestQuery, VoPath
from vomsdb.schemas.people import (
    ConfirmationIn,
    ConfirmationOut,
    DecisionIn,
    MemberOut,
    RequestIn,
    RequestOut,
    RequestPage,
)

api = Api("vomsdb_people", __name__, "People")


def terms() -> Terms:
    """How requests are handled, from the settings."""
    here = settings()
    return Terms(
        confirm_url=here.url.rstrip("/") + "/confirm/",
        confirm_within=timedelta(hours=here.confirmation_hours),
        decide_within=timedelta(days=here.request_days),
    )


# --- requests -----------------------------------------------------------------------------------------------------


@api.post("/vos/<vo>/requests", permission=SIGNED_IN, summary="Ask to join", responses={201: RequestOut})
def submit(path: VoPath, body: RequestIn) -> tuple[RequestOut, int]:
    """Needs the certificate by which sites will know the applicant; a mail asks to confirm the address."""
    with ground().db.transaction() as session:
        form = Form(**body.model_dump())
        return request_out(applications.submit(session, path.vo, form, current_principal(), terms())), 201


@api.post("/confirmations", permission=PUBLIC, summary="Confirm an address", responses={200: ConfirmationOut})
def confirm(body: ConfirmationIn) -> ConfirmationOut:
    """The token of the mail is the proof; it works once."""
    with ground().db.transaction() as session:
        application = applications.confirm(session, body.token, terms())
    return ConfirmationOut(id=application.id, vo=application.vo, state=application.state)


@api.get("/vos/<vo>/requests", permission=SEE_QUEUE, summary="Requests", responses={200: RequestPage})
def list_requests(path: VoPath, query: RequestQuery) -> RequestPage:
    """Oldest first, with what a manager should know before approving."""
    after = number_after(query.cursor)
    with ground().db.transaction() as session:
        vos.found(session, path.vo)
        found = applications.in_vo(session, path.vo, query.state, after, query.limit + 1)
        shown, more = cut(found, query.limit)
        doubts = applications.doubts(session, shown)
    items = [request_out(application, doubts[application.id]) for application in shown]
    return RequestPage(items=items, next=str(items[-1].id) if more else None)


@api.get(
    "/vos/<vo>/requests/<request>", permission=SIGNED_IN, summary="A request", responses={200: RequestOut}
)
def one_request(path: RequestPath) -> RequestOut:
    """For its applicant and the VO's managers."""
    caller = current_principal()
    with ground().db.transaction() as session:
        application = applications.one(session, path.vo, path.request)
    own = application is not None and application.key in caller.keys | {caller.key}
    if application is None or not (own or allows(caller, SEE_QUEUE, f"vo:{path.vo}")):
        raise NotFound(f"You have no request {path.request} to join {path.vo}.")
    return request_out(application)


@api.post(
    "/vos/<vo>/requests/<request>/decision",
    permission=DECIDE,
    summary="Approve or reject",
    responses={200: RequestOut},
)
def decide(path: RequestPath, body: DecisionIn) -> RequestOut:
    """Once, by a manager who is not the applicant; whoever comes second is told who was quicker."""
    act = decisions.approve if body.decision == "approve" else decisions.reject
    with ground().db.transaction() as session:
        return request_out(act(session, path.vo, path.request, body.reason, current_principal()))


@api.post(
    "/vos/<vo>/requests/<request>/withdrawal",
    permission=SIGNED_IN,
    summary="Take a request back",
    responses={200: RequestOut},
)
def withdraw(path: RequestPath) -> RequestOut:
    """By the applicant."""
    with ground().db.transaction() as session:
        return request_out(decisions.withdraw(session, path.vo, path.request, current_principal()))


@api.get("/me/requests", permission=SIGNED_IN, summary="My requests", responses={200: Listing[RequestOut]})
def my_requests() -> Listing[RequestOut]:
    """Newest first."""
    caller = current_principal()
    with ground().db.transaction() as session:
        found = applications.of_keys(session, caller.keys | {caller.key})
    return Listing[RequestOut](items=[request_out(application) for application in found])


@api.get(
    "/me/memberships", permission=SIGNED_IN, summary="My memberships", responses={200: Listing[MemberOut]}
)
def my_memberships() -> Listing[MemberOut]:
    """By VO."""
    caller = current_principal()
    with ground().db.transaction() as session:
        return Listing[MemberOut](
            items=[member_out(profile) for profile in members.of_keys(session, caller.keys | {caller.key})]
        )

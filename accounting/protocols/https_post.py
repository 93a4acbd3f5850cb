"""Messages by a plain HTTPS POST: our own, and that of apel's REST interface (POST /api/v1/cloud/record).

The caller shows a certificate or a token. Messages are signed, except those of sites that the registry (extension
property `accounting.unsigned`) or the setting `unsigned_sites` lets off: there the caller, who is known by the
connection, stands for the signer.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import structlog
from flask import Response, current_app
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError

from accounting.inbox import Arrival, Inbox, Sender
from accounting.permissions import PUBLISH
from accounting.places import sends_unsigned
from accounting.protocols.senders import sender_of
from accounting.settings import AccountingSettings
from hanse.database import is_out_of_room
from hanse.errors import Forbidden, HanseError, Refused, Unauthorised, Unavailable
from hanse.web import Api, Protocol, QueryModel, current_principal, ground
from hanse.web.bodies import body_unpacked
from hanse.web.problems import status_of

log = structlog.get_logger(__name__)
messages_api = Api("accounting_messages", __name__, "Messages")
apel_rest = Protocol("apel_rest", __name__)


class PostQuery(QueryModel):
    """Whose message it is."""

    site: str | None = Field(
        None,
        max_length=255,
        description="For a credential that speaks for several sites: which of them sends.",
    )


class ReceiptOut(BaseModel):
    """A message that is safe. `state` says what is known of its verdict, `verdict` where it will stand."""

    id: int
    sha256: str
    site: str = Field(description='The site of the sender; "" = of none, or of several.')
    unsigned: bool = Field(description="Whether the site may send without a signature.")
    verdict: str


@messages_api.post(
    "/messages",
    permission=PUBLISH,
    summary="Send a message of usage records",
    description=(
        "The body is the message itself, S/MIME signed with a host certificate of the site, or plain text where the"
        " site may; any content type; gzip as Content-Encoding is undone. It is on disk before the answer, and the"
        " same bytes sent again get the same answer and count once, unless their month was taken out of the figures"
        " meanwhile. What is in it is judged after: see `verdict`."
    ),
    responses={202: ReceiptOut},
)
def post_message(query: PostQuery) -> tuple[ReceiptOut, int, dict[str, str]]:
    """Take one message into the inbox."""
    body = body_unpacked()
    if not body.strip():
        raise Refused("The body is empty: send the message, with its header line, as the body.")
    sender = _sender(query.site)
    number = _accept(body, sender)
    path = f"/api/v1/messages/{number}"
    receipt = ReceiptOut(
        id=number,
        sha256=hashlib.sha256(body).hexdigest(),
        site=sender.site,
        unsigned=sender.unsigned,
        verdict=path,
    )
    return receipt, 202, {"Location": path}


@apel_rest.route("/api/v1/cloud/record", ["POST"], permission=PUBLISH)
def post_cloud_record() -> Response:
    """One message, as clients of apel's REST interface send it; answered in its words."""
    _accept(body_unpacked(), _sender(None))
    return Response('"Data successfully saved for future loading."', 202, content_type="application/json")


@apel_rest.errorhandler(HanseError)
def refuse(error: HanseError) -> Response:
    """apel's interface answers 401 and 403 with nothing; everything else says why."""
    silent = isinstance(error, Unauthorised | Forbidden)
    return Response(
        "" if silent else error.detail, status_of(error), content_type="text/plain; charset=utf-8"
    )


def _sender(named: str | None) -> Sender:
    sender = sender_of(current_principal(), named)
    return replace(sender, unsigned=bool(sender.site) and _may_be_plain(sender.site))


def _may_be_plain(site: str) -> bool:
    settings = ground().settings
    assert isinstance(settings, AccountingSettings)
    if site in settings.unsigned_sites:
        return True
    with ground().db.transaction() as session:
        return sends_unsigned(session, site)


def _accept(body: bytes, sender: Sender) -> int:
    inbox = current_app.extensions["accounting.inbox"]
    assert isinstance(inbox, Inbox)
    try:
        return inbox.accept([Arrival(body)], sender, source="https")[0]
    except SQLAlchemyError as error:
        if not is_out_of_room(error):
            raise
        log.error("a message could not be stored", error=str(error.__cause__ or error))
        raise Unavailable("The message cannot be stored at the moment; send it again later.") from error

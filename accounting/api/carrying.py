"""What is pulled from an AMS of others, and what was told upward."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from accounting import carrying, schemas
from accounting.api.common import number_before
from accounting.asking.question import parse_month
from accounting.carrying import Told
from accounting.models import ForwardedMessage
from accounting.permissions import SEE_CARRYING
from hanse.web import Api, CursorQuery, Listing, cursor_page, ground

carrying_api = Api("accounting_carrying", __name__, "Pulled and forwarded", csv=True)
State = Literal["waiting", "sent", "replaced"]


class ForwardedQuery(CursorQuery):
    """Which messages for the higher federation."""

    site: str | None = Field(None, max_length=255, description="Only of this site.")
    month: str | None = Field(None, pattern=schemas.MONTH, description="Only of this month, YYYY-MM.")
    state: State | None = Field(None, description="Only in this state.")


class ForwardedOut(BaseModel):
    """A message for the higher federation. `replaced`: the month changed before it was sent, and was written anew."""

    id: int
    state: State
    site: str
    month: str
    kind: str = Field(description="vm: summaries of a cloud; job: summaries of jobs.")
    records: int
    destination: str
    empaid: str
    number: str = Field(description='The id that the AMS there gave it; "" until then.')
    written_at: datetime
    sent_at: datetime | None


class PullOut(BaseModel):
    """How pulling from a subscription goes. `error` is the last failure since it last succeeded."""

    source: str
    messages: int
    pulled_at: datetime | None
    message_at: datetime | None
    error: str


@carrying_api.get(
    "/forwarded-messages",
    permission=SEE_CARRYING,
    summary="Messages written for a higher federation, newest first",
    responses={200: Listing[ForwardedOut]},
)
def forwarded_messages(query: ForwardedQuery) -> dict[str, Any]:
    """What was told upward, when, and under which number; what waits is among it."""
    told = Told(query.site, parse_month(query.month, "month") if query.month else None, query.state)
    with ground().db.transaction() as session:
        rows = carrying.forwarded(session, told, number_before(query.cursor), query.limit + 1)
    return cursor_page(rows, query.limit, key=lambda row: [row.id], show=_shown)


@carrying_api.get(
    "/pulls",
    permission=SEE_CARRYING,
    summary="Subscriptions that are pulled from, and how that goes",
    responses={200: Listing[PullOut]},
)
def pull_states() -> dict[str, Any]:
    """One row a subscription."""
    with ground().db.transaction() as session:
        rows = carrying.pulls(session)
    return {
        "items": [{name: getattr(row, name) for name in PullOut.model_fields} for row in rows],
        "next": None,
    }


def _shown(row: ForwardedMessage) -> dict[str, Any]:
    told = {name: getattr(row, name) for name in ForwardedOut.model_fields if name != "month"}
    return {**told, "month": f"{row.month:%Y-%m}"}

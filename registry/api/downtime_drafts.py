"""/api/v1: drafts of downtimes, one's own and those that are proposed for one's sites."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hanse.web import Api, PathModel, current_principal, ground
from registry import downtime_drafts
from registry.api.answers import Body
from registry.models import DowntimeDraft
from registry.rights import DECLARE_DOWNTIME
from registry.schemas.downtime_drafts import DraftIn, DraftOut, DraftPage

api = Api("registry_downtime_drafts", __name__, "Downtimes", csv=True)


class DraftPath(PathModel):
    """A draft by its key."""

    key: Annotated[str, Field(min_length=1, max_length=64)]


@api.get(
    "/downtime-drafts", permission=DECLARE_DOWNTIME, summary="Drafts of downtimes", responses={200: DraftPage}
)
def list_drafts() -> Body:
    """At most 50 of one's own, and the proposals for one's sites."""
    with ground().db.transaction() as session:
        return {"items": [_told(draft) for draft in downtime_drafts.of(session, current_principal())]}


@api.post("/downtime-drafts", permission=DECLARE_DOWNTIME, summary="Keep a draft", responses={201: DraftOut})
def keep_draft(body: DraftIn) -> tuple[Body, int]:
    """Kept for 7 days after its last change."""
    return _one(downtime_drafts.save(ground().db, current_principal(), body.model_dump())), 201


@api.get(
    "/downtime-drafts/<string:key>",
    permission=DECLARE_DOWNTIME,
    summary="One draft",
    responses={200: DraftOut},
)
def one_draft(path: DraftPath) -> Body:
    """A draft of one's own, or a proposal for one's site."""
    return _one(path.key)


@api.put(
    "/downtime-drafts/<string:key>",
    permission=DECLARE_DOWNTIME,
    summary="Replace a draft",
    responses={200: DraftOut},
)
def replace_draft(path: DraftPath, body: DraftIn) -> Body:
    """A proposal stays as it is for the others: the answer is a new draft of one's own."""
    return _one(downtime_drafts.save(ground().db, current_principal(), body.model_dump(), path.key))


@api.delete(
    "/downtime-drafts/<string:key>",
    permission=DECLARE_DOWNTIME,
    summary="Throw a draft away",
    responses={204: None},
)
def discard_draft(path: DraftPath) -> None:
    """A proposal that is thrown away is not made again for the same outage."""
    downtime_drafts.discard(ground().db, current_principal(), path.key)


def _one(key: str) -> Body:
    with ground().db.transaction() as session:
        return _told(downtime_drafts.find(session, current_principal(), key))


def _told(draft: DowntimeDraft) -> Body:
    return {
        "key": draft.key,
        "kind": "own" if draft.proposal is None else "proposal",
        "reason": draft.reason,
        "draft": DraftIn.model_validate(
            {k: v for k, v in draft.body.items() if k in DraftIn.model_fields}
        ).model_dump(),
        "changed_at": draft.changed_at,
        "kept_until": draft.changed_at + downtime_drafts.KEPT,
    }

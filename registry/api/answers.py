"""What the routes share: who may see contacts, revisions as ETags, and the revision that a writer has read."""

from __future__ import annotations

import re
from typing import Annotated, Any

from flask import request
from pydantic import Field

from hanse.errors import FieldFault, Refused
from hanse.web import PathModel, current_principal
from registry.schemas.fields import MAX_ID, Query, Reason
from registry.states import State

Name = Annotated[str, Field(min_length=1, max_length=255)]
Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Body = dict[str, Any]


class RemovalQuery(Query):
    """Why something is removed; stands in the log."""

    reason: Reason = ""


class SitePath(PathModel):
    """A site by its name."""

    site: Name


class SiteThingPath(PathModel):
    """Something of a site, by its id."""

    site: Name
    number: Id


class NumberPath(PathModel):
    """Something by its id."""

    number: Id


class NgiPath(PathModel):
    """An NGI by its name."""

    ngi: Name


def read_revision() -> int | None:
    """The revision in `If-Match` that the caller's change builds on; None without. Raises Refused when unreadable."""
    given = request.headers.get("If-Match", "").strip()
    if given in ("", "*"):
        return None
    found = re.fullmatch(r'(?:W/)?"?([0-9]{1,18})(?:-[a-z]+)?"?', given)
    if found is None:
        raise Refused(
            "The header If-Match names no revision.",
            FieldFault("If-Match", 'send the ETag of what you read, such as "48213"'),
        )
    return int(found[1])


def tagged(state: State, body: Body) -> tuple[Body, int, dict[str, str]]:
    """An answer whose ETag is the revision; what visitors are shown differs, and so does its tag."""
    kept = "" if current_principal().signed_in else "-public"
    return body, 200, {"ETag": f'"{state.revision}{kept}"', "Vary": "Cookie, Authorization"}


def with_revision(state: State) -> Body:
    """The entity with the revision that made it so."""
    return {**state.body, "revision": state.revision, "updated_at": state.at}


def site_answer(state: State) -> Body:
    """A site; addresses of people and machines are for those who are signed in."""
    body = with_revision(state)
    if not current_principal().signed_in:
        body["contacts"] = [{**contact, "email": None, "telephone": None} for contact in body["contacts"]]
        body["telephone"] = None
        body["agent_url"] = None
    return body


def page_of(states: list[State], limit: int, shown: list[Body], cursor: str) -> Body:
    """`shown` with the cursor of the next page when one more row than `limit` was found."""
    return {"items": shown[:limit], "next": cursor if len(states) > limit else None}

"""The head of a VO's pages: its tabs with their numbers, as far as the reader may open them."""

from __future__ import annotations

from typing import Any

from flask import request
from sqlalchemy.orm import Session

from hanse.identity.permissions import allows
from hanse.web import current_principal
from vomsdb import applications, groups, lifetimes, member_requests, members, vos
from vomsdb.models import Vo
from vomsdb.permissions import SEE_MEMBERS, SEE_QUEUE

ENDING_DAYS = 90
PAGE = 50


def frame(session: Session, name: str, tab: str) -> dict[str, Any]:
    """What the head of each page of a VO needs: the VO and its tabs with their numbers. Raises NotFound."""
    vo: Vo = vos.found(session, name)
    caller = current_principal()
    waiting = member_requests.pending_count(session, name, caller)
    if not allows(caller, SEE_MEMBERS, f"vo:{name}"):
        return {"vo": vo, "tabs": [("Queue", f"/vos/{name}/queue", True, waiting)], "sizes": {}}
    if allows(caller, SEE_QUEUE, f"vo:{name}"):
        waiting += applications.pending_count(session, name)
    sizes = members.counts(session, name)
    here = sum(sizes.get(state, 0) for state in ("active", "suspended"))
    ending = lifetimes.ending_count(session, name, ENDING_DAYS)
    tabs = [
        ("Queue", f"/vos/{name}/queue", tab == "queue", waiting),
        ("Members", f"/vos/{name}/members", tab == "members", here),
        ("Groups and roles", f"/vos/{name}/groups", tab == "groups", len(groups.tree(session, name))),
        ("Ending", f"/vos/{name}/ending", tab == "ending", ending),
        ("AUP", f"/vos/{name}/aup", tab == "aup", None),
        ("Card", f"/vos/{name}/card", tab == "card", None),
        ("Mails", f"/vos/{name}/mails", tab == "mails", None),
        ("At the sites", f"/replication?vo={name}", False, None),
        ("History", f"/vos/{name}/history", tab == "history", None),
    ]
    return {"vo": vo, "tabs": tabs, "sizes": sizes}


def number_in_query(name: str) -> int:
    """A number after the `?`; 0 when there is none or it is none."""
    given = request.args.get(name, "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 16 else 0

"""Where the portal links of GOCDB's interface lead: mails, tickets and bookmarks are full of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

from flask import redirect, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from hanse.errors import NotFound
from hanse.identity.permissions import PUBLIC
from hanse.web import Pages, ground
from registry.models import Downtime, Ngi, Person, Project, Service, ServiceGroup, Site
from registry.views.record_kinds import GROUPS, NGIS, PROJECTS

pages = Pages("registry_portal", __name__)

Place = Callable[[Session, int], str | None]


def _site(session: Session, number: int) -> str | None:
    found = session.get(Site, number)
    return None if found is None else f"/sites/{quote(found.name, safe='')}"


def _service(session: Session, number: int) -> str | None:
    return None if session.get(Service, number) is None else f"/services/{number}"


def _downtime(session: Session, number: int) -> str | None:
    return None if session.get(Downtime, number) is None else f"/downtimes/{number}"


def _ngi(session: Session, number: int) -> str | None:
    found = session.get(Ngi, number)
    return None if found is None else f"{NGIS.path}/{quote(found.name, safe='')}"


def _group(session: Session, number: int) -> str | None:
    found = session.get(ServiceGroup, number)
    return None if found is None else f"{GROUPS.path}/{quote(found.name, safe='')}"


def _project(session: Session, number: int) -> str | None:
    found = session.get(Project, number)
    return None if found is None else f"{PROJECTS.path}/{quote(found.name, safe='')}"


def _user(session: Session, number: int) -> str | None:
    return None if session.get(Person, number) is None else f"/people/{number}"


# as GOCDB spells them
_PLACES: Final[Mapping[str, Place]] = {
    "Site": _site,
    "Service": _service,
    "Downtime": _downtime,
    "NGI": _ngi,
    "Service_Group": _group,
    "Project": _project,
    "User": _user,
}


@pages.get("/portal/index.php", permission=PUBLIC)
def portal() -> BaseResponse:
    """On to our page; the start page for a link without a target."""
    kind, number = request.args.get("Page_Type", ""), request.args.get("id", "")
    if not kind:
        return redirect("/")
    if kind not in _PLACES or not (number.isascii() and number.isdigit()) or len(number) > 15:
        raise NotFound("This link names nothing here.")
    with ground().db.transaction() as session:
        place = _PLACES[kind](session, int(number))
    if place is None:
        raise NotFound("This link names nothing that is registered here now.")
    return redirect(place)


@pages.get("/portal/", permission=PUBLIC)
def start() -> BaseResponse:
    """The portal's own start page."""
    return redirect("/")

"""Finding a cloud: which sites have room for a VO's machine, and the command that starts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flask import request
from markupsafe import Markup
from pydantic import ValidationError
from werkzeug.wrappers import Response as BaseResponse

from hanse.identity.permissions import PUBLIC
from hanse.web import Pages, ground, page
from registry import clouds, directory
from registry.clouds import Places
from registry.places import Place
from registry.schemas.cloudinfo import CloudQuery

pages = Pages("registry_cloud_pages", __name__)
SHOWN = 50
CORES = (1, 2, 4, 8, 16, 32, 64)
MEMORY_GB = (1, 2, 4, 8, 16, 32, 64, 128)


@pages.get("/clouds", permission=PUBLIC)
def find_a_cloud() -> BaseResponse:
    """Places that fit; the chosen one with its commands."""
    query, told = _query()
    with ground().db.transaction() as session:
        found = clouds.find(session, query)
        declared = {vo for site in directory.look(ground().db, session).sites for vo in site.vos}
    vos = sorted(declared | found.vos)
    start = int(query.cursor or 0)
    shown = found[start : start + SHOWN]
    chosen = _chosen(shown)
    words = request.query_string.decode("ascii", "replace")
    return page(
        "registry/clouds.html",
        title="Find a cloud",
        sentence=_sentence(found, query),
        api="/api/v1/clouds" + (f"?{words}" if words else ""),
        csv="/api/v1/clouds.csv" + (f"?{words}" if words else ""),
        refresh_s=None if query.as_of else 30,
        told=told,
        query=query,
        places=shown,
        total=len(found),
        start=start,
        next_cursor=start + SHOWN if len(found) > start + SHOWN else None,
        chosen=chosen,
        vos=[("", "any"), *((vo, vo) for vo in vos)],
        cores=[("", "any"), *((str(count), f"{count} or more") for count in CORES)],
        memory=[("", "any"), *((str(size * 1024), f"{size} GB or more") for size in MEMORY_GB)],
        middleware=[("", "any"), ("openstack", "OpenStack"), ("opennebula", "OpenNebula"), ("occi", "OCCI")],
        place_key=place_key,
    )


def place_key(place: Place) -> str:
    """Which row of the list is chosen, in the address."""
    return f"{place.site} {place.vo} {place.endpoint}"


def _chosen(shown: Sequence[Place]) -> Place | None:
    """The place in the address, or the best; with the size and the image in the address in front."""
    wanted = request.args.get("at")
    able = [place for place in shown if place.able]
    place = next((place for place in shown if place_key(place) == wanted), able[0] if able else None)
    if place is None or not place.able:
        return place
    size, image = request.args.get("size"), request.args.get("os")
    sizes = sorted(place.sizes, key=lambda one: one["id"] != size)
    images = sorted(place.images, key=lambda one: one["id"] != image)
    return replace(place, sizes=sizes, images=images)


def _query() -> tuple[CloudQuery, str]:
    """The filter in the address; what cannot be read is left out and named."""
    given: dict[str, Any] = {
        name: value for name, value in request.args.items() if value and name in CloudQuery.model_fields
    }
    given.pop("limit", None)
    try:
        return CloudQuery.model_validate(given), ""
    except ValidationError as error:
        wrong = sorted({str(one["loc"][0]) for one in error.errors()})
        kept = {name: value for name, value in given.items() if name not in wrong}
        words = ", ".join(wrong).replace("_mb", "").replace("_", " ")
        return CloudQuery.model_validate(kept), f"The filter by {words} cannot be read and was left out."


def _sentence(found: Places, query: CloudQuery) -> Markup:
    ready = [place for place in found.published if place.able]
    sites = len({place.site for place in ready})
    whom = Markup(" for {}").format(query.vo) if query.vo else Markup("")
    if not ready:
        return Markup("<b>No site{} publishes a size and an image that fit.</b>").format(whom)
    free = [place.room.free_vcpu for place in ready if place.room.free_vcpu is not None]
    room = (
        Markup(" Most room: <b>{} vCPU</b> at {}.").format(max(free), ready[0].site) if free else Markup("")
    )
    return Markup("<b>{} {} can run it{}.</b>{}").format(sites, "site" if sites == 1 else "sites", whom, room)

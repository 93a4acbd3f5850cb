"""The page of the attribute authority: its certificates and until when, and the texts that sites need of each."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Response, request
from markupsafe import Markup

from hanse.identity.permissions import PUBLIC
from hanse.web import Pages, ground, page
from vomsdb import authorities, clients, vos
from vomsdb.api.answers import settings
from vomsdb.authorities import Shown

pages = Pages("vomsdb_authority_pages", __name__)


@pages.get("/authority", permission=PUBLIC)
def authority() -> Response:
    """For everybody: what stands here are names that each attribute certificate carries."""
    name = request.args.get("vo", "")[:64]
    found = authorities.shown(settings(), datetime.now(UTC))
    if name:
        with ground().db.transaction() as session:
            vos.found(session, name)
    return page(
        "vomsdb/authority.html",
        title="Attribute authority",
        sentence=_sentence(found),
        crumbs=[("VOs", "/vos"), *([(name, f"/vos/{name}")] if name else [])],
        api="/api/v1/authority",
        seats=found,
        vo_name=name,
        texts=[_text(name, one) for one in found] if name else [],
        same_names=authorities.same_names(found),
        warned_days=authorities.WARNED.days,
    )


def _text(vo: str, one: Shown) -> clients.ClientFiles | None:
    seat = one.seat
    return None if one.fault else clients.files(vo, seat.certificate, seat.host, seat.port)


def _sentence(found: list[Shown]) -> Markup:
    for one in found:
        if one.fault:
            return Markup("<b>A certificate cannot be read.</b> {}").format(one.fault)
    worst = next((one for one in found if one.warned), None)
    if worst is not None and worst.not_after is not None:
        words = Markup("<b>The certificate of {} {} {}.</b> Whoever runs it must put the next one in place.")
        verb = "ended on" if worst.state == "ended" else "ends on"
        return words.format(worst.seat.host, verb, f"{worst.not_after:%d %b %Y}")
    ends = min(one.not_after for one in found if one.not_after is not None)
    return Markup("<b>In order:</b> no certificate ends before {}.").format(f"{ends:%d %b %Y}")

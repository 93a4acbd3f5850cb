"""/api/v1/authority: the certificates of the attribute authority."""

from __future__ import annotations

from datetime import UTC, datetime

from hanse.identity.permissions import PUBLIC
from hanse.web import Api, Listing
from vomsdb import authorities
from vomsdb.api.answers import settings
from vomsdb.authorities import Shown
from vomsdb.schemas.authority import SeatOut

api = Api("vomsdb_authority", __name__, "Attribute authority")


@api.get("/authority", permission=PUBLIC, summary="Certificates in use", responses={200: Listing[SeatOut]})
def certificates() -> Listing[SeatOut]:
    """The one in use first, then the one that follows when the key is renewed; `fault` where one cannot be read."""
    found = authorities.shown(settings(), datetime.now(UTC))
    return Listing[SeatOut](items=[_out(one) for one in found])


def _out(one: Shown) -> SeatOut:
    seat = one.seat
    return SeatOut(
        host=seat.host,
        port=seat.port,
        state=one.state,
        subject=one.subject,
        issuer=one.issuer,
        serial=f"{one.serial:x}",
        not_after=one.not_after,
        signs_from=seat.begins,
        signs_until=seat.ends,
        fault=one.fault,
    )

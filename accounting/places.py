"""Where sites are and what they declare, as the registry's feed tells it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.database import Followed

UNSIGNED = "accounting.unsigned"
YES = frozenset({"true", "yes", "1"})
UNKNOWN = "unknown"
"""What a lookup says of a site that is not registered, or of a VO whose discipline nobody has told."""


@dataclass(frozen=True)
class Place:
    """A site with its NGI, country, degrees (None = nobody registered them) and declared vCPUs."""

    site: str
    ngi: str
    country: str
    latitude: float | None
    longitude: float | None
    vcpu: int | None

    def value(self, dimension: str) -> str:
        """Its site, ngi or country."""
        return str(getattr(self, dimension))

    def fits(self, where: Iterable[tuple[str, str]]) -> bool:
        """Whether it lies in every one of these (dimension, value)."""
        return all(self.value(name) == value for name, value in where)


def places(session: Session) -> list[Place]:
    """Every site of the registry, by name."""
    body = Followed.body
    wanted = [body[name] for name in ("name", "ngi", "country", "latitude", "longitude")]
    statement = select(*wanted, body["capacity"]["vcpu"]).where(Followed.kind == "site")
    found = [_place(*row) for row in session.execute(statement)]
    return sorted(found, key=lambda place: place.site)


def sends_unsigned(session: Session, site: str) -> bool:
    """Whether the registry says that the site's machines need not sign what they post: its extension property."""
    told = select(Followed.body["extensions"][UNSIGNED].astext).where(
        Followed.kind == "site", Followed.body["name"].astext == site
    )
    return any((value or "").strip().lower() in YES for value in session.scalars(told))


def _place(*told: Any) -> Place:
    site, ngi, country, latitude, longitude, vcpu = told
    return Place(site, ngi or UNKNOWN, country or UNKNOWN, latitude, longitude, vcpu)

"""How each kind of entity is written back from a state of the log: through its use cases, by their rules and rights.

A room with a new kind adds a `Kind` to `KINDS` at its place: what others hang on comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.revisions import History
from registry import downtime_parts
from registry.models import Site
from registry.restoring.downtimes import Downtimes
from registry.restoring.records import Ngis, Projects, Scopes, ServiceGroups, ServiceTypes
from registry.restoring.sites import HostCertificates, Roles, Services, Sites
from registry.restoring.work import Kind, Work

__all__ = ["KINDS", "Kind", "Work", "kind_of", "lock_what_is_there", "order_of"]

# In the order in which things come back; they are taken away in the opposite one.
KINDS: Final[Mapping[str, Kind]] = {
    "scope": Scopes(),
    "service_type": ServiceTypes(),
    "ngi": Ngis(),
    "project": Projects(),
    "site": Sites(),
    "service": Services(),
    "service_group": ServiceGroups(),
    "downtime": Downtimes(),
    "host_certificate": HostCertificates(),
    "role": Roles(),
}
_ORDER: Final = {kind: place for place, kind in enumerate(KINDS)}


def kind_of(kind: str, entity_id: str) -> str:
    """The key in KINDS; "derived" for what follows from others, "strange" for what is never written back."""
    if kind == "grant" and entity_id.startswith("role:"):
        return "derived" if entity_id.endswith(":implied") else "role"
    if kind == "grant" and entity_id.startswith("host_certificate:"):
        return "derived"
    if kind in ("endpoint", "role_request"):
        return "derived"
    return kind if kind in KINDS else "strange"


def order_of(kind: str, entity_id: str, act: str) -> tuple[int, int, str]:
    """What goes leaves before anything comes, what hangs on others first."""
    place = _ORDER[kind_of(kind, entity_id)]
    return (0, -place, entity_id) if act == "remove" else (1, place, entity_id)


def lock_what_is_there(session: Session, rows: Iterable[History]) -> None:
    """Lock the sites that the rows are of, in the one order that all writers keep."""
    ids = [int(row.entity_id) for row in rows if row.kind == "site"]
    names: set[str] = set(session.scalars(select(Site.name).where(Site.id.in_(ids))))
    for row in rows:
        body = row.body or {}
        names.update(filter(None, [body.get("site"), *(body.get("sites") or [])]))
        scope = str(body.get("scope") or "")
        if scope.startswith("site:"):
            names.add(scope.removeprefix("site:"))
    known = set(session.scalars(select(Site.name).where(Site.name.in_(names))))
    downtime_parts.lock_sites(session, sorted(known))

"""How a change of the membership reaches the revision log, and by it the sites' clocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from hanse.identity.principals import Principal
from hanse.revisions import Actor, Change, change
from vomsdb.models import VoChange

#: Who acts when a membership ends or an AUP lapses because time passed.
CLOCK = Actor("service:vomsdb", "the clock")


def actor(principal: Principal) -> Actor:
    """The principal as the log names it."""
    return Actor(principal.key, principal.name)


def iso(at: datetime | None) -> str | None:
    """A time as feeds write it."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Ledger:
    """Entities put or deleted in one revision, and the VOs of which sites must now hold something else."""

    def __init__(self, inner: Change) -> None:
        self._inner = inner
        self.touched: dict[str, bool] = {}

    def put(self, kind: str, entity_id: str, body: Mapping[str, object]) -> None:
        """The entity is `body` from this revision on."""
        self._inner.put(kind, entity_id, dict(body))

    def delete(self, kind: str, entity_id: str) -> None:
        """The entity is gone from this revision on."""
        self._inner.delete(kind, entity_id)

    def sites_differ(self, vo: str, *, urgent: bool = False) -> None:
        """Sites must hold something else of the VO now; urgent overtakes the daily run."""
        self.touched[vo] = urgent or self.touched.get(vo, False)

    def grant(self, key: str, role: str, scope: str, name: str, until: datetime | None = None) -> None:
        """The principal holds the role from this revision on."""
        body = {"principal": key, "role": role, "scope": scope, "name": name}
        self.put("grant", f"{key} {role} {scope}", {**body, "not_before": None, "not_after": iso(until)})

    def revoke(self, key: str, role: str, scope: str) -> None:
        """The principal no longer holds the role."""
        self.delete("grant", f"{key} {role} {scope}")


@contextmanager
def revision(session: Session, by: Actor, reason: str) -> Iterator[Ledger]:
    """One revision in the caller's transaction, which should end right after."""
    with change(session, by, reason) as inner:
        ledger = Ledger(inner)
        yield ledger
    number = (
        inner.number
    )  # None when all was so already: then sites hold what they must, and the number is free
    if number is not None:
        rows = sorted(ledger.touched.items())
        session.add_all(VoChange(vo=vo, revision=number, urgent=urgent) for vo, urgent in rows)

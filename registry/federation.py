"""The whole federation at once: export it as a document, plan what another document would change, apply it.

A plan is the application itself, rolled back: what it shows is what applying does, every rule included.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from hanse.database import Database
from hanse.errors import Conflict
from hanse.identity.permissions import check
from hanse.identity.principals import Principal
from hanse.revisions import Actor, Change
from registry import states
from registry.federation_steps import Application, Step
from registry.recording import recording
from registry.renderings.federation_yaml import (
    FederationDoc,
    parse,
)
from registry.rights import RUN_FEDERATION
from registry.snapshot import document_of
from registry.snapshot_then import document_then


@dataclass(frozen=True)
class Plan:
    """What a document changes; `fingerprint` names exactly these steps. `revision` is None until applied."""

    steps: list[Step]
    revision: int | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the steps, hexadecimal."""
        text = json.dumps(
            [[s.action, s.kind, s.name, s.changes] for s in self.steps], sort_keys=True, default=str
        )
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def sentence(self) -> str:
        """How much it is, in words."""
        if not self.steps:
            return "Nothing to change: the registry is as the file says."
        counts = {
            action: sum(step.action == action for step in self.steps)
            for action in ("add", "change", "remove")
        }
        return ", ".join(f"{count} to {action}" for action, count in counts.items() if count) + "."


class _RolledBack(Exception):
    pass


def export(db: Database, principal: Principal, as_of: str | None = None) -> FederationDoc:
    """Everything that a federation file can hold, or could at a moment. For operators: it names people and their
    certificates.
    """
    check(principal, RUN_FEDERATION, "federation")
    with db.transaction() as session:
        number = states.number_at(session, as_of)
        return document_of(session) if number is None else document_then(session, number)


def plan(db: Database, principal: Principal, text: str, *, prune: bool = False) -> Plan:
    """What applying `text` would do; nothing is kept. Raises what applying would raise."""
    check(principal, RUN_FEDERATION, "federation")
    document = parse(text)
    applied = Application(principal, prune)
    try:
        with db.transaction() as session:
            applied.run(session, Change(session, Actor(principal.key, principal.name), "plan"), document)
            raise _RolledBack
    except _RolledBack:
        return Plan(applied.steps)


def apply(
    db: Database,
    principal: Principal,
    text: str,
    *,
    prune: bool = False,
    expected: str | None = None,
    reason: str = "",
) -> Plan:
    """Make the registry as `text` says, in one revision. With `expected` only if the steps are still those planned."""
    check(principal, RUN_FEDERATION, "federation")
    document = parse(text)
    applied = Application(principal, prune)
    with recording(db, principal, reason or "Federation file applied") as (session, change):
        applied.run(session, change, document)
        done = Plan(applied.steps)
        if expected is not None and done.fingerprint != expected:
            raise Conflict(
                "The registry has changed since this plan was made; plan again and look at the difference."
            )
    return Plan(applied.steps, change.number)

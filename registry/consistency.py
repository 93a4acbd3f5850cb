"""Are rows and log one? Every row as the log would write it, compared with the state that the log says holds now.

A room that records a new table adds it to `RECORDED`; the tests, `hanse doctor` and people after a restore ask `check`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from hanse.revisions import Change, current
from registry import bodies, entities, federation_entities, people, policy_entities
from registry.models import (
    ApiCredential,
    CertificationPolicy,
    CertificationProposal,
    ContactConfirmation,
    Credential,
    Downtime,
    DriftDecision,
    HostCertificate,
    Ngi,
    Person,
    Project,
    Role,
    Scope,
    Service,
    ServiceGroup,
    ServiceType,
    Site,
)

Bodies = dict[str, dict[str, Any]]
MOST_NAMED = 100


@dataclass(frozen=True)
class Disagreement:
    """Where row and log differ. `fields` are those that differ; empty when one of the two is not there at all."""

    kind: str
    id: str
    sentence: str
    fields: tuple[str, ...] = ()


class _Collected(Change):
    """What the rooms would record of their rows."""

    def __init__(self) -> None:
        self.found: dict[str, Bodies] = {}

    def put(self, kind: str, entity_id: str, body: Mapping[str, Any]) -> None:
        self.found.setdefault(kind, {})[entity_id] = json.loads(json.dumps(body))

    def delete(self, kind: str, entity_id: str) -> None:
        self.found.get(kind, {}).pop(entity_id, None)


def check(session: Session) -> list[Disagreement]:
    """What is not as it should be, at most 100 a kind; empty when rows and log are one."""
    rows = rows_as_log(session)
    found = []
    for kind in sorted(rows.keys() | set(states_counted(session))):
        found += _compare(kind, rows.get(kind, {}), current(session, kind))[:MOST_NAMED]
    return found + _log_itself(session)


def rows_as_log(session: Session) -> dict[str, Bodies]:
    """What the log should hold now, by kind and id, from the rows."""
    collected = _Collected()
    for model, put in RECORDED:
        for row in session.scalars(select(model)):
            put(collected, row)
    for token, site in session.execute(select(Credential, Site).join(Site, Credential.site_id == Site.id)):
        entities.put_site_token(collected, token, site)
    for one, site in session.execute(
        select(DriftDecision, Site).join(Site, DriftDecision.site_id == Site.id)
    ):
        collected.put("drift", bodies.drift_id(one), bodies.drift_body(one, site))
    owned = select(Credential, Person).join(Person, Credential.person_id == Person.id)
    for credential, person in session.execute(owned):
        people.put_credential(collected, credential, person)
    return collected.found


def states_counted(session: Session) -> dict[str, int]:
    """How many states of each kind hold now: what a check looks at."""
    counted = text(
        "select kind, count(*) from history where to_revision is null and op = 'put' group by kind order by kind"
    )
    return {kind: int(many) for kind, many in session.execute(counted)}


def _compare(
    kind: str, rows: Mapping[str, Mapping[str, Any]], log: Mapping[str, Mapping[str, Any]]
) -> list[Disagreement]:
    found = [
        Disagreement(kind, one, f"The {kind} {one} is in its table and not in the log.")
        for one in sorted(rows.keys() - log.keys())
    ]
    found += [
        Disagreement(kind, one, f"The log says that the {kind} {one} stands; its table has no such row.")
        for one in sorted(log.keys() - rows.keys())
    ]
    for one in sorted(rows.keys() & log.keys()):
        row, logged = rows[one], log[one]
        fields = tuple(sorted(field for field in {**row, **logged} if row.get(field) != logged.get(field)))
        if fields:
            sentence = f"The {kind} {one} differs between its table and the log in {', '.join(fields)}."
            found.append(Disagreement(kind, one, sentence, fields))
    return found


_CHAIN = text(
    # each state of an entity begins where the one before ended, and only the last is open
    "select kind, entity_id from (select kind, entity_id, from_revision, to_revision, lead(from_revision)"
    " over (partition by kind, entity_id order by from_revision) as following from history) as states"
    " where to_revision is distinct from following limit 100"
)
_EMPTY = text(
    "select number from revision where not exists"
    " (select 1 from history where from_revision = number) order by number limit 100"
)


def _log_itself(session: Session) -> list[Disagreement]:
    found = [
        Disagreement(kind, one, f"The states of the {kind} {one} in the log do not follow on one another.")
        for kind, one in session.execute(_CHAIN)
    ]
    found += [
        Disagreement("revision", str(number), f"Revision {number} changed nothing.")
        for number in session.scalars(_EMPTY)
    ]
    return found


# Each table whose rows the log knows, and how its room records one.
RECORDED: tuple[tuple[type[Any], Callable[[Change, Any], None]], ...] = (
    (Site, entities.put_site),
    (Service, entities.put_service),
    (Downtime, entities.put_downtime),
    (HostCertificate, entities.put_host_certificate),
    (ApiCredential, entities.put_api_credential),
    (Role, entities.put_role),
    (Ngi, federation_entities.put_ngi),
    (Project, federation_entities.put_project),
    (Scope, federation_entities.put_scope),
    (ServiceType, federation_entities.put_service_type),
    (ServiceGroup, federation_entities.put_service_group),
    (CertificationProposal, policy_entities.put_proposal),
    (ContactConfirmation, policy_entities.put_confirmation),
    (CertificationPolicy, policy_entities.put_policy),
)

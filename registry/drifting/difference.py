"""A difference between the registry and what a site publishes, and the look at both sides that finders are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from pydantic import ValidationError
from sqlalchemy.orm import Session

from hanse.errors import FieldFault, Refused
from hanse.revisions import Change
from registry.models import CloudDocument, DriftDecision, Endpoint, Service, Site
from registry.renderings.glue21_json import CLOUD_INTERFACES

Accept = Callable[[Session, Change, Site], None]


@dataclass(frozen=True)
class Difference:
    """One difference. `accept` writes the observed side into the registry; None where only people can mend it.

    `looked_at` is the moment of a look at the past: what was ignored then.
    """

    fact: str
    kind: str
    sentence: str
    declared: Any
    observed: Any
    at: datetime
    accepting: str = ""
    accept: Accept | None = field(default=None, compare=False)
    decision: DriftDecision | None = field(default=None, compare=False)
    looked_at: datetime | None = field(default=None, compare=False)

    @property
    def ignored(self) -> bool:
        """Whether somebody found it to be in order, as it is, and for now."""
        decision = self.decision
        if decision is None or decision.seen != self.seen:
            return False
        return decision.until is None or decision.until > (self.looked_at or datetime.now(UTC))

    @property
    def seen(self) -> dict[str, Any]:
        """Both sides, as a decision remembers them."""
        return {"declared": self.declared, "observed": self.observed}


@dataclass(frozen=True)
class Look:
    """A site with what it publishes now, and what it has published that is no longer valid."""

    site: Site
    services: Sequence[Service]
    documents: Sequence[CloudDocument]
    stale: Sequence[CloudDocument]
    closed: frozenset[int]

    @cached_property
    def at(self) -> datetime:
        return max(document.created_at for document in self.documents)

    def clouds(self) -> Iterator[tuple[Service, Endpoint]]:
        """Endpoints of the registry that are clouds."""
        for service in self.services:
            for endpoint in service.endpoints:
                if {endpoint.interface_name, service.service_type} & set(CLOUD_INTERFACES):
                    yield service, endpoint

    def observed(self) -> Iterator[Mapping[str, Any]]:
        """Endpoints that are published."""
        for document in self.documents:
            yield from document.facts["endpoints"]


def said(value: float | None) -> str:
    return "no" if value is None else f"{value:g}"


def checked(model: Any, values: Mapping[str, Any]) -> Any:
    """What a site publishes has to keep the rules of what people type. Raises Refused."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        faults = [
            FieldFault(".".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, "))
            for one in error.errors(include_url=False)
        ]
        raise Refused("What is published cannot stand in the registry as it is.", *faults) from None

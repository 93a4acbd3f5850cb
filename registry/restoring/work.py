"""What all kinds share when they are written back: one undo, forms made of old bodies, what is gone for good."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session

from hanse.errors import FieldFault, Refused
from hanse.identity.principals import Principal
from hanse.revisions import Body, Change

Form = TypeVar("Form", bound=BaseModel)


@dataclass(frozen=True)
class Work:
    """One undo inside its revision. `whole_site`: a site comes back with all that went with it in that revision."""

    session: Session
    change: Change
    principal: Principal
    reason: str
    whole_site: bool = False


class Kind(Protocol):
    """How one kind of entity is written back. `fields` of a body are those that people set; the rest follows."""

    fields: frozenset[str]

    def change(self, work: Work, entity_id: str, wanted: Body, fields: frozenset[str]) -> None:
        """Set `fields` of the entity as `wanted` has them."""

    def remove(self, work: Work, entity_id: str, now: Body) -> None:
        """Take the entity away again."""

    def restore(self, work: Work, entity_id: str, wanted: Body) -> None:
        """Bring the entity back with its id and primary key."""


def form_of(model: type[Form], body: Mapping[str, Any], fields: Iterable[str]) -> Form:
    """The old values as the API takes them. Raises Refused where a rule of today does not let them in any more."""
    given = {field: body[field] for field in fields if field in model.model_fields and field in body}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        faults = [
            FieldFault(
                ".".join(map(str, fault["loc"])) or "value", fault["msg"].removeprefix("Value error, ")
            )
            for fault in error.errors()
        ]
        raise Refused("What it was then is not taken any more.", *faults) from None


def named(form: BaseModel) -> dict[str, Any]:
    """The fields that a form was given, each whole."""
    return form.model_dump(exclude_unset=True, exclude={"reason"})


def fields_of(*models: type[BaseModel]) -> frozenset[str]:
    """The fields of an entity that people set: those of its forms."""
    return frozenset(name for model in models for name in model.model_fields) - {"reason"}

"""What the steps of an import share: the session, the numbers, the memory of earlier imports, the report."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hanse.errors import HanseError
from hanse.identity.principals import Principal
from hanse.revisions import Actor, Change
from registry.importing.acceptance import accept
from registry.importing.gocdb_records import Record
from registry.importing.merging import Action, Finding, Memory, Merged, Prefer, Report, merge
from registry.importing.numbers import Numbers

Form = TypeVar("Form", bound=BaseModel)
# what only the import itself needs of a record
_APART = frozenset({"extension_numbers"})


@dataclass
class Context:
    """One import on its way into the registry, inside one transaction."""

    session: Session
    principal: Principal
    prefer: Prefer
    report: Report
    memory: Memory
    numbers: Numbers
    changes: list[Change] = field(default_factory=list)
    endpoints: dict[int, int] = field(default_factory=dict)  # number there: number here

    def revision(self, reason: str) -> Change:
        """A revision of its own for what follows; all are written together at the end."""
        made = Change(self.session, Actor(self.principal.key, self.principal.name), reason[:300])
        self.changes.append(made)
        return made

    def skip(self, kind: str, record: Record, *notes: str) -> None:
        """Note that a thing cannot be taken over."""
        self.report.note(Finding("skip", kind, record.name, record.key, notes=tuple(notes)))

    @contextmanager
    def trying(self, kind: str, record: Record, *expire: object) -> Iterator[None]:
        """What our rules refuse of one thing is undone and noted; the others go on."""
        try:
            with self.session.begin_nested():
                yield
        except HanseError as error:
            self.skip(kind, record, str(error))
        except IntegrityError as error:
            named = getattr(getattr(error.orig, "diag", None), "constraint_name", "") or "a constraint"
            self.skip(kind, record, f"does not fit what is here ({named})")
        else:
            return
        for thing in expire:
            self.session.expire(thing)

    def removed_here(self, kind: str, record: Record) -> bool:
        """True, and noted, for a thing that an earlier import brought and somebody here took away since.

        Call it when the thing was not found. With `prefer` theirs it comes back; people never do.
        """
        known = self.memory.find(kind, record.key) is not None
        if not known or (self.prefer == "theirs" and kind != "person"):
            return False
        note = "was removed here since the last import; it stays removed"
        self.report.note(Finding("keep", kind, record.name, record.key, notes=(note,)))
        return True

    def accepted(
        self, kind: str, record: Record, model: type[Form], values: dict[str, Any], needed: Collection[str]
    ) -> tuple[Form, list[str]] | None:
        """The record as one of our forms, with remarks on what was left out; None when it had to be skipped."""
        found = accept(model, values, needed)
        if found.form is None:
            self.skip(kind, record, *found.notes)
            return None
        return found.form, list(found.notes)

    def merged(self, kind: str, record: Record, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Merged:
        """What of `theirs` is to be written over `ours`."""
        before = self.memory.find(kind, record.key)
        return merge(theirs, ours, {} if before is None else before.values, self.prefer)

    def settle(
        self,
        kind: str,
        record: Record,
        entity_id: object,
        theirs: Mapping[str, Any],
        merged: Merged,
        notes: list[str],
        write: Callable[[dict[str, Any]], None],
    ) -> None:
        """Write what differs of a thing that is here already, note it, and remember what was read."""
        if merged.values:
            write(merged.values)
        action: Action = "change" if merged.values else "keep" if merged.notes else "same"
        told = (*notes, *merged.notes)
        self.report.note(Finding(action, kind, record.name, record.key, merged.changes, told))
        self.memory.remember(kind, record.key, entity_id, theirs)

    def added(
        self, kind: str, record: Record, entity_id: object, theirs: Mapping[str, Any], notes: list[str]
    ) -> None:
        """Note a new thing, and remember what was read."""
        changes = {name: (None, value) for name, value in theirs.items() if value not in (None, "", [], {})}
        self.report.note(Finding("add", kind, record.name, record.key, changes, tuple(notes)))
        self.memory.remember(kind, record.key, entity_id, theirs)


def own(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that stand in our forms."""
    return {name: value for name, value in values.items() if name not in _APART}


def given(form: BaseModel, names: Collection[str]) -> dict[str, Any]:
    """The fields of the form that were given and count, each whole."""
    whole = form.model_dump()
    return {name: whole[name] for name in sorted(names) if name in form.model_fields_set}

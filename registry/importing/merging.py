"""What becomes of each thing of another registry here: added, changed, kept as it is, or skipped, and why.

Three values meet in each field: ours, theirs, and what theirs was at the last import. Whoever changed it since wins;
when both did, or when there was no import before and the two differ, `prefer` decides and the report says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.models import ImportedRecord
from registry.schemas.fields import iso

Action = Literal["add", "change", "same", "keep", "skip"]
Prefer = Literal["ours", "theirs"]
Values = Mapping[str, Any]
ACTIONS: tuple[Action, ...] = ("add", "change", "keep", "skip", "same")


@dataclass(frozen=True)
class Finding:
    """One thing: what is done with it, its fields as (ours, new), and remarks on what was left out and why."""

    action: Action
    kind: str
    name: str
    key: str = ""
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For the wire."""
        return {
            "action": self.action,
            "kind": self.kind,
            "name": self.name,
            "key": self.key,
            "changes": {name: [plain(old), plain(new)] for name, (old, new) in self.changes.items()},
            "notes": list(self.notes),
        }


def plain(value: Any) -> Any:
    """A value as JSON has it: times as text, sets and tuples as lists."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    return iso(value) if hasattr(value, "astimezone") else value


@dataclass
class Report:
    """All findings of an import in the order in which it went, and what could not be read there."""

    source: str
    findings: list[Finding] = field(default_factory=list)
    unread: list[tuple[str, str]] = field(default_factory=list)
    revisions: list[int] = field(default_factory=list)

    def note(self, finding: Finding) -> None:
        """Add a finding."""
        self.findings.append(finding)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over what would be written, hexadecimal: applying does this, or nothing.

        Numbers that the registry gives itself differ from the plan to the deed, so that members are counted only.
        """
        steps = [one.as_json() for one in self.findings if one.action in ("add", "change")]
        for step in steps:
            if "services" in step["changes"]:
                step["changes"]["services"] = [len(side or ()) for side in step["changes"]["services"]]
        return hashlib.sha256(json.dumps(steps, sort_keys=True).encode()).hexdigest()

    @property
    def counts(self) -> dict[str, int]:
        """How many things were added, changed, kept, skipped, and the same already."""
        return {action: sum(one.action == action for one in self.findings) for action in ACTIONS}

    @property
    def sentence(self) -> str:
        """How much it is, in words."""
        found = self.counts
        words = {
            "add": "to add",
            "change": "to change",
            "keep": "kept as here",
            "skip": "skipped",
            "same": "the same already",
        }
        told = [f"{found[action]:,} {words[action]}" for action in ACTIONS if found[action]]
        return (", ".join(told) or "Nothing found") + "."

    def as_json(self) -> dict[str, Any]:
        """For the wire: everything but what is the same already, which is only counted."""
        return {
            "source": self.source,
            "plan": self.fingerprint,
            "sentence": self.sentence,
            "counts": self.counts,
            "findings": [one.as_json() for one in self.findings if one.action != "same" or one.notes],
            "unread": [{"method": method, "reason": reason} for method, reason in self.unread],
            "revisions": self.revisions,
        }


@dataclass(frozen=True)
class Merged:
    """The fields to write, what they replace, and remarks on those that stay."""

    values: dict[str, Any]
    changes: dict[str, tuple[Any, Any]]
    notes: tuple[str, ...]


def merge(theirs: Values, ours: Values, last: Values, prefer: Prefer) -> Merged:
    """Decide each field of `theirs`; `last` is what theirs was at the last import, {} before the first."""
    values: dict[str, Any] = {}
    notes = []
    for name, wanted in theirs.items():
        present, before = plain(ours.get(name)), last.get(name)
        if plain(wanted) == present:
            continue
        if name in last and plain(wanted) == before:
            continue  # changed here since, and not there
        free = present == before if name in last else present in (None, "", [], {})
        if free or prefer == "theirs":
            values[name] = wanted
        else:
            notes.append(f"{name}: ours stays ({_short(present)}), theirs is {_short(plain(wanted))}")
    return Merged(values, {name: (ours.get(name), new) for name, new in values.items()}, tuple(notes))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


class Memory:
    """What earlier imports from this source became here."""

    def __init__(self, session: Session, source: str) -> None:
        self._session = session
        self._source = source
        rows = session.scalars(select(ImportedRecord).where(ImportedRecord.source == source))
        self._rows = {(row.kind, row.key): row for row in rows}
        self._entities = {(row.kind, row.entity_id) for row in self._rows.values()}

    def find(self, kind: str, key: str) -> ImportedRecord | None:
        """What the thing became; None when it was not imported before."""
        return self._rows.get((kind, key))

    def remember(self, kind: str, key: str, entity_id: object, values: Values) -> None:
        """Keep what was read now. Nothing personal belongs into `values`."""
        row = self._rows.get((kind, key))
        if row is None:
            row = ImportedRecord(source=self._source, kind=kind, key=key, entity_id="", values={})
            self._session.add(row)
            self._rows[kind, key] = row
        self._entities.add((kind, str(entity_id)))
        kept = plain(values)
        if row.entity_id != str(entity_id) or row.values != kept:
            row.entity_id, row.values = str(entity_id), kept

    def stands_for(self, kind: str, entity_id: object) -> bool:
        """Whether something of this source became that thing already."""
        return (kind, str(entity_id)) in self._entities

    def gone(self, kind: str, read: Iterable[str]) -> list[str]:
        """Keys that earlier imports brought and this one did not find."""
        seen = set(read)
        return sorted(key for row_kind, key in self._rows if row_kind == kind and key not in seen)

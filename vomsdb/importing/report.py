"""What an import does, or would do: one finding a thing, with what changes and why something stays."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from vomsdb.importing.records import Unread

Action = Literal["add", "change", "keep", "skip", "same"]
ACTIONS: tuple[Action, ...] = ("add", "change", "keep", "skip", "same")
_WORDS = {
    "add": "to add",
    "change": "to change",
    "keep": "kept as here",
    "skip": "skipped",
    "same": "the same already",
}


@dataclass(frozen=True)
class Finding:
    """One thing: what is done with it, in which fields, and remarks on what stays or was left out."""

    action: Action
    kind: str
    record: str
    name: str
    changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class Report:
    """All findings in the order in which they were made."""

    source: str
    vo: str
    findings: list[Finding] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How many things were added, changed, kept, skipped, and the same already."""
        return {action: sum(one.action == action for one in self.findings) for action in ACTIONS}

    @property
    def fingerprint(self) -> str:
        """SHA-256 over what would be written, hexadecimal: applying a plan does this, or nothing."""
        steps = [
            [one.action, one.kind, one.record, one.name, list(one.changes)]
            for one in self.findings
            if one.action in ("add", "change")
        ]
        return hashlib.sha256(json.dumps(steps).encode()).hexdigest()

    @property
    def sentence(self) -> str:
        """How much it is, in words."""
        found = self.counts
        told = [f"{found[action]:,} {_WORDS[action]}" for action in ACTIONS if found[action]]
        return (", ".join(told) or "Nothing found") + "."

    def as_json(self) -> dict[str, Any]:
        """The whole report but for what is the same already, which is only counted."""
        shown = [one for one in self.findings if one.action != "same" or one.notes]
        return {
            "source": self.source,
            "vo": self.vo,
            "plan": self.fingerprint,
            "sentence": self.sentence,
            "counts": self.counts,
            "findings": [
                {
                    "action": one.action,
                    "kind": one.kind,
                    "record": one.record,
                    "name": one.name,
                    "changes": list(one.changes),
                    "notes": list(one.notes),
                }
                for one in shown
            ],
            "unread": [
                {"record": one.record, "field": one.field, "reason": one.reason} for one in self.unread
            ],
            "remarks": self.remarks,
        }

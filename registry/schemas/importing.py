"""Moving in, on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from registry.schemas.fields import DistinguishedName, Line, NgiName, Wire

Fingerprint = Annotated[str, Field(max_length=64)]
Prefer = Literal["ours", "theirs"]


class IssuerIn(Wire):
    """A CA in slash form, and the patterns of the subjects that it signs."""

    name: DistinguishedName
    subjects: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=500)]], Field(min_length=1, max_length=100)
    ]


class ImportIn(Wire):
    """Answers of a GOCDB as a zip file in base64, its members named by method (`get_site.1.xml`).

    `source` names where they come from, the same each time. `prefer` decides where both sides changed a field.
    `issuers` say whose certificates people have. `unread` is what the caller could not read.
    """

    archive: Annotated[str, Field(max_length=9_500_000)]
    source: Line
    prefer: Prefer = "ours"
    people: bool = True
    issuers: Annotated[list[IssuerIn], Field(max_length=1000)] = Field(default=[])
    unread: Annotated[list[tuple[Line, Line]], Field(max_length=1000, strict=False)] = Field(default=[])
    sites: Annotated[dict[Line, dict[Line, Any]], Field(max_length=20_000)] = Field(default={})


class ImportApplyIn(ImportIn):
    """`plan` is the fingerprint of the plan that was looked at: nothing is done when the steps are others by now."""

    plan: Fingerprint | None = None


class FedcloudIn(Wire):
    """Site files of the federated cloud by name; `create_in` is the NGI for sites that are not here."""

    files: Annotated[dict[Line, Annotated[str, Field(max_length=100_000)]], Field(max_length=2000)]
    prefer: Prefer = "ours"
    create_in: NgiName | None = None


class FedcloudApplyIn(FedcloudIn):
    """`plan` is the fingerprint of the plan that was looked at."""

    plan: Fingerprint | None = None


class FindingOut(Wire):
    """One thing: what is done with it (add, change, keep, skip, same), its fields as [ours, new], remarks."""

    action: str
    kind: str
    name: str
    key: str
    changes: dict[str, list[Any]]
    notes: list[str]


class UnreadOut(Wire):
    """A method of the other registry, or a file, that was not read, and why."""

    method: str
    reason: str


class ImportOut(Wire):
    """What is, or was, done. Without `revisions` nothing was written; what is the same already is counted only."""

    source: str
    plan: str
    sentence: str
    counts: dict[str, int]
    findings: list[FindingOut]
    unread: list[UnreadOut]
    revisions: list[int]

"""The policy of certification, evidence, proposals and contacts' answers: as a file and on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from registry.schemas.fields import AsOf, Line, Query, Reason, SiteName, UtcTime, Wire
from registry.schemas.sites import Certification, ContactKind

Check = Literal[
    "contact_answered",
    "csirt_contact",
    "fields_complete",
    "endpoints_registered",
    "endpoints_valid",
    "host_certificate",
    "monitoring_green",
    "accounting_arriving",
    "identities_replicated",
]
ItemName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
Days = Annotated[int, Field(ge=1, le=3650)]
MAX_POLICY_CHARACTERS: Final = 100_000


class ItemDoc(Wire):
    """One item of the checklist: what is checked, what people read, and how strict it is.

    `days`: for how many days monitoring must have been green (at most 90), how old a contact's answer, a message of
    accounting may be. `contacts`: the purposes of which each must have somebody who answered.
    """

    check: Check
    title: Line
    days: Days | None = None
    contacts: Annotated[list[ContactKind], Field(min_length=1, max_length=6)] = Field(default=["admin"])


class StepDoc(Wire):
    """A step that the system proposes: when all of `needs` is met, or when one of `broken` is not for `for_days`.

    With `persons: 2` a second person must agree before it is taken.
    """

    model_config = ConfigDict(populate_by_name=True)

    old: Certification = Field(alias="from")
    new: Certification = Field(alias="to")
    needs: Annotated[list[ItemName], Field(max_length=50)] = Field(default=[])
    broken: Annotated[list[ItemName], Field(max_length=50)] = Field(default=[])
    for_days: Annotated[int, Field(ge=0, le=365)] = 0
    persons: Annotated[int, Field(ge=1, le=2)] = 1

    @model_validator(mode="after")
    def _one_trigger(self) -> Self:
        if self.old == self.new:
            raise ValueError(f"a step leads from {self.old} to another status")
        if self.needs and self.broken:
            raise ValueError(f"{self.old} to {self.new} has `needs` or `broken`, not both")
        return self


class PolicyDoc(Wire):
    """The policy: the checklist, the steps, and how long things wait."""

    items: Annotated[dict[ItemName, ItemDoc], Field(max_length=50)]
    steps: Annotated[list[StepDoc], Field(max_length=50)] = Field(default=[])
    proposal_days: Days = 30
    second_person_days: Days = 14
    ask_contacts_every_days: Days = 365
    remind_contacts_after_days: Days = 30

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        pairs = [(step.old, step.new) for step in self.steps]
        twice = next((pair for pair in pairs if pairs.count(pair) > 1), None)
        if twice:
            raise ValueError(f"steps: {twice[0]} to {twice[1]} stands there twice")
        unknown = sorted(
            {name for step in self.steps for name in (*step.needs, *step.broken)} - self.items.keys()
        )
        if unknown:
            raise ValueError(f"steps: there is no item {unknown[0]}")
        return self

    def step(self, old: str, new: str) -> StepDoc | None:
        """The step between two statuses; None where the policy says nothing of it."""
        return next((step for step in self.steps if (step.old, step.new) == (old, new)), None)


class PolicyIn(Wire):
    """A new text of the policy, in force from `valid_from` (now, when it is left out), with the reason for it."""

    document: Annotated[str, Field(max_length=MAX_POLICY_CHARACTERS)]
    valid_from: UtcTime | None = None
    reason: Annotated[Reason, Field(min_length=1)]


class PolicyOut(Wire):
    """A text of the policy. The one that comes with Hanse has the id "0"."""

    id: str
    document: str
    valid_from: UtcTime
    in_force: bool
    created_by: str
    reason: str


class PolicyPage(Wire):
    """All texts of the policy, the newest first."""

    items: list[PolicyOut]
    next: str | None


class EvidenceOut(Wire):
    """One item at a site: `state` met, not_met or unknown; who told it, when, since when it is so."""

    item: str
    title: str
    state: str
    told: str
    source: str
    at: UtcTime | None
    since: UtcTime | None


class ProposalOut(Wire):
    """A proposed step with the evidence of its making, and what became of it."""

    id: str
    site: str
    old: str
    new: str
    why: str
    state: str
    persons: int
    evidence: list[dict[str, Any]]
    made_at: UtcTime
    made_by: str
    expires_at: UtcTime
    first_name: str | None
    first_at: UtcTime | None
    first_reason: str | None
    decided_name: str | None
    decided_at: UtcTime | None
    decided_reason: str | None


class ProposalPage(Wire):
    """Proposals, the newest first; `next` is the cursor of the page after, None on the last."""

    items: list[ProposalOut]
    next: str | None


class ProposalQuery(Query):
    """Which proposals; `state` may be "waiting" for those that are undecided."""

    site: SiteName | None = None
    state: Literal["waiting", "open", "seconding", "accepted", "declined", "withdrawn", "expired"] | None = (
        None
    )
    as_of: AsOf | None = None
    cursor: Annotated[str, Field(max_length=20, pattern=r"^[0-9]{1,15}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class ProposeIn(Wire):
    """A step that a person proposes; with two persons in the policy this is the first word."""

    status: Certification
    reason: Annotated[Reason, Field(min_length=1)]


class DecideIn(Wire):
    """Why."""

    reason: Annotated[Reason, Field(min_length=1)]


class ContactState(Wire):
    """A contact address of a site: when it was asked last, when somebody answered last.

    The address is for those who are signed in.
    """

    email: str | None
    kinds: list[str]
    asked_at: UtcTime | None
    confirmed_at: UtcTime | None


class CertificationOut(Wire):
    """Where a site stands: its checklist, its contacts, the proposal that waits."""

    site: str
    status: str
    since: UtcTime
    evidence: list[EvidenceOut]
    contacts: list[ContactState]
    proposal: ProposalOut | None
    next_steps: list[str]


class AskedOut(Wire):
    """How many addresses were written to."""

    asked: int

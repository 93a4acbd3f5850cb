"""Certification as a policy: its dated texts, the evidence, what the system proposes, which contacts answered."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from registry.models.base import CERTIFICATIONS, Base, UtcTime, one_of
from registry.models.sites import Site

EVIDENCE_STATES = ("met", "not_met", "unknown")
PROPOSAL_STATES = ("open", "seconding", "accepted", "declined", "withdrawn", "expired")


class CertificationPolicy(Base):
    """A text of the policy (YAML), in force from `valid_from` until that of the next one. Never changed."""

    __tablename__ = "certification_policy"
    __table_args__ = (Index("certification_policy_from", "valid_from"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    document: Mapped[str] = mapped_column(Text)
    valid_from: Mapped[datetime] = mapped_column(UtcTime)
    created_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    created_by: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)


class CertificationEvidence(Base):
    """What is known of one item of the checklist at a site: who told it, when, and since when it is so."""

    __tablename__ = "certification_evidence"
    __table_args__ = (CheckConstraint(one_of("state", EVIDENCE_STATES), name="certification_evidence_state"),)

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"), primary_key=True)
    item: Mapped[str] = mapped_column(Text, primary_key=True)
    state: Mapped[str] = mapped_column(Text)
    told: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcTime)
    since: Mapped[datetime] = mapped_column(UtcTime)


class CertificationEvidenceStep(Base):
    """What an item of the checklist became at a site, and when: the past of `CertificationEvidence`."""

    __tablename__ = "certification_evidence_step"
    __table_args__ = (
        CheckConstraint(one_of("state", EVIDENCE_STATES), name="certification_evidence_step_state"),
        Index("certification_evidence_step_at", "site_id", "item", "at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"))
    item: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcTime)
    state: Mapped[str] = mapped_column(Text)
    told: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)


class CertificationProposal(Base):
    """A step that the policy allows, for a person to decide; with two persons `first_*` is the one who began.

    A site has one that is undecided at most; `evidence` is the checklist as it was when it was made.
    """

    __tablename__ = "certification_proposal"
    __table_args__ = (
        CheckConstraint(one_of("old", CERTIFICATIONS), name="certification_proposal_old"),
        CheckConstraint(one_of("new", CERTIFICATIONS), name="certification_proposal_new"),
        CheckConstraint(one_of("state", PROPOSAL_STATES), name="certification_proposal_state"),
        CheckConstraint("state <> 'seconding' or first_key is not null", name="certification_proposal_first"),
        Index("certification_proposal_site", "site_id", "id"),
        Index(
            "certification_proposal_open",
            "site_id",
            unique=True,
            postgresql_where=text("state in ('open', 'seconding')"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"))
    old: Mapped[str] = mapped_column(Text)
    new: Mapped[str] = mapped_column(Text)
    why: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    evidence: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    made_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    made_by: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime] = mapped_column(UtcTime)
    first_key: Mapped[str | None] = mapped_column(Text)
    first_person: Mapped[str | None] = mapped_column(Text)
    first_name: Mapped[str | None] = mapped_column(Text)
    first_at: Mapped[datetime | None] = mapped_column(UtcTime)
    first_reason: Mapped[str | None] = mapped_column(Text)
    decided_key: Mapped[str | None] = mapped_column(Text)
    decided_name: Mapped[str | None] = mapped_column(Text)
    decided_at: Mapped[datetime | None] = mapped_column(UtcTime)
    decided_reason: Mapped[str | None] = mapped_column(Text)

    site: Mapped[Site] = relationship(lazy="joined", innerjoin=True)


class ContactConfirmation(Base):
    """A question to a contact of a site whether it still reaches somebody. Only the code's hash is kept."""

    __tablename__ = "contact_confirmation"
    __table_args__ = (Index("contact_confirmation_site", "site_id", "email", "asked_at"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"))
    email: Mapped[str] = mapped_column(Text)
    code_hash: Mapped[str] = mapped_column(Text, unique=True)
    asked_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    asked_by: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime] = mapped_column(UtcTime)
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcTime)

    site: Mapped[Site] = relationship(lazy="joined", innerjoin=True)

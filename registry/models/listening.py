"""Who is told of changes: webhooks with their deliveries, and people's subscriptions."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    ForeignKey,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from registry.models.base import Base, UtcTime, one_of
from registry.models.people import Person

DELIVERY_STATES = ("pending", "delivered", "failed")
TARGETS = ("federation", "ngi", "site", "service", "vo")
SUBJECTS = ("downtimes", "changes", "all")
MEANS = ("mail", "digest", "webhook")


class Webhook(Base):
    """An address that is told of changes. `cursor` is the last revision that was looked at for it.

    Empty filters let everything through. Sites and NGIs are kept as ids, so that their names may change. The secret
    signs what is sent; it is shown once and stands in no log.
    """

    __tablename__ = "webhook"
    __table_args__ = (
        CheckConstraint("active = (stopped_at is null)", name="webhook_stopped"),
        Index("webhook_person", "person_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"))
    url: Mapped[str] = mapped_column(Text)
    secret: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text, server_default="")
    kinds: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    site_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default="{}")
    ngi_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default="{}")
    vos: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    cursor: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    failing_since: Mapped[datetime | None] = mapped_column(UtcTime)
    stopped_at: Mapped[datetime | None] = mapped_column(UtcTime)
    stopped_reason: Mapped[str] = mapped_column(Text, server_default="")

    person: Mapped[Person] = relationship(lazy="joined", innerjoin=True)


class WebhookDelivery(Base):
    """One message to one webhook: a revision, or a test (no revision). `id` is the same at every attempt."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        CheckConstraint(one_of("state", DELIVERY_STATES), name="webhook_delivery_state"),
        CheckConstraint(
            "(state = 'delivered') = (delivered_at is not null)", name="webhook_delivery_delivered"
        ),
        UniqueConstraint("webhook_id", "revision", name="webhook_delivery_once"),
        Index("webhook_delivery_due", "next_attempt_at", postgresql_where=text("state = 'pending'")),
        Index("webhook_delivery_created", "created_at"),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhook.id", ondelete="CASCADE"))
    revision: Mapped[int | None] = mapped_column(BigInteger)
    body: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default="pending")
    attempts: Mapped[int] = mapped_column(BigInteger, server_default="0")
    created_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    next_attempt_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    last_attempt_at: Mapped[datetime | None] = mapped_column(UtcTime)
    last_status: Mapped[int | None] = mapped_column(BigInteger)
    last_answer: Mapped[str] = mapped_column(Text, server_default="")
    delivered_at: Mapped[datetime | None] = mapped_column(UtcTime)


class Subscription(Base):
    """Somebody who wants to hear of something. `target_id` is a site's, a service's or an NGI's; `vo` names a VO.

    `cursor` is the last revision that was looked at for it; a digest was last sent on the day `digest_on`.
    """

    __tablename__ = "subscription"
    __table_args__ = (
        CheckConstraint(one_of("target", TARGETS), name="subscription_target"),
        CheckConstraint(one_of("subject", SUBJECTS), name="subscription_subject"),
        CheckConstraint(one_of("means", MEANS), name="subscription_means"),
        CheckConstraint(
            "case target when 'federation' then target_id is null and vo is null"
            " when 'vo' then target_id is null and vo is not null"
            " else target_id is not null and vo is null end",
            name="subscription_whom",
        ),
        CheckConstraint("(means = 'webhook') = (webhook_id is not null)", name="subscription_webhook"),
        UniqueConstraint(
            "person_id",
            "target",
            "target_id",
            "vo",
            "subject",
            "means",
            "webhook_id",
            name="subscription_once",
            postgresql_nulls_not_distinct=True,
        ),
        Index("subscription_webhook_id", "webhook_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"))
    target: Mapped[str] = mapped_column(Text)
    target_id: Mapped[int | None] = mapped_column(BigInteger)
    vo: Mapped[str | None] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    means: Mapped[str] = mapped_column(Text)
    webhook_id: Mapped[int | None] = mapped_column(ForeignKey("webhook.id", ondelete="CASCADE"))
    cursor: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    digest_on: Mapped[date | None] = mapped_column(Date)

    person: Mapped[Person] = relationship(lazy="joined", innerjoin=True)

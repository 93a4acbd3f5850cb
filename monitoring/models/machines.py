"""What probes make at clouds, so that it is found and taken away again whatever happens to the probe."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from monitoring.models.base import Base, UtcTime


class ProbeMachine(Base):
    """Something that a probe made: noted before it is asked for, `location` once the cloud has said it, `gone_at` when
    the cloud knows it no longer.

    `title` is its name at the cloud, which nothing else has. `tries` counts vain deletions, `said` is the last answer.
    """

    __tablename__ = "probe_machine"
    __table_args__ = (
        CheckConstraint("kind in ('compute', 'storage')", name="probe_machine_kind"),
        CheckConstraint("tries >= 0", name="probe_machine_tries"),
        Index("probe_machine_left", "url", postgresql_where=text("gone_at is null")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text, unique=True)
    location: Mapped[str] = mapped_column(Text, server_default="")
    begun_at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("clock_timestamp()"))
    gone_at: Mapped[datetime | None] = mapped_column(UtcTime)
    tries: Mapped[int] = mapped_column(server_default="0")
    said: Mapped[str] = mapped_column(Text, server_default="")

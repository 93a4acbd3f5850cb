"""findings, events, replays, archives, pseudonyms"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "archive_part",
        sa.Column("kept", sa.Text(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column(
            "made_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("restored_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("extract(day from month) = 1", name="archive_part_first_day"),
        sa.CheckConstraint("rows > 0 and bytes > 0", name="archive_part_counts"),
        sa.PrimaryKeyConstraint("kept", "month", "part"),
    )
    op.create_table(
        "finding",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("fact", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("site", sa.String(length=255), nullable=False),
        sa.Column("vo", sa.String(length=255), server_default="", nullable=False),
        sa.Column("subject", sa.String(length=255), server_default="", nullable=False),
        sa.Column("month", sa.Date(), nullable=True),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("cpu_s", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("since", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("seen_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("gone_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("told_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("decision", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("decided_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("decided_by", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("decision <> 'accepted' or reason <> ''", name="finding_reason"),
        sa.CheckConstraint("decision in ('', 'acknowledged', 'accepted')", name="finding_decision"),
        sa.CheckConstraint("cpu_s >= 0", name="finding_not_negative"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind", "fact", name="finding_once"),
    )
    op.create_index(
        "finding_open", "finding", ["kind", "site"], unique=False, postgresql_where=sa.text("gone_at is null")
    )
    op.create_index(
        "finding_owner", "finding", ["owner"], unique=False, postgresql_where=sa.text("gone_at is null")
    )
    op.create_table(
        "mail",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("about", sa.String(), nullable=False),
        sa.Column("state", sa.String(), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_answer", sa.String(), server_default="", nullable=False),
        sa.Column(
            "created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column(
            "next_attempt_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("delivered_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("state in ('pending', 'delivered', 'failed')", name="mail_state"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "mail_due", "mail", ["next_attempt_at"], unique=False, postgresql_where=sa.text("state = 'pending'")
    )
    op.create_table(
        "pseudonym",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column(
            "made_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "replay_run",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("site", sa.String(length=255), nullable=False),
        sa.Column("code", sa.Text(), server_default="", nullable=False),
        sa.Column("field", sa.Text(), nullable=True),
        sa.Column("as_site", sa.String(length=255), nullable=True),
        sa.Column("month", sa.Date(), nullable=True),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("up_to_id", sa.BigInteger(), nullable=False),
        sa.Column("last_id", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("counted", sa.Integer(), server_default="0", nullable=False),
        sa.Column("refused", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column(
            "asked_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("finished_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("state in ('waiting', 'running', 'done', 'failed')", name="replay_run_state"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "replay_run_open",
        "replay_run",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state in ('waiting', 'running')"),
    )
    op.create_index("replay_run_site", "replay_run", ["site", "id"], unique=False)
    op.create_table(
        "usage_event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("site", sa.String(length=255), server_default="", nullable=False),
        sa.Column("month", sa.Date(), nullable=True),
        sa.Column("done_by", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.CheckConstraint("sentence <> ''", name="usage_event_sentence"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("usage_event_site", "usage_event", ["site", "id"], unique=False)
    op.add_column("refused_record", sa.Column("decided_why", sa.Text(), server_default="", nullable=False))
    op.add_column("message", sa.Column("archived_at", postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.add_column("message", sa.Column("redacted_at", postgresql.TIMESTAMP(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("refused_record", "decided_why")
    op.drop_column("message", "redacted_at")
    op.drop_column("message", "archived_at")
    op.drop_index("usage_event_site", table_name="usage_event")
    op.drop_table("usage_event")
    op.drop_index("replay_run_site", table_name="replay_run")
    op.drop_index(
        "replay_run_open",
        table_name="replay_run",
        postgresql_where=sa.text("state in ('waiting', 'running')"),
    )
    op.drop_table("replay_run")
    op.drop_table("pseudonym")
    op.drop_index("mail_due", table_name="mail", postgresql_where=sa.text("state = 'pending'"))
    op.drop_table("mail")
    op.drop_index("finding_owner", table_name="finding", postgresql_where=sa.text("gone_at is null"))
    op.drop_index("finding_open", table_name="finding", postgresql_where=sa.text("gone_at is null"))
    op.drop_table("finding")
    op.drop_table("archive_part")

"""Ways in by HTTPS and by pulling, signatures seen, and what is forwarded"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NAME = sa.String(length=255)
TIME = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.add_column("message", sa.Column("unsigned_ok", sa.Boolean(), server_default="false", nullable=False))
    op.drop_constraint("message_source", "message", type_="check")
    op.create_check_constraint("message_source", "message", "source in ('ams', 'load', 'https', 'pull')")
    op.create_check_constraint("message_unsigned", "message", "not unsigned_ok or sender_site <> ''")
    op.drop_index("message_once", table_name="message")
    op.create_index(
        "message_once",
        "message",
        ["empaid", "sha256"],
        unique=True,
        postgresql_where=sa.text("source in ('ams', 'pull')"),
    )
    op.create_index(
        "message_once_posted",
        "message",
        ["sender", "sender_site", "sha256"],
        unique=True,
        postgresql_where=sa.text("source = 'https'"),
    )

    op.create_table(
        "seen_signature",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("receipt", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "pull_state",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("pulled_at", TIME, nullable=True),
        sa.Column("message_at", TIME, nullable=True),
        sa.Column("messages", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("source"),
    )
    op.create_table(
        "forward_due",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("site", NAME, nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "site", "month"),
    )
    op.create_table(
        "forwarded_month",
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("site", NAME, nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("groups", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("written_at", TIME, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("destination", "kind", "site", "month"),
    )
    op.create_table(
        "forwarded_message",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("site", NAME, nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("empaid", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("written_at", TIME, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("sent_at", TIME, nullable=True),
        sa.Column("number", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("state in ('waiting', 'sent', 'replaced')", name="forwarded_message_state"),
        sa.CheckConstraint("(state = 'waiting') = (body is not null)", name="forwarded_message_body"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "forwarded_message_waiting",
        "forwarded_message",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index("forwarded_message_month", "forwarded_message", ["site", "month"], unique=False)


def downgrade() -> None:
    for table in ("forwarded_message", "forwarded_month", "forward_due", "pull_state", "seen_signature"):
        op.drop_table(table)
    op.drop_index("message_once_posted", table_name="message")
    op.drop_index("message_once", table_name="message")
    op.execute("delete from message where source in ('https', 'pull')")
    op.create_index(
        "message_once",
        "message",
        ["empaid", "sha256"],
        unique=True,
        postgresql_where=sa.text("source = 'ams'"),
    )
    op.drop_constraint("message_unsigned", "message", type_="check")
    op.drop_constraint("message_source", "message", type_="check")
    op.create_check_constraint("message_source", "message", "source in ('ams', 'load')")
    op.drop_column("message", "unsigned_ok")

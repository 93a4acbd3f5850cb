"""machines that probes made"""

from alembic import op
import sqlalchemy as sa

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "probe_machine",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "begun_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("gone_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("said", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("kind in ('compute', 'storage')", name="probe_machine_kind"),
        sa.CheckConstraint("tries >= 0", name="probe_machine_tries"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("title"),
    )
    op.create_index(
        "probe_machine_left", "probe_machine", ["url"], postgresql_where=sa.text("gone_at is null")
    )


def downgrade() -> None:
    op.drop_index("probe_machine_left", table_name="probe_machine")
    op.drop_table("probe_machine")

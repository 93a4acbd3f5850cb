"""feeds for sites, imports"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "site_rule",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("fqan", sa.String(), nullable=False),
        sa.Column("vo", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("account", sa.String(), server_default="", nullable=False),
        sa.Column("tenant", sa.String(), server_default="", nullable=False),
        sa.CheckConstraint("account <> '' or tenant <> ''", name=op.f("site_rule_given_check")),
        sa.ForeignKeyConstraint(["vo"], ["vo.name"], name=op.f("site_rule_vo_fkey")),
        sa.PrimaryKeyConstraint("site", "fqan", name=op.f("site_rule_pkey")),
    )
    op.create_index(op.f("site_rule_vo_ix"), "site_rule", ["vo"])
    op.create_table(
        "imported_record",
        sa.Column("vo", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("entity_id", sa.String(), nullable=False),
        sa.Column("values", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["vo"], ["vo.name"], name=op.f("imported_record_vo_fkey")),
        sa.PrimaryKeyConstraint("vo", "kind", "key", name=op.f("imported_record_pkey")),
    )


def downgrade() -> None:
    op.drop_table("imported_record")
    op.drop_table("site_rule")

"""deltas, notices of keys, digests to managers"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")


def _time(name: str, *, now: bool = False) -> sa.Column[object]:
    kind = sa.DateTime(timezone=True)
    return sa.Column(name, kind, server_default=_NOW, nullable=False) if now else sa.Column(name, kind)


def upgrade() -> None:
    op.create_table(
        "delta",
        sa.Column("from_sha256", sa.String(), nullable=False),
        sa.Column("to_sha256", sa.String(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        _time("made_at", now=True),
        sa.ForeignKeyConstraint(
            ["from_sha256"], ["snapshot.sha256"], name="delta_from_sha256_fkey", ondelete="cascade"
        ),
        sa.ForeignKeyConstraint(
            ["to_sha256"], ["snapshot.sha256"], name="delta_to_sha256_fkey", ondelete="cascade"
        ),
        sa.PrimaryKeyConstraint("from_sha256", "to_sha256", name="delta_pkey"),
    )
    op.create_index("delta_to_sha256_ix", "delta", ["to_sha256"])
    op.create_table(
        "key_notice",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("keys", postgresql.JSONB(), nullable=False),
        sa.Column("envelopes", postgresql.JSONB(), nullable=False),
        _time("made_at", now=True),
        sa.PrimaryKeyConstraint("number", name="key_notice_pkey"),
    )
    op.create_table(
        "digest",
        sa.Column("vo", sa.String(), nullable=False),
        sa.Column("reader", sa.String(), nullable=False),
        sa.Column("day", sa.Date()),
        _time("ended_at"),
        sa.ForeignKeyConstraint(["vo"], ["vo.name"], name="digest_vo_fkey"),
        sa.PrimaryKeyConstraint("vo", "reader", name="digest_pkey"),
    )
    op.add_column("agent", sa.Column("clock_off_s", sa.Integer()))
    op.add_column("replica", _time("told_at"))
    op.create_index("replica_renewal", "replica", ["manifest_at"])
    op.create_index("acknowledgement_by_site", "acknowledgement", ["site", "id"])
    op.create_index("acknowledgement_by_vo", "acknowledgement", ["vo", "id"])
    op.create_index("member_by_end", "member", ["vo", "until"])


def downgrade() -> None:
    op.drop_index("member_by_end", "member")
    op.drop_index("acknowledgement_by_vo", "acknowledgement")
    op.drop_index("acknowledgement_by_site", "acknowledgement")
    op.drop_index("replica_renewal", "replica")
    op.drop_column("replica", "told_at")
    op.drop_column("agent", "clock_off_s")
    op.drop_table("digest")
    op.drop_table("key_notice")
    op.drop_table("delta")

"""replays that go on"""

from alembic import op
import sqlalchemy as sa

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("replay_run", sa.Column("unread", sa.Integer(), server_default="0", nullable=False))
    op.add_column("refused_record", sa.Column("counted_for", sa.String(255), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("refused_record", "counted_for")
    op.drop_column("replay_run", "unread")

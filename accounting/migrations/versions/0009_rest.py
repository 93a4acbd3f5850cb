"""messages whose records were taken out of the figures; sites by their names"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("message", sa.Column("withdrawn_at", sa.TIMESTAMP(timezone=True), nullable=True))
    op.create_index(
        "own_followed_site_name",
        "followed",
        [sa.text("(body ->> 'name')")],
        postgresql_where=sa.text("kind = 'site'"),
    )


def downgrade() -> None:
    op.drop_index("own_followed_site_name", table_name="followed")
    op.drop_column("message", "withdrawn_at")

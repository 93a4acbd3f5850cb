"""Further certificates are proved to be the member's; letters of a VO in its own words"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('member_request', sa.Column('certificate', sa.LargeBinary(), nullable=True))
    op.add_column('member_request', sa.Column('challenge', sa.String(), nullable=True))
    op.add_column('member_request', sa.Column('proved_at', postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.create_table('vo_letter',
    sa.Column('vo', sa.String(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('subject', sa.String(), nullable=False),
    sa.Column('body', sa.String(), nullable=False),
    sa.Column('changed_by', sa.String(), nullable=False),
    sa.Column('changed_at', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['vo'], ['vo.name'], name=op.f('vo_letter_vo_fkey')),
    sa.PrimaryKeyConstraint('vo', 'name', name=op.f('vo_letter_pkey'))
    )


def downgrade() -> None:
    op.drop_table('vo_letter')
    op.drop_column('member_request', 'proved_at')
    op.drop_column('member_request', 'challenge')
    op.drop_column('member_request', 'certificate')

"""The past of clouds and of evidence: until when documents stood, and what items of the checklist became"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql


revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = postgresql.TIMESTAMP(timezone=True)
    op.add_column('cloud_document', sa.Column('stood_until', moment, nullable=True))
    op.create_index('cloud_document_came', 'cloud_document', ['site_id', 'service', 'received_at'])
    op.create_table('certification_evidence_step',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('item', sa.Text(), nullable=False),
    sa.Column('at', moment, nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('told', sa.Text(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.CheckConstraint("state in ('met', 'not_met', 'unknown')", name='certification_evidence_step_state'),
    sa.ForeignKeyConstraint(['site_id'], ['site.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('certification_evidence_step_at', 'certification_evidence_step', ['site_id', 'item', 'at'])
    # what stands began some time ago: that much of the past is known
    op.execute(
        "insert into certification_evidence_step (site_id, item, at, state, told, source)"
        " select site_id, item, since, state, told, source from certification_evidence"
    )


def downgrade() -> None:
    op.drop_table('certification_evidence_step')
    op.drop_index('cloud_document_came', table_name='cloud_document')
    op.drop_column('cloud_document', 'stood_until')

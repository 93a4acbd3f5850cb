"""Moving in: where imported things came from. Certification policy, evidence, proposals, confirmations by contacts."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql


revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None

UTC_TIME = postgresql.TIMESTAMP(timezone=True)
JSONB = postgresql.JSONB(astext_type=sa.Text())
STATES = "'Candidate', 'Uncertified', 'Certified', 'Suspended', 'Closed'"


def upgrade() -> None:
    op.add_column('vo_share', sa.Column('project_id', sa.Text(), nullable=True))
    op.create_table('imported_record',
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('entity_id', sa.Text(), nullable=False),
    sa.Column('values', JSONB, nullable=False),
    sa.Column('at', UTC_TIME, server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('source', 'kind', 'key')
    )
    op.create_index('imported_record_entity', 'imported_record', ['kind', 'entity_id'])
    op.create_table('certification_policy',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('valid_from', UTC_TIME, nullable=False),
    sa.Column('created_at', UTC_TIME, server_default=sa.text('now()'), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('certification_policy_from', 'certification_policy', ['valid_from'])
    op.create_table('certification_evidence',
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('item', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('told', sa.Text(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('at', UTC_TIME, nullable=False),
    sa.Column('since', UTC_TIME, nullable=False),
    sa.CheckConstraint("state in ('met', 'not_met', 'unknown')", name='certification_evidence_state'),
    sa.ForeignKeyConstraint(['site_id'], ['site.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('site_id', 'item')
    )
    op.create_table('certification_proposal',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('old', sa.Text(), nullable=False),
    sa.Column('new', sa.Text(), nullable=False),
    sa.Column('why', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('evidence', JSONB, nullable=False),
    sa.Column('made_at', UTC_TIME, server_default=sa.text('now()'), nullable=False),
    sa.Column('made_by', sa.Text(), nullable=False),
    sa.Column('expires_at', UTC_TIME, nullable=False),
    sa.Column('first_key', sa.Text(), nullable=True),
    sa.Column('first_person', sa.Text(), nullable=True),
    sa.Column('first_name', sa.Text(), nullable=True),
    sa.Column('first_at', UTC_TIME, nullable=True),
    sa.Column('first_reason', sa.Text(), nullable=True),
    sa.Column('decided_key', sa.Text(), nullable=True),
    sa.Column('decided_name', sa.Text(), nullable=True),
    sa.Column('decided_at', UTC_TIME, nullable=True),
    sa.Column('decided_reason', sa.Text(), nullable=True),
    sa.CheckConstraint(f"old in ({STATES})", name='certification_proposal_old'),
    sa.CheckConstraint(f"new in ({STATES})", name='certification_proposal_new'),
    sa.CheckConstraint(
        "state in ('open', 'seconding', 'accepted', 'declined', 'withdrawn', 'expired')", name='certification_proposal_state'
    ),
    sa.CheckConstraint("state <> 'seconding' or first_key is not null", name='certification_proposal_first'),
    sa.ForeignKeyConstraint(['site_id'], ['site.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('certification_proposal_site', 'certification_proposal', ['site_id', 'id'])
    op.create_index(
        'certification_proposal_open', 'certification_proposal', ['site_id'], unique=True,
        postgresql_where=sa.text("state in ('open', 'seconding')"),
    )
    op.create_table('contact_confirmation',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('email', sa.Text(), nullable=False),
    sa.Column('code_hash', sa.Text(), nullable=False),
    sa.Column('asked_at', UTC_TIME, server_default=sa.text('now()'), nullable=False),
    sa.Column('asked_by', sa.Text(), nullable=False),
    sa.Column('expires_at', UTC_TIME, nullable=False),
    sa.Column('confirmed_at', UTC_TIME, nullable=True),
    sa.ForeignKeyConstraint(['site_id'], ['site.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('code_hash')
    )
    op.create_index('contact_confirmation_site', 'contact_confirmation', ['site_id', 'email', 'asked_at'])


def downgrade() -> None:
    for table in (
        'contact_confirmation', 'certification_proposal', 'certification_evidence', 'certification_policy', 'imported_record'
    ):
        op.drop_table(table)
    op.drop_column('vo_share', 'project_id')

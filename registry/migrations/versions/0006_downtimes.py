"""Downtimes of many sites, early ends by service, series, imported ones, and drafts."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql


revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('downtime', sa.Column('series', sa.BigInteger(), nullable=True))
    op.add_column('downtime', sa.Column('import_uid', sa.Text(), nullable=True))
    op.create_unique_constraint('downtime_import_uid', 'downtime', ['site_id', 'import_uid'])
    op.create_index(
        'downtime_series', 'downtime', ['series'], unique=False, postgresql_where=sa.text('series is not null')
    )
    op.create_table('downtime_part',
    sa.Column('downtime_id', sa.BigInteger(), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('whole', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['downtime_id'], ['downtime.id'], ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['site_id'], ['site.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('downtime_id', 'site_id')
    )
    op.create_index('downtime_part_site', 'downtime_part', ['site_id'], unique=False)
    # until now the services that were taken were listed one by one: nothing says that the site was meant
    op.execute(
        'insert into downtime_part (downtime_id, site_id, position, whole)'
        ' select id, site_id, 0, false from downtime'
    )
    op.add_column('downtime_service', sa.Column('end_at', postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.add_column(
        'downtime_service', sa.Column('whole', sa.Boolean(), server_default=sa.text('false'), nullable=False)
    )
    op.create_table('downtime_draft',
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('owner', sa.Text(), nullable=True),
    sa.Column('site_id', sa.BigInteger(), nullable=True),
    sa.Column('proposal', sa.Text(), nullable=True),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.Column('body', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('changed_at', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('num_nonnulls(owner, site_id) = 1', name='downtime_draft_one_owner'),
    sa.ForeignKeyConstraint(['site_id'], ['site.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('key'),
    sa.UniqueConstraint('proposal')
    )
    op.create_index('downtime_draft_owner', 'downtime_draft', ['owner'], unique=False)
    op.create_index('downtime_draft_site', 'downtime_draft', ['site_id'], unique=False)


def downgrade() -> None:
    op.drop_table('downtime_draft')
    op.drop_column('downtime_service', 'whole')
    op.drop_column('downtime_service', 'end_at')
    op.drop_table('downtime_part')
    op.drop_index('downtime_series', table_name='downtime')
    op.drop_constraint('downtime_import_uid', 'downtime')
    op.drop_column('downtime', 'import_uid')
    op.drop_column('downtime', 'series')

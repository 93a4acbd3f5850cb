"""Cloud usage by status, image, size and benchmark, and by day; summaries due by kind of record"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None

NAME = sa.String(length=255)
# Figures are made from the snapshots, so they are thrown away here and made anew by the first loader (`uncounted`).


def upgrade() -> None:
    op.create_table('uncounted',
    sa.Column('site', NAME, nullable=False),
    sa.Column('since', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.PrimaryKeyConstraint('site')
    )
    op.execute("insert into uncounted (site) select distinct site from vm_snapshot")
    op.drop_constraint('vm_snapshot_message_id_fkey', 'vm_snapshot', type_='foreignkey')
    op.add_column('vm_snapshot', sa.Column('carried', postgresql.ARRAY(sa.BigInteger()), nullable=True))

    op.drop_index('vm_month_site', table_name='vm_month')
    op.execute("truncate vm_month")
    op.alter_column('vm_month', 'part', type_=sa.BigInteger(), existing_type=sa.SmallInteger(), existing_nullable=False)
    op.add_column('vm_month', sa.Column('status', sa.Text(), server_default='', nullable=False))
    op.add_column('vm_month', sa.Column('image', NAME, server_default='', nullable=False))
    op.add_column('vm_month', sa.Column('cores', sa.Numeric(precision=10, scale=3), server_default='0', nullable=False))
    op.add_column('vm_month', sa.Column('benchmark_type', sa.String(length=50), server_default='', nullable=False))
    op.add_column('vm_month', sa.Column('benchmark', sa.Numeric(precision=10, scale=3), server_default='0', nullable=False))
    for name in ('network_in', 'network_out', 'memory_mb', 'disk_gb'):
        op.add_column('vm_month', sa.Column(name, sa.BigInteger(), server_default='0', nullable=False))
    op.create_index('vm_month_part', 'vm_month', ['site', 'month', 'part'], unique=False)
    # each report adds to a row: with room on its page the row moves nowhere and no index is written
    op.execute("alter table vm_month set (fillfactor = 70)")

    op.drop_table('usage_summary')
    op.create_table('usage_summary',
    sa.Column('site', NAME, nullable=False),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('part', sa.BigInteger(), nullable=False),
    sa.Column('service', NAME, nullable=False),
    sa.Column('vo', NAME, nullable=False),
    sa.Column('vo_group', NAME, nullable=False),
    sa.Column('vo_role', NAME, nullable=False),
    sa.Column('user_name', NAME, nullable=False),
    sa.Column('status', sa.Text(), nullable=False),
    sa.Column('image', NAME, nullable=False),
    sa.Column('cores', sa.Numeric(precision=10, scale=3), nullable=False),
    sa.Column('benchmark_type', sa.String(length=50), nullable=False),
    sa.Column('benchmark', sa.Numeric(precision=10, scale=3), nullable=False),
    sa.Column('wall_s', sa.BigInteger(), nullable=False),
    sa.Column('cpu_s', sa.BigInteger(), nullable=False),
    sa.Column('wall_core_s', sa.BigInteger(), nullable=False),
    sa.Column('network_in', sa.BigInteger(), nullable=False),
    sa.Column('network_out', sa.BigInteger(), nullable=False),
    sa.Column('memory_mb', sa.BigInteger(), nullable=False),
    sa.Column('disk_gb', sa.BigInteger(), nullable=False),
    sa.Column('vms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('site', 'month', 'part')
    )
    op.create_index('usage_summary_month', 'usage_summary', ['month'], unique=False)
    op.create_table('usage_day',
    sa.Column('site', NAME, nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('vo', NAME, nullable=False),
    sa.Column('wall_s', sa.BigInteger(), nullable=False),
    sa.Column('cpu_s', sa.BigInteger(), nullable=False),
    sa.Column('vms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('site', 'day', 'vo')
    )
    op.create_index('usage_day_day', 'usage_day', ['day'], unique=False)

    op.drop_table('summary_due')
    op.create_table('summary_due',
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('site', NAME, nullable=False),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('since', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.PrimaryKeyConstraint('kind', 'site', 'month')
    )


def downgrade() -> None:
    op.drop_table('summary_due')
    op.create_table('summary_due',
    sa.Column('site', NAME, nullable=False),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('since', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.PrimaryKeyConstraint('site', 'month')
    )
    op.drop_table('usage_day')
    op.drop_table('usage_summary')
    op.create_table('usage_summary',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('site', NAME, nullable=False),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('service', NAME, nullable=False),
    sa.Column('vo', NAME, nullable=False),
    sa.Column('vo_group', NAME, nullable=False),
    sa.Column('vo_role', NAME, nullable=False),
    sa.Column('user_name', NAME, nullable=False),
    sa.Column('wall_s', sa.BigInteger(), nullable=False),
    sa.Column('cpu_s', sa.BigInteger(), nullable=False),
    sa.Column('vms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('usage_summary_month', 'usage_summary', ['month'], unique=False)
    op.create_index('usage_summary_site', 'usage_summary', ['site', 'month'], unique=False)
    op.drop_index('vm_month_part', table_name='vm_month')
    op.execute("alter table vm_month reset (fillfactor)")
    op.execute("truncate vm_month")
    for name in ('disk_gb', 'memory_mb', 'network_out', 'network_in', 'benchmark', 'benchmark_type', 'cores', 'image', 'status'):
        op.drop_column('vm_month', name)
    op.alter_column('vm_month', 'part', type_=sa.SmallInteger(), existing_type=sa.BigInteger(), existing_nullable=False)
    op.create_index('vm_month_site', 'vm_month', ['site', 'month'], unique=False)
    op.drop_column('vm_snapshot', 'carried')
    op.create_foreign_key('vm_snapshot_message_id_fkey', 'vm_snapshot', 'message', ['message_id'], ['id'])
    op.drop_table('uncounted')

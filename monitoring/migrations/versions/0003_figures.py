"""profiles, availability and reliability"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('noted_day',
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('noted_at', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('why', sa.String(), nullable=False),
    sa.PrimaryKeyConstraint('day')
    )
    op.create_table('profile',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('made_at', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.CheckConstraint("kind in ('metric', 'aggregation', 'operations', 'thresholds', 'weights', 'report')", name='profile_kind'),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('profile_name', 'profile', ['kind', 'name'], unique=True)
    op.create_table('recomputation',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('number', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('report', sa.String(), nullable=False),
    sa.Column('starts', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('ends', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('status', sa.String(), server_default='pending', nullable=False),
    sa.Column('history', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('asked_by', sa.String(), nullable=False),
    sa.Column('decided_by', sa.String(), nullable=True),
    sa.CheckConstraint("status in ('pending', 'approved', 'rejected', 'running', 'done')", name='recomputation_status'),
    sa.CheckConstraint('ends > starts', name='recomputation_times'),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('number')
    )
    op.create_index('recomputation_times_of', 'recomputation', ['starts', 'ends'], unique=False)
    op.create_table('seen_downtime',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('fingerprint', sa.String(), nullable=False),
    sa.Column('starts', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('ends', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_table('topology_row',
    sa.Column('endpoint_id', sa.String(), nullable=False),
    sa.Column('first_day', sa.Date(), nullable=False),
    sa.Column('last_day', sa.Date(), nullable=True),
    sa.Column('site', sa.String(), nullable=False),
    sa.Column('ngi', sa.String(), nullable=False),
    sa.Column('service_type', sa.String(), nullable=False),
    sa.Column('service_id', sa.String(), nullable=False),
    sa.Column('hostname', sa.String(), nullable=False),
    sa.Column('url', sa.String(), nullable=False),
    sa.Column('production', sa.Boolean(), nullable=False),
    sa.Column('certification', sa.String(), nullable=False),
    sa.Column('scopes', postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.CheckConstraint('last_day is null or last_day >= first_day', name='topology_days'),
    sa.PrimaryKeyConstraint('endpoint_id', 'first_day')
    )
    op.create_index('topology_by_day', 'topology_row', ['first_day', 'last_day'], unique=False)
    op.create_table('computed_day',
    sa.Column('report_id', sa.String(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('computed_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['report_id'], ['profile.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('report_id', 'day')
    )
    op.create_table('day_figure',
    sa.Column('report_id', sa.String(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('level', sa.String(), nullable=False),
    sa.Column('site', sa.String(), nullable=False),
    sa.Column('service', sa.String(), server_default='', nullable=False),
    sa.Column('endpoint_id', sa.String(), server_default='', nullable=False),
    sa.Column('ngi', sa.String(), nullable=False),
    sa.Column('availability', sa.Numeric(precision=8, scale=5), nullable=False),
    sa.Column('reliability', sa.Numeric(precision=8, scale=5), nullable=False),
    sa.Column('uptime', sa.Numeric(precision=6, scale=5), nullable=False),
    sa.Column('unknown', sa.Numeric(precision=6, scale=5), nullable=False),
    sa.Column('downtime', sa.Numeric(precision=6, scale=5), nullable=False),
    sa.Column('line', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.CheckConstraint("level in ('site', 'service', 'endpoint')", name='day_figure_level'),
    sa.ForeignKeyConstraint(['report_id'], ['profile.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('report_id', 'day', 'level', 'site', 'service', 'endpoint_id')
    )
    op.create_index('day_figure_of_subject', 'day_figure', ['report_id', 'level', 'site', 'day'], unique=False)
    op.create_table('profile_version',
    sa.Column('profile_id', sa.String(), nullable=False),
    sa.Column('first_day', sa.Date(), nullable=False),
    sa.Column('body', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('made_at', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('made_by', sa.String(), nullable=True),
    sa.ForeignKeyConstraint(['profile_id'], ['profile.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('profile_id', 'first_day')
    )
    op.add_column('incident', sa.Column('assigned_to', sa.String(), nullable=True))
    op.add_column('incident', sa.Column('silenced_until', postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.add_column('incident', sa.Column('silenced_by', sa.String(), nullable=True))
    op.add_column('incident', sa.Column('flapping', sa.Boolean(), server_default=sa.text('false'), nullable=False))
    op.add_column('incident', sa.Column('reminded_at', postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.add_column('incident', sa.Column('escalated_at', postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.add_column('result', sa.Column('original_status', sa.String(), nullable=True))
    op.add_column('result', sa.Column('threshold_rule', sa.String(), nullable=True))
    op.create_index('status_change_late', 'status_change', ['written_at'], unique=False, postgresql_where=sa.text("written_at - at > interval '10 minutes'"))


def downgrade() -> None:
    op.drop_index('status_change_late', table_name='status_change')
    op.drop_column('result', 'threshold_rule')
    op.drop_column('result', 'original_status')
    op.drop_column('incident', 'escalated_at')
    op.drop_column('incident', 'reminded_at')
    op.drop_column('incident', 'flapping')
    op.drop_column('incident', 'silenced_by')
    op.drop_column('incident', 'silenced_until')
    op.drop_column('incident', 'assigned_to')
    op.drop_table('profile_version')
    op.drop_index('day_figure_of_subject', table_name='day_figure')
    op.drop_table('day_figure')
    op.drop_table('computed_day')
    op.drop_index('topology_by_day', table_name='topology_row')
    op.drop_table('topology_row')
    op.drop_table('seen_downtime')
    op.drop_index('recomputation_times_of', table_name='recomputation')
    op.drop_table('recomputation')
    op.drop_index('profile_name', table_name='profile')
    op.drop_table('profile')
    op.drop_table('noted_day')

"""batch jobs and their summaries, storage, accelerators, public addresses, cloud summaries"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql


revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('job_record',
    sa.Column('site', sa.String(length=255), nullable=False),
    sa.Column('local_job_id', sa.String(length=255), nullable=False),
    sa.Column('ended_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('receipt', sa.BigInteger(), nullable=False),
    sa.Column('message_id', sa.BigInteger(), nullable=False),
    sa.Column('started_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('submit_host', sa.String(length=255), nullable=False),
    sa.Column('machine_name', sa.String(length=255), nullable=False),
    sa.Column('queue', sa.String(length=100), nullable=False),
    sa.Column('local_user', sa.String(length=255), nullable=False),
    sa.Column('user_name', sa.String(length=255), nullable=False),
    sa.Column('fqan', sa.String(length=255), nullable=False),
    sa.Column('vo', sa.String(length=255), nullable=False),
    sa.Column('vo_group', sa.String(length=255), nullable=False),
    sa.Column('vo_role', sa.String(length=255), nullable=False),
    sa.Column('wall_s', sa.BigInteger(), nullable=False),
    sa.Column('cpu_s', sa.BigInteger(), nullable=False),
    sa.Column('processors', sa.Integer(), nullable=False),
    sa.Column('node_count', sa.Integer(), nullable=False),
    sa.Column('infrastructure_type', sa.String(length=20), nullable=False),
    sa.Column('infrastructure_description', sa.String(length=100), nullable=False),
    sa.Column('memory_real_kb', sa.BigInteger(), nullable=True),
    sa.Column('memory_virtual_kb', sa.BigInteger(), nullable=True),
    sa.Column('service_level_type', sa.String(length=20), nullable=False),
    sa.Column('service_level', sa.Numeric(precision=10, scale=3), nullable=False),
    sa.CheckConstraint('started_at <= ended_at', name='job_record_interval'),
    sa.CheckConstraint('wall_s >= 0 and cpu_s >= 0 and processors >= 0', name='job_record_not_negative'),
    sa.PrimaryKeyConstraint('site', 'local_job_id', 'ended_at')
    )
    op.create_index('job_record_ended', 'job_record', ['site', 'ended_at'], unique=False)
    op.create_table('received_job_summary',
    sa.Column('site', sa.String(length=255), nullable=False),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('key', sa.LargeBinary(), nullable=False),
    sa.Column('receipt', sa.BigInteger(), nullable=False),
    sa.Column('message_id', sa.BigInteger(), nullable=False),
    sa.Column('normalised', sa.Boolean(), nullable=False),
    sa.Column('user_name', sa.String(length=255), nullable=False),
    sa.Column('vo', sa.String(length=255), nullable=False),
    sa.Column('vo_group', sa.String(length=255), nullable=False),
    sa.Column('vo_role', sa.String(length=255), nullable=False),
    sa.Column('submit_host', sa.String(length=255), nullable=False),
    sa.Column('infrastructure_type', sa.String(length=20), nullable=False),
    sa.Column('infrastructure_description', sa.String(length=100), nullable=False),
    sa.Column('service_level_type', sa.String(length=20), nullable=False),
    sa.Column('service_level', sa.Numeric(precision=10, scale=3), nullable=False),
    sa.Column('node_count', sa.Integer(), nullable=False),
    sa.Column('processors', sa.Integer(), nullable=False),
    sa.Column('earliest_end', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('latest_end', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('wall_s', sa.BigInteger(), nullable=False),
    sa.Column('cpu_s', sa.BigInteger(), nullable=False),
    sa.Column('norm_wall_s', sa.BigInteger(), nullable=True),
    sa.Column('norm_cpu_s', sa.BigInteger(), nullable=True),
    sa.Column('jobs', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('extract(day from month) = 1', name='received_job_summary_first_day'),
    sa.CheckConstraint('normalised = (norm_wall_s is not null)', name='received_job_summary_normalised'),
    sa.CheckConstraint('wall_s >= 0 and cpu_s >= 0 and jobs >= 0', name='received_job_summary_not_negative'),
    sa.PrimaryKeyConstraint('site', 'month', 'key')
    )
    op.create_table('job_summary',
    sa.Column('site', sa.String(length=255), nullable=False),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('part', sa.BigInteger(), nullable=False),
    sa.Column('origin', sa.Text(), nullable=False),
    sa.Column('vo', sa.String(length=255), nullable=False),
    sa.Column('vo_group', sa.String(length=255), nullable=False),
    sa.Column('vo_role', sa.String(length=255), nullable=False),
    sa.Column('user_name', sa.String(length=255), nullable=False),
    sa.Column('submit_host', sa.String(length=255), nullable=False),
    sa.Column('infrastructure_type', sa.String(length=20), nullable=False),
    sa.Column('service_level_type', sa.String(length=20), nullable=False),
    sa.Column('service_level', sa.Numeric(precision=10, scale=3), nullable=False),
    sa.Column('node_count', sa.Integer(), nullable=False),
    sa.Column('processors', sa.Integer(), nullable=False),
    sa.Column('earliest_end', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('latest_end', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('wall_s', sa.BigInteger(), nullable=False),
    sa.Column('cpu_s', sa.BigInteger(), nullable=False),
    sa.Column('wall_core_s', sa.Numeric(precision=38, scale=0), nullable=False),
    sa.Column('norm_wall_s', sa.Numeric(precision=38, scale=0), nullable=False),
    sa.Column('norm_cpu_s', sa.Numeric(precision=38, scale=0), nullable=False),
    sa.Column('jobs', sa.BigInteger(), nullable=False),
    sa.CheckConstraint("origin in ('jobs', 'summaries', 'normalised')", name='job_summary_origin'),
    sa.PrimaryKeyConstraint('site', 'month', 'part')
    )
    op.create_index('job_summary_month', 'job_summary', ['month'], unique=False)
    op.create_table('sync_count',
    sa.Column('site', sa.String(length=255), nullable=False),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('submit_host', sa.String(length=255), nullable=False),
    sa.Column('receipt', sa.BigInteger(), nullable=False),
    sa.Column('message_id', sa.BigInteger(), nullable=False),
    sa.Column('jobs', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('jobs >= 0', name='sync_count_not_negative'),
    sa.PrimaryKeyConstraint('site', 'month', 'submit_host')
    )
    op.create_table('overlap',
    sa.Column('site', sa.String(length=255), nullable=False),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('origin', sa.Text(), nullable=False),
    sa.Column('counted', sa.Text(), nullable=False),
    sa.Column('records', sa.BigInteger(), nullable=False),
    sa.Column('wall_s', sa.BigInteger(), nullable=False),
    sa.Column('cpu_s', sa.BigInteger(), nullable=False),
    sa.CheckConstraint("kind in ('job', 'cloud')", name='overlap_kind'),
    sa.CheckConstraint('origin <> counted', name='overlap_two'),
    sa.PrimaryKeyConstraint('site', 'month', 'kind', 'origin')
    )
    op.create_table('storage_record',
    sa.Column('site', sa.String(length=255), nullable=False),
    sa.Column('record_id', sa.String(length=255), nullable=False),
    sa.Column('ended_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('receipt', sa.BigInteger(), nullable=False),
    sa.Column('message_id', sa.BigInteger(), nullable=False),
    sa.Column('created_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('started_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('storage_system', sa.String(length=255), nullable=False),
    sa.Column('storage_share', sa.String(length=255), nullable=False),
    sa.Column('storage_media', sa.String(length=255), nullable=False),
    sa.Column('storage_class', sa.String(length=255), nullable=False),
    sa.Column('directory_path', sa.String(length=255), nullable=False),
    sa.Column('local_user', sa.String(length=255), nullable=False),
    sa.Column('local_group', sa.String(length=255), nullable=False),
    sa.Column('user_name', sa.String(length=255), nullable=False),
    sa.Column('vo', sa.String(length=255), nullable=False),
    sa.Column('vo_group', sa.String(length=255), nullable=False),
    sa.Column('vo_role', sa.String(length=255), nullable=False),
    sa.Column('attributes', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('file_count', sa.BigInteger(), nullable=True),
    sa.Column('used_bytes', sa.BigInteger(), nullable=False),
    sa.Column('logical_bytes', sa.BigInteger(), nullable=True),
    sa.Column('allocated_bytes', sa.BigInteger(), nullable=True),
    sa.CheckConstraint('started_at <= ended_at', name='storage_record_interval'),
    sa.CheckConstraint('used_bytes >= 0', name='storage_record_not_negative'),
    sa.PrimaryKeyConstraint('site', 'record_id', 'ended_at')
    )
    op.create_index('storage_record_ended', 'storage_record', ['site', 'ended_at'], unique=False)
    op.create_table('storage_summary',
    sa.Column('site', sa.String(length=255), nullable=False),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('part', sa.BigInteger(), nullable=False),
    sa.Column('vo', sa.String(length=255), nullable=False),
    sa.Column('vo_group', sa.String(length=255), nullable=False),
    sa.Column('vo_role', sa.String(length=255), nullable=False),
    sa.Column('user_name', sa.String(length=255), nullable=False),
    sa.Column('storage_system', sa.String(length=255), nullable=False),
    sa.Column('storage_share', sa.String(length=255), nullable=False),
    sa.Column('storage_media', sa.String(length=255), nullable=False),
    sa.Column('storage_class', sa.String(length=255), nullable=False),
    sa.Column('byte_s', sa.Numeric(precision=38, scale=0), nullable=False),
    sa.Column('last_bytes', sa.Numeric(precision=38, scale=0), nullable=False),
    sa.Column('last_logical_bytes', sa.Numeric(precision=38, scale=0), nullable=False),
    sa.Column('last_allocated_bytes', sa.Numeric(precision=38, scale=0), nullable=False),
    sa.Column('last_files', sa.Numeric(precision=38, scale=0), nullable=False),
    sa.Column('last_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('site', 'month', 'part')
    )
    op.create_index('storage_summary_month', 'storage_summary', ['month'], unique=False)
    op.create_table('accelerator_record',
    sa.Column('site', sa.String(length=255), nullable=False),
    sa.Column('vmuuid', sa.String(length=255), nullable=False),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('type', sa.String(length=20), nullable=False),
    sa.Column('model', sa.String(length=255), nullable=False),
    sa.Column('receipt', sa.BigInteger(), nullable=False),
    sa.Column('message_id', sa.BigInteger(), nullable=False),
    sa.Column('accelerators', sa.Numeric(precision=10, scale=3), nullable=False),
    sa.Column('cores', sa.Numeric(precision=10, scale=3), nullable=False),
    sa.Column('available_s', sa.BigInteger(), nullable=False),
    sa.Column('active_s', sa.BigInteger(), nullable=False),
    sa.Column('benchmark_type', sa.String(length=50), nullable=False),
    sa.Column('benchmark', sa.Numeric(precision=10, scale=3), nullable=False),
    sa.Column('service', sa.String(length=255), nullable=False),
    sa.Column('cloud_type', sa.String(length=255), nullable=False),
    sa.Column('user_name', sa.String(length=255), nullable=False),
    sa.Column('fqan', sa.String(length=255), nullable=False),
    sa.Column('vo', sa.String(length=255), nullable=False),
    sa.Column('vo_group', sa.String(length=255), nullable=False),
    sa.Column('vo_role', sa.String(length=255), nullable=False),
    sa.CheckConstraint('accelerators >= 0 and active_s >= 0 and active_s <= available_s', name='accelerator_record_active'),
    sa.CheckConstraint('extract(day from month) = 1', name='accelerator_record_first_day'),
    sa.PrimaryKeyConstraint('site', 'vmuuid', 'month', 'type', 'model')
    )
    op.create_index('accelerator_record_month', 'accelerator_record', ['site', 'month'], unique=False)
    op.create_table('accelerator_summary',
    sa.Column('site', sa.String(length=255), nullable=False),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('part', sa.BigInteger(), nullable=False),
    sa.Column('service', sa.String(length=255), nullable=False),
    sa.Column('vo', sa.String(length=255), nullable=False),
    sa.Column('vo_group', sa.String(length=255), nullable=False),
    sa.Column('vo_role', sa.String(length=255), nullable=False),
    sa.Column('user_name', sa.String(length=255), nullable=False),
    sa.Column('type', sa.String(length=20), nullable=False),
    sa.Column('model', sa.String(length=255), nullable=False),
    sa.Column('benchmark_type', sa.String(length=50), nullable=False),
    sa.Column('benchmark', sa.Numeric(precision=10, scale=3), nullable=False),
    sa.Column('accelerators', sa.Numeric(precision=20, scale=3), nullable=False),
    sa.Column('available_s', sa.BigInteger(), nullable=False),
    sa.Column('active_s', sa.BigInteger(), nullable=False),
    sa.Column('vms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('site', 'month', 'part')
    )
    op.create_index('accelerator_summary_month', 'accelerator_summary', ['month'], unique=False)
    op.create_table('ip_snapshot',
    sa.Column('site', sa.String(length=255), nullable=False),
    sa.Column('measured_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('key', sa.LargeBinary(), nullable=False),
    sa.Column('receipt', sa.BigInteger(), nullable=False),
    sa.Column('message_id', sa.BigInteger(), nullable=False),
    sa.Column('service', sa.String(length=255), nullable=False),
    sa.Column('cloud_type', sa.String(length=255), nullable=False),
    sa.Column('local_user', sa.String(length=255), nullable=False),
    sa.Column('local_group', sa.String(length=255), nullable=False),
    sa.Column('user_name', sa.String(length=255), nullable=False),
    sa.Column('fqan', sa.String(length=255), nullable=False),
    sa.Column('vo', sa.String(length=255), nullable=False),
    sa.Column('vo_group', sa.String(length=255), nullable=False),
    sa.Column('vo_role', sa.String(length=255), nullable=False),
    sa.Column('ip_version', sa.SmallInteger(), nullable=False),
    sa.Column('ip_count', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('ip_count >= 0', name='ip_snapshot_not_negative'),
    sa.CheckConstraint('ip_version in (4, 6)', name='ip_snapshot_version'),
    sa.PrimaryKeyConstraint('site', 'measured_at', 'key')
    )
    op.create_table('ip_summary',
    sa.Column('site', sa.String(length=255), nullable=False),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('part', sa.BigInteger(), nullable=False),
    sa.Column('service', sa.String(length=255), nullable=False),
    sa.Column('vo', sa.String(length=255), nullable=False),
    sa.Column('vo_group', sa.String(length=255), nullable=False),
    sa.Column('vo_role', sa.String(length=255), nullable=False),
    sa.Column('user_name', sa.String(length=255), nullable=False),
    sa.Column('ip_version', sa.SmallInteger(), nullable=False),
    sa.Column('last_count', sa.BigInteger(), nullable=False),
    sa.Column('most', sa.BigInteger(), nullable=False),
    sa.Column('sum_count', sa.BigInteger(), nullable=False),
    sa.Column('snapshots', sa.BigInteger(), nullable=False),
    sa.Column('last_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('site', 'month', 'part')
    )
    op.create_index('ip_summary_month', 'ip_summary', ['month'], unique=False)
    op.create_table('received_cloud_summary',
    sa.Column('site', sa.String(length=255), nullable=False),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('key', sa.LargeBinary(), nullable=False),
    sa.Column('receipt', sa.BigInteger(), nullable=False),
    sa.Column('message_id', sa.BigInteger(), nullable=False),
    sa.Column('service', sa.String(length=255), nullable=False),
    sa.Column('user_name', sa.String(length=255), nullable=False),
    sa.Column('vo', sa.String(length=255), nullable=False),
    sa.Column('vo_group', sa.String(length=255), nullable=False),
    sa.Column('vo_role', sa.String(length=255), nullable=False),
    sa.Column('status', sa.Text(), nullable=False),
    sa.Column('cloud_type', sa.String(length=255), nullable=False),
    sa.Column('image', sa.String(length=255), nullable=False),
    sa.Column('earliest_start', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('latest_start', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('wall_s', sa.BigInteger(), nullable=False),
    sa.Column('cpu_s', sa.BigInteger(), nullable=False),
    sa.Column('cpu_count', sa.Numeric(precision=10, scale=3), nullable=False),
    sa.Column('network_in', sa.BigInteger(), nullable=True),
    sa.Column('network_out', sa.BigInteger(), nullable=True),
    sa.Column('memory_mb', sa.BigInteger(), nullable=True),
    sa.Column('disk_gb', sa.BigInteger(), nullable=True),
    sa.Column('benchmark_type', sa.String(length=50), nullable=False),
    sa.Column('benchmark', sa.Numeric(precision=10, scale=3), nullable=False),
    sa.Column('vms', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('extract(day from month) = 1', name='received_cloud_summary_first_day'),
    sa.CheckConstraint('wall_s >= 0 and cpu_s >= 0 and vms >= 0', name='received_cloud_summary_not_negative'),
    sa.PrimaryKeyConstraint('site', 'month', 'key')
    )


def downgrade() -> None:
    op.drop_table('received_cloud_summary')
    op.drop_index('ip_summary_month', table_name='ip_summary')
    op.drop_table('ip_summary')
    op.drop_table('ip_snapshot')
    op.drop_index('accelerator_summary_month', table_name='accelerator_summary')
    op.drop_table('accelerator_summary')
    op.drop_index('accelerator_record_month', table_name='accelerator_record')
    op.drop_table('accelerator_record')
    op.drop_index('storage_summary_month', table_name='storage_summary')
    op.drop_table('storage_summary')
    op.drop_index('storage_record_ended', table_name='storage_record')
    op.drop_table('storage_record')
    op.drop_table('overlap')
    op.drop_table('sync_count')
    op.drop_index('job_summary_month', table_name='job_summary')
    op.drop_table('job_summary')
    op.drop_table('received_job_summary')
    op.drop_index('job_record_ended', table_name='job_record')
    op.drop_table('job_record')

"""inbox, snapshots, summaries, quarantine"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("receipt")))
    op.create_table('message',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('receipt', sa.BigInteger(), server_default=sa.text("nextval('receipt')"), nullable=False),
    sa.Column('received_at', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('topic', sa.String(length=255), server_default='', nullable=False),
    sa.Column('empaid', sa.String(length=255), server_default='', nullable=False),
    sa.Column('sha256', sa.LargeBinary(), nullable=False),
    sa.Column('sender', sa.Text(), server_default='', nullable=False),
    sa.Column('sender_name', sa.Text(), server_default='', nullable=False),
    sa.Column('sender_site', sa.String(length=255), server_default='', nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.Column('state', sa.Text(), server_default='waiting', nullable=False),
    sa.Column('code', sa.Text(), server_default='', nullable=False),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.Column('signer', sa.Text(), server_default='', nullable=False),
    sa.Column('site', sa.String(length=255), server_default='', nullable=False),
    sa.Column('format', sa.Text(), server_default='', nullable=False),
    sa.Column('records', sa.Integer(), server_default='0', nullable=False),
    sa.Column('loaded', sa.Integer(), server_default='0', nullable=False),
    sa.Column('refused', sa.Integer(), server_default='0', nullable=False),
    sa.Column('remarked', sa.Integer(), server_default='0', nullable=False),
    sa.Column('attempts', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('retry_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('judged_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.CheckConstraint("source in ('ams', 'load')", name='message_source'),
    sa.CheckConstraint("state <> 'refused' or reason <> ''", name='message_reason'),
    sa.CheckConstraint("state in ('waiting', 'loaded', 'refused')", name='message_state'),
    sa.CheckConstraint('records >= 0 and loaded >= 0 and refused >= 0', name='message_counts'),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('message_once', 'message', ['empaid', 'sha256'], unique=True, postgresql_where=sa.text("source = 'ams'"))
    op.create_index('message_received', 'message', ['received_at'], unique=False)
    op.create_index('message_site', 'message', ['site', 'received_at'], unique=False)
    op.create_index('message_waiting', 'message', ['id'], unique=False, postgresql_where=sa.text("state = 'waiting'"))
    op.create_table('summary_due',
    sa.Column('site', sa.String(length=255), nullable=False),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('since', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.PrimaryKeyConstraint('site', 'month')
    )
    op.create_table('usage_summary',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('site', sa.String(length=255), nullable=False),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('service', sa.String(length=255), nullable=False),
    sa.Column('vo', sa.String(length=255), nullable=False),
    sa.Column('vo_group', sa.String(length=255), nullable=False),
    sa.Column('vo_role', sa.String(length=255), nullable=False),
    sa.Column('user_name', sa.String(length=255), nullable=False),
    sa.Column('wall_s', sa.BigInteger(), nullable=False),
    sa.Column('cpu_s', sa.BigInteger(), nullable=False),
    sa.Column('vms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('usage_summary_month', 'usage_summary', ['month'], unique=False)
    op.create_index('usage_summary_site', 'usage_summary', ['site', 'month'], unique=False)
    op.create_table('vm_month',
    sa.Column('site', sa.String(length=255), nullable=False),
    sa.Column('vmuuid', sa.String(length=255), nullable=False),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('part', sa.SmallInteger(), nullable=False),
    sa.Column('service', sa.String(length=255), nullable=False),
    sa.Column('vo', sa.String(length=255), nullable=False),
    sa.Column('vo_group', sa.String(length=255), nullable=False),
    sa.Column('vo_role', sa.String(length=255), nullable=False),
    sa.Column('user_name', sa.String(length=255), nullable=False),
    sa.Column('wall_s', sa.BigInteger(), nullable=False),
    sa.Column('cpu_s', sa.BigInteger(), nullable=False),
    sa.Column('vms', sa.SmallInteger(), nullable=False),
    sa.CheckConstraint('extract(day from month) = 1', name='vm_month_first_day'),
    sa.CheckConstraint('wall_s >= 0 and cpu_s >= 0 and vms in (0, 1)', name='vm_month_not_negative'),
    sa.PrimaryKeyConstraint('site', 'vmuuid', 'month', 'part')
    )
    op.create_index('vm_month_site', 'vm_month', ['site', 'month'], unique=False)
    op.create_table('refused_record',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('message_id', sa.BigInteger(), nullable=False),
    sa.Column('record', sa.Integer(), nullable=False),
    sa.Column('site', sa.String(length=255), nullable=False),
    sa.Column('site_name', sa.String(length=255), nullable=False),
    sa.Column('code', sa.Text(), nullable=False),
    sa.Column('field', sa.Text(), nullable=False),
    sa.Column('line', sa.Integer(), nullable=True),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('faults', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('first_line', sa.Integer(), nullable=False),
    sa.Column('raw', sa.Text(), nullable=False),
    sa.Column('subject', sa.String(length=255), nullable=False),
    sa.Column('vo', sa.String(length=255), nullable=False),
    sa.Column('cpu_s', sa.BigInteger(), nullable=True),
    sa.Column('month', sa.Date(), nullable=True),
    sa.Column('received_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('state', sa.Text(), server_default='refused', nullable=False),
    sa.Column('decided_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('decided_by', sa.Text(), server_default='', nullable=False),
    sa.CheckConstraint("reason <> ''", name='refused_record_reason'),
    sa.CheckConstraint("state in ('refused', 'replayed', 'discarded')", name='refused_record_state'),
    sa.ForeignKeyConstraint(['message_id'], ['message.id'], ),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('message_id', 'record', name='refused_record_once')
    )
    op.create_index('refused_record_open', 'refused_record', ['received_at'], unique=False, postgresql_where=sa.text("state = 'refused'"))
    op.create_index('refused_record_site', 'refused_record', ['site', 'state', 'received_at'], unique=False)
    op.create_table('remark',
    sa.Column('message_id', sa.BigInteger(), nullable=False),
    sa.Column('site', sa.String(length=255), nullable=False),
    sa.Column('code', sa.Text(), nullable=False),
    sa.Column('field', sa.String(length=255), nullable=False),
    sa.Column('records', sa.Integer(), nullable=False),
    sa.Column('record', sa.Integer(), nullable=False),
    sa.Column('line', sa.Integer(), nullable=True),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('received_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['message_id'], ['message.id'], ),
    sa.PrimaryKeyConstraint('message_id', 'site', 'code', 'field')
    )
    op.create_index('remark_site', 'remark', ['site', 'received_at'], unique=False)
    op.create_table('site_publishing',
    sa.Column('site', sa.String(length=255), nullable=False),
    sa.Column('message_id', sa.BigInteger(), nullable=False),
    sa.Column('last_message_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('measured_until', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['message_id'], ['message.id'], ),
    sa.PrimaryKeyConstraint('site')
    )
    op.create_table('vm_snapshot',
    sa.Column('site', sa.String(length=255), nullable=False),
    sa.Column('vmuuid', sa.String(length=255), nullable=False),
    sa.Column('measured_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('receipt', sa.BigInteger(), nullable=False),
    sa.Column('message_id', sa.BigInteger(), nullable=False),
    sa.Column('started_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('ended_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('wall_s', sa.BigInteger(), nullable=True),
    sa.Column('cpu_s', sa.BigInteger(), nullable=True),
    sa.Column('suspend_s', sa.BigInteger(), nullable=True),
    sa.Column('cpu_count', sa.Numeric(precision=10, scale=3), nullable=False),
    sa.Column('status', sa.Text(), nullable=False),
    sa.Column('service', sa.String(length=255), nullable=False),
    sa.Column('machine_name', sa.String(length=255), nullable=False),
    sa.Column('local_user', sa.String(length=255), nullable=False),
    sa.Column('local_group', sa.String(length=255), nullable=False),
    sa.Column('user_name', sa.String(length=255), nullable=False),
    sa.Column('fqan', sa.String(length=255), nullable=False),
    sa.Column('vo', sa.String(length=255), nullable=False),
    sa.Column('vo_group', sa.String(length=255), nullable=False),
    sa.Column('vo_role', sa.String(length=255), nullable=False),
    sa.Column('network_type', sa.String(length=255), nullable=False),
    sa.Column('network_in', sa.BigInteger(), nullable=True),
    sa.Column('network_out', sa.BigInteger(), nullable=True),
    sa.Column('public_ips', sa.BigInteger(), nullable=True),
    sa.Column('memory_mb', sa.BigInteger(), nullable=True),
    sa.Column('disk_gb', sa.BigInteger(), nullable=True),
    sa.Column('benchmark_type', sa.String(length=50), nullable=False),
    sa.Column('benchmark', sa.Numeric(precision=10, scale=3), nullable=False),
    sa.Column('storage_record', sa.String(length=255), nullable=False),
    sa.Column('image', sa.String(length=255), nullable=False),
    sa.Column('cloud_type', sa.String(length=255), nullable=False),
    sa.Column('from_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('used_wall_s', sa.BigInteger(), nullable=True),
    sa.Column('used_cpu_s', sa.BigInteger(), nullable=True),
    sa.CheckConstraint('from_at <= measured_at', name='vm_snapshot_interval'),
    sa.CheckConstraint('used_wall_s >= 0 and used_cpu_s >= 0', name='vm_snapshot_used'),
    sa.CheckConstraint('wall_s >= 0 and cpu_s >= 0 and cpu_count >= 0', name='vm_snapshot_not_negative'),
    sa.ForeignKeyConstraint(['message_id'], ['message.id'], ),
    sa.PrimaryKeyConstraint('site', 'vmuuid', 'measured_at')
    )
    op.create_index('vm_snapshot_measured', 'vm_snapshot', ['measured_at'], unique=False)
    op.create_table('follow_cursor',
    sa.Column('source', sa.String(), nullable=False),
    sa.Column('epoch', sa.String(), nullable=True),
    sa.Column('cursor', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('head', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('pulled_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('attempted_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('error', sa.String(), nullable=True),
    sa.PrimaryKeyConstraint('source')
    )
    op.create_table('followed',
    sa.Column('source', sa.String(), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('body', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('revision', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('source', 'kind', 'id')
    )
    op.create_index('followed_kind', 'followed', ['kind'], unique=False)
    op.create_index('followed_person', 'followed', ['kind', sa.literal_column("(body ->> 'person')")], unique=False)
    op.create_index('followed_principal', 'followed', ['kind', sa.literal_column("(body ->> 'principal')")], unique=False)
    op.create_index('followed_site', 'followed', ['kind', sa.literal_column("(body ->> 'site')")], unique=False)
    op.create_table('job_run',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('job', sa.String(), nullable=False),
    sa.Column('due_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('started_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('finished_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('outcome', sa.String(), nullable=True),
    sa.Column('detail', sa.String(), server_default='', nullable=False),
    sa.CheckConstraint("outcome in ('ok', 'failed')", name='job_run_outcome'),
    sa.CheckConstraint('(finished_at is null) = (outcome is null)', name='job_run_finished'),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('job', 'due_at', name='job_run_once')
    )


def downgrade() -> None:
    op.drop_table('job_run')
    op.drop_index('followed_site', table_name='followed')
    op.drop_index('followed_principal', table_name='followed')
    op.drop_index('followed_person', table_name='followed')
    op.drop_index('followed_kind', table_name='followed')
    op.drop_table('followed')
    op.drop_table('follow_cursor')
    op.drop_index('vm_snapshot_measured', table_name='vm_snapshot')
    op.drop_table('vm_snapshot')
    op.drop_table('site_publishing')
    op.drop_index('remark_site', table_name='remark')
    op.drop_table('remark')
    op.drop_index('refused_record_site', table_name='refused_record')
    op.drop_index('refused_record_open', table_name='refused_record', postgresql_where=sa.text("state = 'refused'"))
    op.drop_table('refused_record')
    op.drop_index('vm_month_site', table_name='vm_month')
    op.drop_table('vm_month')
    op.drop_index('usage_summary_site', table_name='usage_summary')
    op.drop_index('usage_summary_month', table_name='usage_summary')
    op.drop_table('usage_summary')
    op.drop_table('summary_due')
    op.drop_index('message_waiting', table_name='message', postgresql_where=sa.text("state = 'waiting'"))
    op.drop_index('message_site', table_name='message')
    op.drop_index('message_received', table_name='message')
    op.drop_index('message_once', table_name='message', postgresql_where=sa.text("source = 'ams'"))
    op.drop_table('message')
    op.execute(sa.schema.DropSequence(sa.Sequence("receipt")))

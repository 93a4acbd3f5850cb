"""The log: indexes for looks at the past and for the audit trail; webhooks, their deliveries, subscriptions"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from hanse import log_indexes


revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    log_indexes.add()
    _listening()


def _listening() -> None:
    moment = postgresql.TIMESTAMP(timezone=True)
    op.create_table('webhook',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('person_id', sa.BigInteger(), nullable=False),
    sa.Column('url', sa.Text(), nullable=False),
    sa.Column('secret', sa.Text(), nullable=False),
    sa.Column('description', sa.Text(), server_default='', nullable=False),
    sa.Column('kinds', postgresql.ARRAY(sa.Text()), server_default='{}', nullable=False),
    sa.Column('site_ids', postgresql.ARRAY(sa.BigInteger()), server_default='{}', nullable=False),
    sa.Column('ngi_ids', postgresql.ARRAY(sa.BigInteger()), server_default='{}', nullable=False),
    sa.Column('vos', postgresql.ARRAY(sa.Text()), server_default='{}', nullable=False),
    sa.Column('cursor', sa.BigInteger(), nullable=False),
    sa.Column('created_at', moment, server_default=sa.text('now()'), nullable=False),
    sa.Column('active', sa.Boolean(), server_default=sa.text('true'), nullable=False),
    sa.Column('failing_since', moment, nullable=True),
    sa.Column('stopped_at', moment, nullable=True),
    sa.Column('stopped_reason', sa.Text(), server_default='', nullable=False),
    sa.CheckConstraint('active = (stopped_at is null)', name='webhook_stopped'),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('webhook_person', 'webhook', ['person_id'])
    op.create_table('webhook_delivery',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('webhook_id', sa.BigInteger(), nullable=False),
    sa.Column('revision', sa.BigInteger(), nullable=True),
    sa.Column('body', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='pending', nullable=False),
    sa.Column('attempts', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('created_at', moment, server_default=sa.text('now()'), nullable=False),
    sa.Column('next_attempt_at', moment, server_default=sa.text('now()'), nullable=False),
    sa.Column('last_attempt_at', moment, nullable=True),
    sa.Column('last_status', sa.BigInteger(), nullable=True),
    sa.Column('last_answer', sa.Text(), server_default='', nullable=False),
    sa.Column('delivered_at', moment, nullable=True),
    sa.CheckConstraint("state in ('pending', 'delivered', 'failed')", name='webhook_delivery_state'),
    sa.CheckConstraint("(state = 'delivered') = (delivered_at is not null)", name='webhook_delivery_delivered'),
    sa.ForeignKeyConstraint(['webhook_id'], ['webhook.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('webhook_id', 'revision', name='webhook_delivery_once')
    )
    op.create_index('webhook_delivery_due', 'webhook_delivery', ['next_attempt_at'], postgresql_where=sa.text("state = 'pending'"))
    op.create_index('webhook_delivery_created', 'webhook_delivery', ['created_at'])
    op.create_table('subscription',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('person_id', sa.BigInteger(), nullable=False),
    sa.Column('target', sa.Text(), nullable=False),
    sa.Column('target_id', sa.BigInteger(), nullable=True),
    sa.Column('vo', sa.Text(), nullable=True),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('means', sa.Text(), nullable=False),
    sa.Column('webhook_id', sa.BigInteger(), nullable=True),
    sa.Column('cursor', sa.BigInteger(), nullable=False),
    sa.Column('created_at', moment, server_default=sa.text('now()'), nullable=False),
    sa.Column('digest_on', sa.Date(), nullable=True),
    sa.CheckConstraint("target in ('federation', 'ngi', 'site', 'service', 'vo')", name='subscription_target'),
    sa.CheckConstraint("subject in ('downtimes', 'changes', 'all')", name='subscription_subject'),
    sa.CheckConstraint("means in ('mail', 'digest', 'webhook')", name='subscription_means'),
    sa.CheckConstraint(
        "case target when 'federation' then target_id is null and vo is null"
        " when 'vo' then target_id is null and vo is not null"
        " else target_id is not null and vo is null end",
        name='subscription_whom',
    ),
    sa.CheckConstraint("(means = 'webhook') = (webhook_id is not null)", name='subscription_webhook'),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['webhook_id'], ['webhook.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('person_id', 'target', 'target_id', 'vo', 'subject', 'means', 'webhook_id', name='subscription_once', postgresql_nulls_not_distinct=True)
    )
    op.create_index('subscription_webhook_id', 'subscription', ['webhook_id'])


def downgrade() -> None:
    op.drop_table('subscription')
    op.drop_table('webhook_delivery')
    op.drop_table('webhook')
    log_indexes.remove()

"""The log: indexes for looks at the past and for the audit trail; webhooks, their deliveries, subscriptions"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql


revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None

NAME = sa.text("((body ->> 'name') COLLATE \"C\")")
UNTIL = sa.text("(coalesce(to_revision, 9223372036854775807))")
COUNTED = sa.text("length(entity_id)")
PUT = sa.text("op = 'put'")
OPEN = sa.text("to_revision is null")


def upgrade() -> None:
    op.drop_index('history_entity', table_name='history')
    op.create_index('history_entity', 'history', ['kind', 'entity_id', 'from_revision'], unique=True, postgresql_include=['id'])
    op.drop_index('history_site', table_name='history')
    op.create_index('history_site', 'history', ['kind', sa.text("(body ->> 'site')"), 'from_revision', UNTIL], postgresql_where=PUT)
    op.create_index('history_scope', 'history', ['kind', sa.text("(body ->> 'scope')")], postgresql_where=PUT)
    op.create_index('history_host', 'history', ['kind', sa.text("(body ->> 'hostname')"), 'from_revision', UNTIL], postgresql_where=PUT)
    op.create_index('history_trail', 'history', ['kind', 'id'])
    op.create_index('history_sites', 'history', [sa.text("(body -> 'sites')")], postgresql_using='gin', postgresql_where=sa.text("body ? 'sites'"))
    op.create_index('history_named', 'history', ['kind', NAME, 'from_revision', UNTIL], postgresql_where=PUT)
    op.create_index('history_counted', 'history', ['kind', COUNTED, 'entity_id', 'from_revision', UNTIL], postgresql_where=PUT)
    op.create_index('history_now_named', 'history', ['kind', NAME], postgresql_where=OPEN)
    op.create_index('history_now_counted', 'history', ['kind', COUNTED, 'entity_id'], postgresql_where=OPEN)
    op.create_index('revision_actor', 'revision', ['actor', 'number'])
    op.create_index('revision_actor_name', 'revision', ['actor_name', 'number'])


def downgrade() -> None:
    op.drop_index('revision_actor_name', table_name='revision')
    op.drop_index('revision_actor', table_name='revision')
    for name in ('history_now_counted', 'history_now_named', 'history_counted', 'history_named', 'history_trail', 'history_host', 'history_sites', 'history_scope', 'history_site'):
        op.drop_index(name, table_name='history')
    op.create_index('history_site', 'history', ['kind', sa.text("(body ->> 'site')")])
    op.drop_index('history_entity', table_name='history')
    op.create_index('history_entity', 'history', ['kind', 'entity_id', 'from_revision'], unique=True)

"""What is read at each look has an index: who belongs to a site's trail, open downtimes of the past, the feed's start"""

from alembic import op
import sqlalchemy as sa


revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None

PLACES = """
create function trail_places(kind text, body jsonb) returns setof text language sql immutable as $$
    select 'site:' || (body ->> 'name') where kind = 'site'
    union all select 'ngi:' || (body ->> 'ngi') where kind = 'site' and body ->> 'ngi' is not null
    union all select 'ngi:' || (body ->> 'name') where kind = 'ngi'
    union all select 'site:' || (body ->> 'site') where body ->> 'site' is not null and kind in (
        'service', 'endpoint', 'downtime', 'host_certificate', 'identity', 'api_credential',
        'certification_proposal', 'contact_confirmation', 'drift')
    union all select body ->> 'scope' where kind in ('grant', 'role_request') and body ->> 'scope' ~ '^(site|ngi):'
    union all select 'site:' || site from jsonb_array_elements_text(
        case when kind = 'downtime' and jsonb_typeof(body -> 'sites') = 'array' then body -> 'sites' else '[]' end) as site
$$
"""
KEEP = """
create function trail_keep() returns trigger language plpgsql as $$
begin
    insert into trail_entity (place, kind, entity_id)
    select distinct place, added.kind, added.entity_id
    from added, trail_places(added.kind, added.body) as place where added.op = 'put'
    on conflict do nothing;
    return null;
end
$$
"""
TRIGGER = """
create trigger trail_keep after insert on history referencing new table as added
for each statement execute function trail_keep()
"""
FILL = """
insert into trail_entity (place, kind, entity_id)
select distinct place, history.kind, history.entity_id
from history, trail_places(history.kind, history.body) as place where history.op = 'put'
"""
# what was planned or went on at a revision: a few of a hundred thousand states
OPEN_DOWNTIMES = """
create index own_history_open_downtimes on history using gist (int8range(from_revision, to_revision))
where kind = 'downtime' and op = 'put' and body ->> 'state' <> 'ended'
"""


def upgrade() -> None:
    op.create_table('trail_entity',
    sa.Column('place', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('entity_id', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('place', 'kind', 'entity_id')
    )
    for statement in (PLACES, KEEP, TRIGGER, FILL, OPEN_DOWNTIMES):
        op.execute(statement)
    op.create_index('trail_entity_entity', 'trail_entity', ['kind', 'entity_id'])
    op.create_index('own_history_feed_now', 'history', ['from_revision', 'id'], postgresql_where=sa.text("to_revision is null and op = 'put'"))
    op.create_index('downtime_end', 'downtime', ['end_at', 'start_at'])


def downgrade() -> None:
    op.drop_index('downtime_end', table_name='downtime')
    op.drop_index('own_history_feed_now', table_name='history')
    op.execute("drop index own_history_open_downtimes")
    op.execute("drop trigger trail_keep on history")
    op.execute("drop function trail_keep()")
    op.drop_table('trail_entity')
    op.execute("drop function trail_places(text, jsonb)")

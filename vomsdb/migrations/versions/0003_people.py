"""People's lifecycles: what members ask for, group managers, robots, reminders, attributes, cards of VOs"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql


revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('attribute_class',
    sa.Column('vo', sa.String(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('description', sa.String(), server_default='', nullable=False),
    sa.Column('distinct_values', sa.Boolean(), server_default='false', nullable=False),
    sa.CheckConstraint("name ~ '^[A-Za-z][A-Za-z0-9_.:-]{0,63}$'", name=op.f('attribute_class_name_check')),
    sa.ForeignKeyConstraint(['vo'], ['vo.name'], name=op.f('attribute_class_vo_fkey')),
    sa.PrimaryKeyConstraint('vo', 'name', name=op.f('attribute_class_pkey'))
    )
    op.create_table('attribute_value',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('vo', sa.String(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('member_id', sa.BigInteger(), nullable=True),
    sa.Column('path', sa.String(), nullable=True),
    sa.Column('role', sa.String(), nullable=True),
    sa.Column('value', sa.String(), nullable=False),
    sa.CheckConstraint('(member_id is null) = (path is not null)', name=op.f('attribute_value_whose_check')),
    sa.CheckConstraint('role is null or path is not null', name=op.f('attribute_value_role_check')),
    sa.ForeignKeyConstraint(['member_id'], ['member.id'], name=op.f('attribute_value_member_id_fkey')),
    sa.ForeignKeyConstraint(['path'], ['vo_group.path'], name=op.f('attribute_value_path_fkey')),
    sa.ForeignKeyConstraint(['vo', 'name'], ['attribute_class.vo', 'attribute_class.name'], name=op.f('attribute_value_vo_name_fkey')),
    sa.PrimaryKeyConstraint('id', name=op.f('attribute_value_pkey'))
    )
    op.create_index(op.f('attribute_value_member_id_ix'), 'attribute_value', ['member_id'], unique=False)
    op.create_index('attribute_value_once', 'attribute_value', ['vo', 'name', sa.literal_column('coalesce(member_id, 0)'), sa.literal_column("coalesce(path, '')"), sa.literal_column("coalesce(role, '')")], unique=True)
    op.create_table('group_manager',
    sa.Column('path', sa.String(), nullable=False),
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('email', sa.String(), server_default='', nullable=False),
    sa.Column('subject', sa.String(), nullable=False),
    sa.Column('issuer', sa.String(), nullable=False),
    sa.Column('since', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['path'], ['vo_group.path'], name=op.f('group_manager_path_fkey')),
    sa.PrimaryKeyConstraint('path', 'key', name=op.f('group_manager_pkey'))
    )
    op.create_table('member_request',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('vo', sa.String(), nullable=False),
    sa.Column('member_id', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('state', sa.String(), server_default='pending', nullable=False),
    sa.Column('path', sa.String(), nullable=True),
    sa.Column('role', sa.String(), nullable=True),
    sa.Column('key', sa.String(), nullable=True),
    sa.Column('subject_der', sa.LargeBinary(), nullable=True),
    sa.Column('issuer_der', sa.LargeBinary(), nullable=True),
    sa.Column('subject', sa.String(), nullable=True),
    sa.Column('issuer', sa.String(), nullable=True),
    sa.Column('motivation', sa.String(), server_default='', nullable=False),
    sa.Column('created_at', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('expires_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('decided_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('decided_by', sa.String(), nullable=True),
    sa.Column('decided_by_name', sa.String(), nullable=True),
    sa.Column('reason', sa.String(), nullable=True),
    sa.CheckConstraint("(kind = 'certificate') = (key is not null)", name=op.f('member_request_key_check')),
    sa.CheckConstraint("(kind = 'role') = (role is not null)", name=op.f('member_request_role_check')),
    sa.CheckConstraint("(kind in ('group', 'role')) = (path is not null)", name=op.f('member_request_path_check')),
    sa.CheckConstraint("(state = 'rejected') <= (reason is not null)", name=op.f('member_request_reasoned_check')),
    sa.CheckConstraint("kind in ('group', 'role', 'certificate', 'removal')", name=op.f('member_request_kind_check')),
    sa.CheckConstraint("state in ('pending', 'approved', 'rejected', 'withdrawn', 'expired')", name=op.f('member_request_state_check')),
    sa.ForeignKeyConstraint(['member_id'], ['member.id'], name=op.f('member_request_member_id_fkey')),
    sa.ForeignKeyConstraint(['vo'], ['vo.name'], name=op.f('member_request_vo_fkey')),
    sa.PrimaryKeyConstraint('id', name=op.f('member_request_pkey'))
    )
    op.create_index('member_request_listed', 'member_request', ['vo', 'state', 'id'], unique=False)
    op.create_index(op.f('member_request_member_id_ix'), 'member_request', ['member_id'], unique=False)
    op.create_index('member_request_once', 'member_request', ['member_id', 'kind', sa.literal_column("coalesce(path, '')"), sa.literal_column("coalesce(role, '')"), sa.literal_column("coalesce(key, '')")], unique=True, postgresql_where=sa.text("state = 'pending'"))
    op.add_column('mail', sa.Column('vo', sa.String(), nullable=True))
    op.create_index('mail_of_vo', 'mail', ['vo', 'id'], unique=False)
    op.add_column('member', sa.Column('kind', sa.String(), server_default='person', nullable=False))
    op.add_column('member', sa.Column('owner_id', sa.BigInteger(), nullable=True))
    op.add_column('member', sa.Column('purpose', sa.String(), server_default='', nullable=False))
    op.add_column('member', sa.Column('aup_signed_by', sa.String(), nullable=True))
    op.add_column('member', sa.Column('aup_reminded', sa.Integer(), nullable=True))
    op.add_column('member', sa.Column('end_reminded', sa.Integer(), nullable=True))
    op.create_check_constraint(op.f('member_kind_check'), 'member', "kind in ('person', 'robot', 'service')")
    op.create_check_constraint(op.f('member_owned_check'), 'member', "(kind = 'person') = (owner_id is null)")
    op.create_index('member_leaving', 'member', ['until'], unique=False, postgresql_where=sa.text("state in ('expired', 'suspended')"))
    op.create_index(op.f('member_owner_id_ix'), 'member', ['owner_id'], unique=False)
    op.create_foreign_key(op.f('member_owner_id_fkey'), 'member', 'member', ['owner_id'], ['id'])
    op.add_column('person', sa.Column('erased_at', postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.add_column('vo', sa.Column('number', sa.BigInteger(), sa.Identity(always=False), nullable=False))
    op.add_column('vo', sa.Column('alias', sa.String(), server_default='', nullable=False))
    op.add_column('vo', sa.Column('enrolment_url', sa.String(), server_default='', nullable=False))
    op.add_column('vo', sa.Column('support_unit', sa.String(), server_default='', nullable=False))
    op.add_column('vo', sa.Column('middleware', postgresql.JSONB(), server_default='[]', nullable=False))
    op.add_column('vo', sa.Column('contacts', postgresql.JSONB(), server_default='[]', nullable=False))
    op.add_column('vo', sa.Column('authorities', postgresql.JSONB(), server_default='[]', nullable=False))
    op.add_column('vo', sa.Column('resources', postgresql.JSONB(), server_default='{}', nullable=False))
    op.add_column('vo', sa.Column('shares', postgresql.JSONB(), server_default='{}', nullable=False))
    op.add_column('vo', sa.Column('changed_at', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('now()'), nullable=False))
    op.add_column('vo', sa.Column('asked_at', postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.add_column('vo', sa.Column('validated_at', postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.add_column('vo', sa.Column('validated_by', sa.String(), nullable=True))
    op.add_column('vo', sa.Column('state_reason', sa.String(), server_default='', nullable=False))
    op.create_unique_constraint(op.f('vo_number_key'), 'vo', ['number'])
    op.execute("update vo set validated_at = created_at where state <> 'new'")


def downgrade() -> None:
    op.drop_constraint(op.f('vo_number_key'), 'vo', type_='unique')
    op.drop_column('vo', 'state_reason')
    op.drop_column('vo', 'validated_by')
    op.drop_column('vo', 'validated_at')
    op.drop_column('vo', 'asked_at')
    op.drop_column('vo', 'changed_at')
    op.drop_column('vo', 'shares')
    op.drop_column('vo', 'resources')
    op.drop_column('vo', 'authorities')
    op.drop_column('vo', 'contacts')
    op.drop_column('vo', 'middleware')
    op.drop_column('vo', 'support_unit')
    op.drop_column('vo', 'enrolment_url')
    op.drop_column('vo', 'alias')
    op.drop_column('vo', 'number')
    op.drop_column('person', 'erased_at')
    op.drop_constraint(op.f('member_owner_id_fkey'), 'member', type_='foreignkey')
    op.drop_index(op.f('member_owner_id_ix'), table_name='member')
    op.drop_index('member_leaving', table_name='member', postgresql_where=sa.text("state in ('expired', 'suspended')"))
    op.drop_constraint(op.f('member_owned_check'), 'member', type_='check')
    op.drop_constraint(op.f('member_kind_check'), 'member', type_='check')
    op.drop_column('member', 'end_reminded')
    op.drop_column('member', 'aup_reminded')
    op.drop_column('member', 'aup_signed_by')
    op.drop_column('member', 'purpose')
    op.drop_column('member', 'owner_id')
    op.drop_column('member', 'kind')
    op.drop_index('mail_of_vo', table_name='mail')
    op.drop_column('mail', 'vo')
    op.drop_index('member_request_once', table_name='member_request', postgresql_where=sa.text("state = 'pending'"))
    op.drop_index(op.f('member_request_member_id_ix'), table_name='member_request')
    op.drop_index('member_request_listed', table_name='member_request')
    op.drop_table('member_request')
    op.drop_table('group_manager')
    op.drop_index('attribute_value_once', table_name='attribute_value')
    op.drop_index(op.f('attribute_value_member_id_ix'), table_name='attribute_value')
    op.drop_table('attribute_value')
    op.drop_table('attribute_class')

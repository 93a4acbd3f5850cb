"""people: more of a person, several identities, role requests and actions, API credentials, mails, reads of personal data"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql


revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None

UTC_TIME = postgresql.TIMESTAMP(timezone=True)
OLD_ROLES = ('federation_operator', 'ngi_manager', 'site_administrator', 'site_security_officer')
ROLES = {
    'federation': ('federation_operator',),
    'project': ('cod_staff', 'cod_administrator', 'egi_csirt_officer', 'chief_operations_officer'),
    'ngi': (
        'ngi_manager', 'ngi_operations_manager', 'ngi_operations_deputy_manager', 'ngi_security_officer',
        'regional_staff_rod', 'regional_first_line_support',
    ),
    'site': (
        'site_administrator', 'site_security_officer', 'site_operations_manager', 'site_operations_deputy_manager',
    ),
    'servicegroup': ('service_group_administrator',),
}
OWNERS = {'project': 'project_id', 'ngi': 'ngi_id', 'site': 'site_id', 'servicegroup': 'service_group_id'}


def listed(names):
    return ', '.join(f"'{name}'" for name in names)


def upgrade() -> None:
    for name in ('forename', 'surname', 'title', 'telephone', 'works_from', 'works_until'):
        op.add_column('person', sa.Column(name, sa.Text(), server_default='', nullable=False))
    op.add_column('person', sa.Column('last_login_at', UTC_TIME, nullable=True))

    op.drop_constraint('credential_kind', 'credential')
    for name in ('realm', 'oidc_issuer', 'oidc_subject', 'suspended_reason'):
        op.add_column('credential', sa.Column(name, sa.Text(), server_default='', nullable=False))
    for name in ('suspended_at', 'last_used_at'):
        op.add_column('credential', sa.Column(name, UTC_TIME, nullable=True))
    op.create_check_constraint('credential_kind', 'credential', "kind in ('x509', 'oidc', 'token')")
    op.create_check_constraint('credential_oidc', 'credential', "(kind = 'oidc') = (oidc_subject <> '')")
    op.create_index(
        'credential_oidc_subject', 'credential', ['oidc_subject'], unique=True, postgresql_where=sa.text("kind = 'oidc'")
    )

    op.add_column('link_code', sa.Column('key', sa.Text(), server_default='', nullable=False))
    for name in ('oidc_issuer', 'oidc_subject', 'realm'):
        op.add_column('link_code', sa.Column(name, sa.Text(), server_default='', nullable=False))
    for name in ('subject_der', 'issuer_der'):
        op.add_column('link_code', sa.Column(name, sa.LargeBinary(), nullable=True))
    op.add_column('link_code', sa.Column('made_at', UTC_TIME, server_default=sa.text('now()'), nullable=False))

    _upgrade_roles()
    _create_role_action()
    _create_api_credential()
    _create_mail()
    _create_personal_read()


def _upgrade_roles() -> None:
    op.drop_constraint('role_scope', 'role')
    op.drop_constraint('role_name', 'role')
    op.drop_constraint('role_once', 'role')
    op.add_column('role', sa.Column('project_id', sa.BigInteger(), nullable=True))
    op.add_column('role', sa.Column('service_group_id', sa.BigInteger(), nullable=True))
    op.add_column('role', sa.Column('status', sa.Text(), server_default='GRANTED', nullable=False))
    op.add_column('role', sa.Column('requested_at', UTC_TIME, server_default=sa.text('now()'), nullable=False))
    op.add_column('role', sa.Column('requested_by', sa.Text(), server_default='', nullable=False))
    op.add_column('role', sa.Column('request_reason', sa.Text(), server_default='', nullable=False))
    op.alter_column('role', 'granted_at', nullable=True, server_default=None)
    op.alter_column('role', 'granted_by', nullable=True)
    op.create_foreign_key('role_project_id_fkey', 'role', 'project', ['project_id'], ['id'], ondelete='CASCADE')
    op.create_foreign_key(
        'role_service_group_id_fkey', 'role', 'service_group', ['service_group_id'], ['id'], ondelete='CASCADE'
    )
    op.create_index('ix_role_project_id', 'role', ['project_id'])
    op.create_index('ix_role_service_group_id', 'role', ['service_group_id'])
    op.create_index('role_pending', 'role', ['requested_at'], postgresql_where=sa.text("status = 'PENDING'"))
    every = [name for names in ROLES.values() for name in names]
    op.create_check_constraint('role_name', 'role', f'role in ({listed(every)})')
    op.create_check_constraint('role_status', 'role', "status in ('PENDING', 'GRANTED')")
    op.create_check_constraint(
        'role_decided', 'role', "(status = 'GRANTED') = (granted_at is not null and granted_by is not null)"
    )
    arms = ' '.join(f'when role in ({listed(ROLES[kind])}) then {column} is not null' for kind, column in OWNERS.items())
    op.create_check_constraint(
        'role_scope',
        'role',
        "num_nonnulls(site_id, ngi_id, project_id, service_group_id) = case role when 'federation_operator' then 0 else 1 end"
        f' and case {arms} else true end',
    )
    op.create_unique_constraint(
        'role_once', 'role', ['person_id', 'role', 'site_id', 'ngi_id', 'project_id', 'service_group_id'],
        postgresql_nulls_not_distinct=True,
    )


def _create_role_action() -> None:
    op.create_table('role_action',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('at', UTC_TIME, server_default=sa.text('now()'), nullable=False),
    sa.Column('action', sa.Text(), nullable=False),
    sa.Column('role_id', sa.BigInteger(), nullable=False),
    sa.Column('role', sa.Text(), nullable=False),
    sa.Column('scope', sa.Text(), nullable=False),
    sa.Column('owner_id', sa.BigInteger(), nullable=True),
    sa.Column('person_id', sa.BigInteger(), nullable=True),
    sa.Column('person_name', sa.Text(), nullable=False),
    sa.Column('by_person_id', sa.BigInteger(), nullable=True),
    sa.Column('by_name', sa.Text(), nullable=False),
    sa.Column('old_status', sa.Text(), server_default='', nullable=False),
    sa.Column('new_status', sa.Text(), server_default='', nullable=False),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.CheckConstraint("action in ('requested', 'granted', 'rejected', 'revoked', 'laid down')", name='role_action_action'),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['by_person_id'], ['person.id'], ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('role_action_at', 'role_action', ['at'])
    op.create_index('role_action_person', 'role_action', ['person_id'])
    op.create_index('role_action_by', 'role_action', ['by_person_id'])
    op.create_index('role_action_scope', 'role_action', ['scope', 'id'])


def _create_api_credential() -> None:
    op.create_table('api_credential',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('identifier', sa.Text(), nullable=False),
    sa.Column('realm', sa.Text(), server_default='', nullable=False),
    sa.Column('match', sa.Text(), nullable=False),
    sa.Column('allow_write', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('owner_id', sa.BigInteger(), nullable=False),
    sa.Column('created_at', UTC_TIME, server_default=sa.text('now()'), nullable=False),
    sa.Column('renewed_at', UTC_TIME, server_default=sa.text('now()'), nullable=False),
    sa.Column('last_used_at', UTC_TIME, nullable=True),
    sa.Column('warned_at', UTC_TIME, nullable=True),
    sa.CheckConstraint("kind in ('x509', 'oidc')", name='api_credential_kind'),
    sa.ForeignKeyConstraint(['site_id'], ['site.id'], ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['owner_id'], ['person.id'], ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('site_id', 'kind', 'match', name='api_credential_once')
    )
    op.create_index('api_credential_match', 'api_credential', ['kind', 'match'])
    op.create_index('api_credential_owner', 'api_credential', ['owner_id'])


def _create_mail() -> None:
    op.create_table('mail',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('recipient', sa.Text(), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('body', sa.Text(), nullable=False),
    sa.Column('about', sa.Text(), server_default='', nullable=False),
    sa.Column('unsubscribe_url', sa.Text(), server_default='', nullable=False),
    sa.Column('state', sa.Text(), server_default='pending', nullable=False),
    sa.Column('attempts', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('last_answer', sa.Text(), server_default='', nullable=False),
    sa.Column('created_at', UTC_TIME, server_default=sa.text('now()'), nullable=False),
    sa.Column('next_attempt_at', UTC_TIME, server_default=sa.text('now()'), nullable=False),
    sa.Column('delivered_at', UTC_TIME, nullable=True),
    sa.CheckConstraint("state in ('pending', 'delivered', 'failed')", name='mail_state'),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('mail_due', 'mail', ['next_attempt_at'], postgresql_where=sa.text("state = 'pending'"))
    op.create_index('mail_about', 'mail', ['about'])
    op.create_index('mail_recipient', 'mail', ['recipient'])


def _create_personal_read() -> None:
    op.create_table('personal_read',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('at', UTC_TIME, server_default=sa.text('now()'), nullable=False),
    sa.Column('reader_key', sa.Text(), nullable=False),
    sa.Column('reader_name', sa.Text(), nullable=False),
    sa.Column('reader_id', sa.BigInteger(), nullable=True),
    sa.Column('what', sa.Text(), nullable=False),
    sa.Column('people', postgresql.ARRAY(sa.BigInteger()), nullable=False),
    sa.ForeignKeyConstraint(['reader_id'], ['person.id'], ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('personal_read_at', 'personal_read', ['at'])
    op.create_index('personal_read_reader', 'personal_read', ['reader_id'])
    op.create_index('personal_read_people', 'personal_read', ['people'], postgresql_using='gin')


def downgrade() -> None:
    for table in ('personal_read', 'mail', 'api_credential', 'role_action'):
        op.drop_table(table)
    op.execute("delete from role where status <> 'GRANTED' or role not in (" + listed(OLD_ROLES) + ')')
    for name in ('role_scope', 'role_decided', 'role_status', 'role_name', 'role_once'):
        op.drop_constraint(name, 'role')
    for name in ('role_pending', 'ix_role_service_group_id', 'ix_role_project_id'):
        op.drop_index(name, 'role')
    op.alter_column('role', 'granted_by', nullable=False)
    op.alter_column('role', 'granted_at', nullable=False, server_default=sa.text('now()'))
    for name in ('request_reason', 'requested_by', 'requested_at', 'status', 'service_group_id', 'project_id'):
        op.drop_column('role', name)
    op.create_unique_constraint(
        'role_once', 'role', ['person_id', 'role', 'site_id', 'ngi_id'], postgresql_nulls_not_distinct=True
    )
    op.create_check_constraint('role_name', 'role', f'role in ({listed(OLD_ROLES)})')
    op.create_check_constraint(
        'role_scope', 'role',
        "case role when 'federation_operator' then site_id is null and ngi_id is null"
        " when 'ngi_manager' then site_id is null and ngi_id is not null"
        ' else site_id is not null and ngi_id is null end',
    )
    op.execute("delete from link_code where key <> ''")
    for name in ('made_at', 'issuer_der', 'subject_der', 'realm', 'oidc_subject', 'oidc_issuer', 'key'):
        op.drop_column('link_code', name)
    op.execute("delete from credential where kind = 'oidc'")
    op.drop_index('credential_oidc_subject', 'credential')
    op.drop_constraint('credential_oidc', 'credential')
    op.drop_constraint('credential_kind', 'credential')
    for name in ('last_used_at', 'suspended_at', 'suspended_reason', 'oidc_subject', 'oidc_issuer', 'realm'):
        op.drop_column('credential', name)
    op.create_check_constraint('credential_kind', 'credential', "kind in ('x509', 'token')")
    for name in ('last_login_at', 'works_until', 'works_from', 'telephone', 'title', 'surname', 'forename'):
        op.drop_column('person', name)

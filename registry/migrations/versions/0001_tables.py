"""The registry's tables, the ground floor's and the revision log's; the service types that the field knows."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None

SEQUENCES = ("owned_entity_id", "service_id", "downtime_id")
# Names as GOCDB spells them, since its consumers ask for them by name.
SERVICE_TYPES = {
    "eu.egi.cloud.vm-management.occi": "Starts, stops and describes virtual machines over OCCI",
    "eu.egi.cloud.accounting": "Sends usage records of a cloud",
    "eu.egi.cloud.information.bdii": "Publishes what a cloud offers, over LDAP",
    "eu.egi.cloud.vm-metadata.appdb-vmcaster": "Takes part in the distribution of virtual machine images",
    "eu.egi.cloud.storage-management.cdmi": "Object storage over CDMI",
    "org.openstack.nova": "Starts, stops and describes virtual machines over the OpenStack compute API",
    "org.openstack.swift": "Object storage over the OpenStack API",
    "org.opennebula.compute": "Starts, stops and describes virtual machines over the OpenNebula API",
    "eu.egi.storage.accounting": "Sends usage records of storage",
    "eu.egi.MPI": "Runs parallel jobs over several hosts",
    "CE": "Computing element of no named kind",
    "gLite-CE": "Computing element, LCG kind",
    "CREAM-CE": "Computing element, CREAM kind",
    "ARC-CE": "Computing element, NorduGrid ARC kind",
    "org.opensciencegrid.htcondorce": "Computing element, HTCondor kind",
    "unicore6.TargetSystemFactory": "Entry point to a UNICORE target system",
    "SRM": "Storage behind the storage resource manager interface",
    "XRootD": "Storage over the XRootD protocol",
    "webdav": "Storage over WebDAV",
    "globus-GRIDFTP": "File transfer over GridFTP",
    "FTS": "Schedules file transfers",
    "LFC": "Catalogue of files",
    "MyProxy": "Keeps credentials and hands out proxies",
    "VOMS": "Tells the attributes of members of virtual organisations",
    "emi.ARGUS": "Decides on authorisation for other services of a site",
    "eu.egi.aai.infra-proxy": "Identity proxy of an infrastructure",
    "gLite-APEL": "Sends usage records of a computing element",
    "APEL": "Takes in usage records of a region",
    "Site-BDII": "Publishes what a site offers, over LDAP",
    "Top-BDII": "Collects what all sites publish, over LDAP",
    "UI": "Host on which people use the infrastructure",
    "WMS": "Distributes jobs over computing elements",
    "org.squid-cache.Squid": "Caching web proxy",
    "ch.cern.cvmfs.stratum.1": "Copy of software repositories",
    "eu.egi.GRIDVIEW": "Shows the state of an infrastructure",
    "egi.MSGBroker": "Passes messages between services",
    "argo.mon": "Probes services and keeps their status",
    "ngi.OpsPortal": "Operations portal of a national infrastructure",
    "eu.egi.hanse": "One of the operations services of this federation",
}
UNMONITORED = frozenset({"VOMS", "emi.ARGUS", "org.squid-cache.Squid"})


def upgrade() -> None:
    for name in SEQUENCES:
        op.execute(sa.schema.CreateSequence(sa.Sequence(name)))
    op.create_table('ngi',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('description', sa.Text(), server_default='', nullable=False),
    sa.Column('email', sa.Text(), nullable=True),
    sa.Column('rod_email', sa.Text(), nullable=True),
    sa.Column('helpdesk_email', sa.Text(), nullable=True),
    sa.Column('security_email', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('name')
    )
    op.create_table('person',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('email', sa.Text(), nullable=True),
    sa.Column('created_at', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_table('service_type',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('description', sa.Text(), server_default='', nullable=False),
    sa.Column('monitoring_exception', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('name')
    )
    op.create_table('link_code',
    sa.Column('code_hash', sa.Text(), nullable=False),
    sa.Column('person_id', sa.BigInteger(), nullable=False),
    sa.Column('valid_until', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('code_hash')
    )
    op.create_index(op.f('ix_link_code_person_id'), 'link_code', ['person_id'], unique=False)
    op.create_table('site',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('primary_key', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('ngi_id', sa.BigInteger(), nullable=False),
    sa.Column('official_name', sa.Text(), nullable=False),
    sa.Column('description', sa.Text(), server_default='', nullable=False),
    sa.Column('home_url', sa.Text(), nullable=True),
    sa.Column('telephone', sa.Text(), nullable=True),
    sa.Column('domain', sa.Text(), nullable=True),
    sa.Column('giis_url', sa.Text(), nullable=True),
    sa.Column('country', sa.Text(), nullable=False),
    sa.Column('country_code', sa.Text(), nullable=False),
    sa.Column('location', sa.Text(), nullable=True),
    sa.Column('timezone', sa.Text(), nullable=True),
    sa.Column('latitude', sa.Double(), nullable=True),
    sa.Column('longitude', sa.Double(), nullable=True),
    sa.Column('middleware', sa.Text(), nullable=True),
    sa.Column('certification', sa.Text(), nullable=False),
    sa.Column('certification_since', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('production', sa.Boolean(), nullable=False),
    sa.Column('notify', sa.Boolean(), server_default=sa.text('true'), nullable=False),
    sa.Column('scopes', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('vcpu', sa.BigInteger(), nullable=True),
    sa.Column('ram_gb', sa.Double(), nullable=True),
    sa.Column('storage_tb', sa.Double(), nullable=True),
    sa.Column('volumes', sa.BigInteger(), nullable=True),
    sa.Column('public_ips', sa.BigInteger(), nullable=True),
    sa.Column('agent_url', sa.Text(), nullable=True),
    sa.Column('usage_site_names', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('created_at', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("certification in ('Candidate', 'Uncertified', 'Certified', 'Suspended', 'Closed')", name='site_certification'),
    sa.CheckConstraint("country_code ~ '^[A-Z]{2}$'", name='site_country_code'),
    sa.CheckConstraint('cardinality(scopes) > 0', name='site_has_scope'),
    sa.CheckConstraint('coalesce(vcpu, 0) >= 0 and coalesce(ram_gb, 0) >= 0 and coalesce(storage_tb, 0) >= 0 and coalesce(volumes, 0) >= 0 and coalesce(public_ips, 0) >= 0', name='site_capacity'),
    sa.CheckConstraint('latitude between -90 and 90', name='site_latitude'),
    sa.CheckConstraint('longitude between -180 and 180', name='site_longitude'),
    sa.ForeignKeyConstraint(['ngi_id'], ['ngi.id'], ),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('name'),
    sa.UniqueConstraint('primary_key')
    )
    op.create_index('site_ngi', 'site', ['ngi_id'], unique=False)
    op.create_index('site_scopes', 'site', ['scopes'], unique=False, postgresql_using='gin')
    op.create_table('contact',
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('email', sa.Text(), nullable=False),
    sa.CheckConstraint("kind in ('admin', 'security', 'alarm', 'helpdesk', 'operations')", name='contact_kind'),
    sa.ForeignKeyConstraint(['site_id'], ['site.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('site_id', 'position')
    )
    op.create_table('credential',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('person_id', sa.BigInteger(), nullable=True),
    sa.Column('site_id', sa.BigInteger(), nullable=True),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('subject_der', sa.LargeBinary(), nullable=True),
    sa.Column('issuer_der', sa.LargeBinary(), nullable=True),
    sa.Column('created_at', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('not_after', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.CheckConstraint("(kind = 'x509') = (subject_der is not null and issuer_der is not null)", name='credential_x509'),
    sa.CheckConstraint("kind <> 'token' or not_after is not null", name='credential_token_ends'),
    sa.CheckConstraint("kind in ('x509', 'token')", name='credential_kind'),
    sa.CheckConstraint('num_nonnulls(person_id, site_id) = 1', name='credential_one_owner'),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['site_id'], ['site.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('key')
    )
    op.create_index(op.f('ix_credential_person_id'), 'credential', ['person_id'], unique=False)
    op.create_index(op.f('ix_credential_site_id'), 'credential', ['site_id'], unique=False)
    op.create_table('downtime',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('primary_key', sa.Text(), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('severity', sa.Text(), nullable=False),
    sa.Column('classification', sa.Text(), nullable=False),
    sa.Column('description', sa.Text(), nullable=False),
    sa.Column('start_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('end_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('created_at', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.CheckConstraint("classification in ('SCHEDULED', 'UNSCHEDULED')", name='downtime_classification'),
    sa.CheckConstraint("severity in ('OUTAGE', 'WARNING')", name='downtime_severity'),
    sa.CheckConstraint("state in ('planned', 'ongoing', 'ended')", name='downtime_state'),
    sa.CheckConstraint('start_at < end_at', name='downtime_order'),
    sa.ForeignKeyConstraint(['site_id'], ['site.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('primary_key')
    )
    op.create_index('downtime_open', 'downtime', ['state'], unique=False, postgresql_where=sa.text("state <> 'ended'"))
    op.create_index('downtime_site', 'downtime', ['site_id', 'start_at'], unique=False)
    op.create_index('downtime_span', 'downtime', ['start_at', 'end_at'], unique=False)
    op.create_table('host_certificate',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('fingerprint', sa.Text(), nullable=False),
    sa.Column('subject_der', sa.LargeBinary(), nullable=False),
    sa.Column('issuer_der', sa.LargeBinary(), nullable=False),
    sa.Column('pem', sa.Text(), nullable=False),
    sa.Column('not_before', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('not_after', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('added_at', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('not_before < not_after', name='host_certificate_order'),
    sa.ForeignKeyConstraint(['site_id'], ['site.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('fingerprint')
    )
    op.create_index('host_certificate_key', 'host_certificate', ['key'], unique=False)
    op.create_index('host_certificate_site', 'host_certificate', ['site_id'], unique=False)
    op.create_table('role',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('person_id', sa.BigInteger(), nullable=False),
    sa.Column('role', sa.Text(), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=True),
    sa.Column('ngi_id', sa.BigInteger(), nullable=True),
    sa.Column('granted_at', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('granted_by', sa.Text(), nullable=False),
    sa.CheckConstraint("case role when 'federation_operator' then site_id is null and ngi_id is null when 'ngi_manager' then site_id is null and ngi_id is not null else site_id is not null and ngi_id is null end", name='role_scope'),
    sa.CheckConstraint("role in ('federation_operator', 'ngi_manager', 'site_administrator', 'site_security_officer')", name='role_name'),
    sa.ForeignKeyConstraint(['ngi_id'], ['ngi.id'], ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['site_id'], ['site.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('person_id', 'role', 'site_id', 'ngi_id', name='role_once', postgresql_nulls_not_distinct=True)
    )
    op.create_index(op.f('ix_role_ngi_id'), 'role', ['ngi_id'], unique=False)
    op.create_index(op.f('ix_role_site_id'), 'role', ['site_id'], unique=False)
    op.create_table('service',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('primary_key', sa.Text(), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('service_type', sa.Text(), nullable=False),
    sa.Column('hostname', sa.Text(), nullable=False),
    sa.Column('url', sa.Text(), nullable=True),
    sa.Column('description', sa.Text(), server_default='', nullable=False),
    sa.Column('host_dn', sa.Text(), nullable=True),
    sa.Column('host_ip', sa.Text(), nullable=True),
    sa.Column('host_ipv6', sa.Text(), nullable=True),
    sa.Column('host_os', sa.Text(), nullable=True),
    sa.Column('host_arch', sa.Text(), nullable=True),
    sa.Column('email', sa.Text(), nullable=True),
    sa.Column('beta', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('production', sa.Boolean(), nullable=False),
    sa.Column('monitored', sa.Boolean(), nullable=False),
    sa.Column('notify', sa.Boolean(), server_default=sa.text('true'), nullable=False),
    sa.Column('scopes', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.CheckConstraint('cardinality(scopes) > 0', name='service_has_scope'),
    sa.ForeignKeyConstraint(['service_type'], ['service_type.name'], ),
    sa.ForeignKeyConstraint(['site_id'], ['site.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('primary_key')
    )
    op.create_index('service_hostname', 'service', ['hostname', 'service_type'], unique=False)
    op.create_index('service_scopes', 'service', ['scopes'], unique=False, postgresql_using='gin')
    op.create_index('service_site', 'service', ['site_id'], unique=False)
    op.create_table('vo_share',
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('vo', sa.Text(), nullable=False),
    sa.Column('vcpu', sa.BigInteger(), nullable=True),
    sa.CheckConstraint('vcpu >= 0', name='vo_share_vcpu'),
    sa.ForeignKeyConstraint(['site_id'], ['site.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('site_id', 'vo')
    )
    op.create_index('vo_share_vo', 'vo_share', ['vo'], unique=False)
    op.create_table('downtime_service',
    sa.Column('downtime_id', sa.BigInteger(), nullable=False),
    sa.Column('service_id', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['downtime_id'], ['downtime.id'], ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('downtime_id', 'service_id')
    )
    op.create_index('downtime_service_service', 'downtime_service', ['service_id'], unique=False)
    op.create_table('endpoint',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('service_id', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('url', sa.Text(), nullable=False),
    sa.Column('interface_name', sa.Text(), nullable=False),
    sa.Column('description', sa.Text(), server_default='', nullable=False),
    sa.Column('email', sa.Text(), nullable=True),
    sa.Column('monitored', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('service_id', 'name', name='endpoint_name')
    )
    op.create_table('downtime_endpoint',
    sa.Column('downtime_id', sa.BigInteger(), nullable=False),
    sa.Column('endpoint_id', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['downtime_id'], ['downtime.id'], ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['endpoint_id'], ['endpoint.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('downtime_id', 'endpoint_id')
    )
    op.create_index('downtime_endpoint_endpoint', 'downtime_endpoint', ['endpoint_id'], unique=False)
    op.create_table('extension_property',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=True),
    sa.Column('service_id', sa.BigInteger(), nullable=True),
    sa.Column('endpoint_id', sa.BigInteger(), nullable=True),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('value', sa.Text(), nullable=False),
    sa.CheckConstraint('num_nonnulls(site_id, service_id, endpoint_id) = 1', name='extension_property_one_owner'),
    sa.ForeignKeyConstraint(['endpoint_id'], ['endpoint.id'], ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['service_id'], ['service.id'], ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['site_id'], ['site.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('endpoint_id', 'key', name='extension_property_of_endpoint'),
    sa.UniqueConstraint('service_id', 'key', name='extension_property_of_service'),
    sa.UniqueConstraint('site_id', 'key', name='extension_property_of_site')
    )
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
    op.create_table('feed_identity',
    sa.Column('one', sa.Boolean(), server_default=sa.text('true'), nullable=False),
    sa.Column('epoch', sa.UUID(as_uuid=False), nullable=False),
    sa.CheckConstraint('one', name='feed_identity_one_row'),
    sa.PrimaryKeyConstraint('one')
    )
    op.create_table('revision',
    sa.Column('number', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('actor', sa.String(), nullable=False),
    sa.Column('actor_name', sa.String(), nullable=False),
    sa.Column('reason', sa.String(), nullable=False),
    sa.CheckConstraint('number > 0', name='revision_positive'),
    sa.PrimaryKeyConstraint('number')
    )
    op.create_index('revision_at', 'revision', ['at'], unique=False)
    op.create_table('history',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('entity_id', sa.String(), nullable=False),
    sa.Column('from_revision', sa.BigInteger(), nullable=False),
    sa.Column('to_revision', sa.BigInteger(), nullable=True),
    sa.Column('op', sa.String(), nullable=False),
    sa.Column('body', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.CheckConstraint("(op = 'put') = (body is not null)", name='history_body'),
    sa.CheckConstraint("op in ('put', 'delete')", name='history_op'),
    sa.CheckConstraint('to_revision > from_revision', name='history_order'),
    sa.ForeignKeyConstraint(['from_revision'], ['revision.number'], ),
    sa.ForeignKeyConstraint(['to_revision'], ['revision.number'], ),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('history_entity', 'history', ['kind', 'entity_id', 'from_revision'], unique=True)
    op.create_index('history_feed', 'history', ['from_revision', 'id'], unique=False)
    op.create_index('history_now', 'history', ['kind', 'entity_id'], unique=True, postgresql_where=sa.text('to_revision is null'))
    op.create_index('history_person', 'history', ['kind', sa.literal_column("(body ->> 'person')")], unique=False)
    op.create_index('history_principal', 'history', ['kind', sa.literal_column("(body ->> 'principal')")], unique=False)
    op.create_index('history_site', 'history', ['kind', sa.literal_column("(body ->> 'site')")], unique=False)
    op.bulk_insert(
        sa.table(
            'service_type',
            sa.column('name', sa.Text()),
            sa.column('description', sa.Text()),
            sa.column('monitoring_exception', sa.Boolean()),
        ),
        [
            {'name': name, 'description': description, 'monitoring_exception': name in UNMONITORED}
            for name, description in SERVICE_TYPES.items()
        ],
    )


def downgrade() -> None:
    op.drop_index('history_site', table_name='history')
    op.drop_index('history_principal', table_name='history')
    op.drop_index('history_person', table_name='history')
    op.drop_index('history_now', table_name='history', postgresql_where=sa.text('to_revision is null'))
    op.drop_index('history_feed', table_name='history')
    op.drop_index('history_entity', table_name='history')
    op.drop_table('history')
    op.drop_index('revision_at', table_name='revision')
    op.drop_table('revision')
    op.drop_table('feed_identity')
    op.drop_table('job_run')
    op.drop_index('followed_site', table_name='followed')
    op.drop_index('followed_principal', table_name='followed')
    op.drop_index('followed_person', table_name='followed')
    op.drop_index('followed_kind', table_name='followed')
    op.drop_table('followed')
    op.drop_table('follow_cursor')
    op.drop_table('extension_property')
    op.drop_index('downtime_endpoint_endpoint', table_name='downtime_endpoint')
    op.drop_table('downtime_endpoint')
    op.drop_table('endpoint')
    op.drop_index('downtime_service_service', table_name='downtime_service')
    op.drop_table('downtime_service')
    op.drop_index('vo_share_vo', table_name='vo_share')
    op.drop_table('vo_share')
    op.drop_index('service_site', table_name='service')
    op.drop_index('service_scopes', table_name='service', postgresql_using='gin')
    op.drop_index('service_hostname', table_name='service')
    op.drop_table('service')
    op.drop_index(op.f('ix_role_site_id'), table_name='role')
    op.drop_index(op.f('ix_role_ngi_id'), table_name='role')
    op.drop_table('role')
    op.drop_index('host_certificate_site', table_name='host_certificate')
    op.drop_index('host_certificate_key', table_name='host_certificate')
    op.drop_table('host_certificate')
    op.drop_index('downtime_span', table_name='downtime')
    op.drop_index('downtime_site', table_name='downtime')
    op.drop_index('downtime_open', table_name='downtime', postgresql_where=sa.text("state <> 'ended'"))
    op.drop_table('downtime')
    op.drop_index(op.f('ix_credential_site_id'), table_name='credential')
    op.drop_index(op.f('ix_credential_person_id'), table_name='credential')
    op.drop_table('credential')
    op.drop_table('contact')
    op.drop_index('site_scopes', table_name='site', postgresql_using='gin')
    op.drop_index('site_ngi', table_name='site')
    op.drop_table('site')
    op.drop_index(op.f('ix_link_code_person_id'), table_name='link_code')
    op.drop_table('link_code')
    op.drop_table('service_type')
    op.drop_table('person')
    op.drop_table('ngi')
    for name in SEQUENCES:
        op.execute(sa.schema.DropSequence(sa.Sequence(name)))

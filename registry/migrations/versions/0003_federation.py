"""Federation: projects, service groups, scopes, infrastructures, the log of certification; the stock of the field."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None

# (name, description, reserved). Names as the programmes that read a GOCDB ask for them.
SCOPES = (
    ('EGI', 'Seen by the operations services of the federation', False),
    ('Local', 'Kept for the site or its national infrastructure alone', False),
    ('FedCloud', 'Part of the federated cloud', False),
    ('EGICore', 'Needed by the whole federation to work', True),
    ('SLA', 'Delivered under a service level agreement', True),
    ('wlcg', 'Part of the Worldwide LHC Computing Grid', True),
    ('tier1', 'Tier 1 centre of the LHC Computing Grid', True),
    ('tier2', 'Tier 2 centre of the LHC Computing Grid', True),
    ('tier3', 'Tier 3 centre of the LHC Computing Grid', True),
    ('alice', 'Serves the experiment ALICE', True),
    ('atlas', 'Serves the experiment ATLAS', True),
    ('cms', 'Serves the experiment CMS', True),
    ('lhcb', 'Serves the experiment LHCb', True),
    ('elixir', 'Serves the life science infrastructure ELIXIR', True),
)
# What GOCDB brings along beyond the types of revision 0001.
SERVICE_TYPES = {
    'RB': 'Resource broker of LCG; no longer kept up',
    'Local-LFC': 'Catalogue of the files of one site',
    'Central-LFC': 'Catalogue of all files of a virtual organisation',
    'VO-box': 'Host on which a virtual organisation runs services of its own',
    'Classic-SE': 'Storage element of the first kind; no longer kept up',
    'MON': 'Host of the R-GMA services of a site',
    'RGMA-IC': 'Registry of R-GMA',
    'FTM': 'Watches a file transfer service',
    'AMGA': 'Catalogue of metadata',
    'LB': 'Keeps the state of jobs of a workload manager',
    'ngi.SAM': 'Monitoring of a national infrastructure',
    'egi.SAM': 'Monitoring of the federation',
    'site.SAM': 'Monitoring of one site',
    'vo.SAM': 'Monitoring for one virtual organisation',
    'OpsTool': 'Tool of operations of no named kind',
    'GRAM5': 'Takes in jobs, Globus 5',
    'globus-GSISSHD': 'Interactive login with certificates',
    'globus-RLS': 'Tells where copies of files are',
    'unicore6.Registry': 'Lists the services of a UNICORE infrastructure',
    'unicore6.Gateway': 'Door to the UNICORE services of a site',
    'unicore6.StorageManagement': 'View of a storage resource, UNICORE',
    'unicore6.StorageFactory': 'Makes views of storage resources, UNICORE',
    'unicore6.ServiceOrchestrator': 'Hands out the jobs of a workflow, UNICORE',
    'unicore6.WorkflowFactory': 'Takes in workflows, UNICORE',
    'unicore6.UVOSAssertionQueryService': 'Tells attributes of people over SAML, UNICORE',
    'gLExec': 'Runs a job under the identity of its owner',
    'egi.APELRepository': 'Repository of usage records of the federation',
    'egi.AccountingPortal': 'Shows the usage of the federation',
    'egi.MetricsPortal': 'Shows figures of the federation',
    'egi.NetworkPortal': 'Tools for the networks between sites',
    'egi.OpsPortal': 'Operations portal of the federation',
    'egi.GGUS': 'Helpdesk of the federation',
    'egi.GOCDB': 'Registry of the federation',
    'egi.GRIDVIEW': 'Shows the state of the federation',
    'egi.GSTAT': 'Shows what sites publish',
    'egi.AppDB': 'Catalogue of applications and images',
    'egi.TMP': 'Marketplace of trainings',
    'egi.CRM': 'Keeps the federation\'s relations with its customers',
    'egi.VODashboard': 'Shows a virtual organisation its services',
    'SGAS': 'Accounting of the SweGrid kind',
    'QCG.Computing': 'Takes in jobs, QosCosGrid',
    'QCG.Notification': 'Passes notifications, QosCosGrid',
    'QCG.Broker': 'Distributes jobs, QosCosGrid',
    'dg.CREAM-CE': 'CREAM door to desktop computers',
    'dg.ARC-CE': 'ARC door to desktop computers',
    'dg.TargetSystemFactory': 'UNICORE door to desktop computers',
    'CUSTOM_SERVICE': 'Service of a kind of its own',
    'CUSTOM.ch.cern.frontier.FroNTier': 'Distributes conditions data in layers',
    'CUSTOM.UserPortal': 'Portal for people',
    'CUSTOM.RequestTracker': 'Keeps track of requests',
    'CUSTOM.pl.plgrid.Bazaar': 'Negotiates service levels, PLGrid',
    'CUSTOM.pl.plgrid.BazaarSAT': 'Kit of site administrators for negotiated service levels, PLGrid',
    'CUSTOM.pl.plgrid.BAT.agent': 'Collects usage records, PLGrid',
    'CUSTOM.pl.plgrid.QStorMan.UserInterface': 'Storage with a promised quality, PLGrid',
    'CUSTOM.pl.plgrid.KeyFS': 'Brings credentials to the hosts that people work on, PLGrid',
    'org.irods.irods3': 'Distributed storage of files, iRODS 3',
    'org.ogf.bes.BESFactory': 'Takes in jobs over the Basic Execution Service',
    'net.perfSONAR.Bandwidth': 'Measures throughput between sites',
    'net.perfSONAR.Latency': 'Measures delay between sites',
    'pl.cyfronet.gridspace2': 'Virtual laboratory',
    'pl.cyfronet.InSilicoLab': 'Portal of InSilicoLab',
    'pl.psnc.MigratingDesktop': 'Desktop from which resources are used',
    'com.adaptivecomputing.TorqueClient': 'Client of the Torque batch system',
    'org.vinetoolkit.VinePortal': 'Portal made with the Vine toolkit',
    'eu.egi.cloud.vm-metadata.marketplace': 'Marketplace of virtual machine images',
    'XRootD.Redirector': 'Leads readers to the XRootD server that holds a file',
    'ch.cern.cvmfs.stratum.0': 'Origin of software repositories',
    'uk.ac.gridpp.vac': 'Makes virtual machines on the hosts of a site',
    'org.nordugrid.arex': 'Computing element, NorduGrid ARC 3',
}
CONTACT_KINDS = ('admin', 'security', 'alarm', 'helpdesk', 'operations')


def upgrade() -> None:
    _new_tables()
    _new_columns()
    op.bulk_insert(
        sa.table('scope', sa.column('name', sa.Text()), sa.column('description', sa.Text()), sa.column('reserved', sa.Boolean())),
        [{'name': name, 'description': description, 'reserved': reserved} for name, description, reserved in SCOPES],
    )
    op.bulk_insert(
        sa.table('service_type', sa.column('name', sa.Text()), sa.column('description', sa.Text())),
        [{'name': name, 'description': description} for name, description in SERVICE_TYPES.items()],
    )
    op.execute(STOCK_IN_THE_LOG)


def _new_tables() -> None:
    op.create_table('scope',
        sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column('name', sa.Text(), nullable=False),
        sa.Column('description', sa.Text(), server_default='', nullable=False),
        sa.Column('reserved', sa.Boolean(), server_default=sa.text('false'), nullable=False),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('name'),
    )
    op.create_table('project',
        sa.Column('id', sa.BigInteger(), nullable=False),
        sa.Column('name', sa.Text(), nullable=False),
        sa.Column('description', sa.Text(), server_default='', nullable=False),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('name'),
    )
    op.create_table('project_ngi',
        sa.Column('project_id', sa.BigInteger(), nullable=False),
        sa.Column('ngi_id', sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(['project_id'], ['project.id'], ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['ngi_id'], ['ngi.id'], ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('project_id', 'ngi_id'),
    )
    op.create_index('project_ngi_ngi', 'project_ngi', ['ngi_id'])
    op.create_table('service_group',
        sa.Column('id', sa.BigInteger(), nullable=False),
        sa.Column('primary_key', sa.Text(), nullable=False),
        sa.Column('name', sa.Text(), nullable=False),
        sa.Column('description', sa.Text(), server_default='', nullable=False),
        sa.Column('monitored', sa.Boolean(), nullable=False),
        sa.Column('email', sa.Text(), nullable=True),
        sa.Column('scopes', postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column('created_at', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.CheckConstraint('cardinality(scopes) > 0', name='service_group_has_scope'),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('name'),
        sa.UniqueConstraint('primary_key'),
    )
    op.create_index('service_group_scopes', 'service_group', ['scopes'], postgresql_using='gin')
    op.create_table('service_group_service',
        sa.Column('service_group_id', sa.BigInteger(), nullable=False),
        sa.Column('service_id', sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(['service_group_id'], ['service_group.id'], ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['service_id'], ['service.id'], ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('service_group_id', 'service_id'),
    )
    op.create_index('service_group_service_service', 'service_group_service', ['service_id'])
    op.create_table('certification_change',
        sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column('site_id', sa.BigInteger(), nullable=False),
        sa.Column('at', postgresql.TIMESTAMP(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.Column('old', sa.Text(), nullable=False),
        sa.Column('new', sa.Text(), nullable=False),
        sa.Column('by_key', sa.Text(), nullable=False),
        sa.Column('by_name', sa.Text(), nullable=False),
        sa.Column('reason', sa.Text(), nullable=False),
        sa.CheckConstraint("old in ('Candidate', 'Uncertified', 'Certified', 'Suspended', 'Closed')", name='certification_change_old'),
        sa.CheckConstraint("new in ('Candidate', 'Uncertified', 'Certified', 'Suspended', 'Closed')", name='certification_change_new'),
        sa.ForeignKeyConstraint(['site_id'], ['site.id'], ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id'),
    )
    op.create_index('certification_change_site', 'certification_change', ['site_id', 'at'])
    op.create_index('certification_change_at', 'certification_change', ['at'])


def _new_columns() -> None:
    op.add_column('ngi', sa.Column('ggus_su', sa.Text(), nullable=True))
    op.add_column('ngi', sa.Column('scopes', postgresql.ARRAY(sa.Text()), server_default=sa.text("'{EGI}'"), nullable=False))
    op.create_check_constraint('ngi_has_scope', 'ngi', 'cardinality(scopes) > 0')
    op.add_column('site', sa.Column('infrastructure', sa.Text(), server_default='Production', nullable=False))
    op.execute("update site set infrastructure = 'Test' where not production")
    op.create_check_constraint('site_infrastructure', 'site', "infrastructure in ('Production', 'Test', 'SC', 'PPS')")
    op.create_check_constraint('site_production', 'site', "production = (infrastructure = 'Production')")
    for name in ('ip_range', 'ipv6_range', 'tier', 'sub_grid'):
        op.add_column('site', sa.Column(name, sa.Text(), nullable=True))
    op.add_column('contact', sa.Column('telephone', sa.Text(), nullable=True))
    op.alter_column('contact', 'email', nullable=True)
    op.drop_constraint('contact_kind', 'contact')
    op.create_check_constraint(
        'contact_kind', 'contact', "kind in ('admin', 'security', 'alarm', 'helpdesk', 'operations', 'emergency')"
    )
    op.create_check_constraint('contact_reachable', 'contact', 'num_nonnulls(email, telephone) > 0')
    op.add_column('extension_property', sa.Column('service_group_id', sa.BigInteger(), nullable=True))
    op.create_foreign_key(
        'extension_property_service_group_id_fkey', 'extension_property', 'service_group', ['service_group_id'], ['id'], ondelete='CASCADE'
    )
    op.drop_constraint('extension_property_one_owner', 'extension_property')
    op.create_check_constraint(
        'extension_property_one_owner', 'extension_property', 'num_nonnulls(site_id, service_id, endpoint_id, service_group_id) = 1'
    )
    op.create_unique_constraint('extension_property_of_service_group', 'extension_property', ['service_group_id', 'key'])
    # a type may be given another name: its services follow
    op.drop_constraint('service_service_type_fkey', 'service')
    op.create_foreign_key('service_service_type_fkey', 'service', 'service_type', ['service_type'], ['name'], onupdate='CASCADE')


# The stock counts as having been there always, so that looks into any past show it.
STOCK_IN_THE_LOG = """
with numbered as (
    insert into revision (number, at, actor, actor_name, reason)
    select coalesce(max(number), 0) + 1, greatest(timestamptz '2000-01-01T00:00:00Z', max(at)),
           'hanse', 'Hanse', 'Service types and scopes that come with the registry'
    from revision
    returning number
), stock as (
    select 'scope' as kind, id::text as entity_id,
           jsonb_build_object('id', id::text, 'name', name, 'description', description, 'reserved', reserved) as body
    from scope
    union all
    select 'service_type', id::text,
           jsonb_build_object(
               'id', id::text, 'name', name, 'description', description, 'monitoring_exception', monitoring_exception)
    from service_type
)
insert into history (kind, entity_id, from_revision, op, body)
select kind, entity_id, number, 'put', body from stock, numbered
order by kind, (body ->> 'id')::bigint
"""


def downgrade() -> None:
    op.execute("delete from history where kind in ('scope', 'service_type', 'project', 'service_group')")
    op.drop_constraint('service_service_type_fkey', 'service')
    op.create_foreign_key('service_service_type_fkey', 'service', 'service_type', ['service_type'], ['name'])
    op.execute('delete from extension_property where service_group_id is not null')
    op.drop_constraint('extension_property_of_service_group', 'extension_property')
    op.drop_constraint('extension_property_one_owner', 'extension_property')
    op.drop_column('extension_property', 'service_group_id')
    op.create_check_constraint(
        'extension_property_one_owner', 'extension_property', 'num_nonnulls(site_id, service_id, endpoint_id) = 1'
    )
    op.drop_constraint('contact_reachable', 'contact')
    op.drop_constraint('contact_kind', 'contact')
    op.execute("delete from contact where email is null")
    op.execute("update contact set kind = 'operations' where kind = 'emergency'")
    op.create_check_constraint('contact_kind', 'contact', f'kind in {CONTACT_KINDS}')
    op.alter_column('contact', 'email', nullable=False)
    op.drop_column('contact', 'telephone')
    op.drop_constraint('site_production', 'site')
    for name in ('infrastructure', 'ip_range', 'ipv6_range', 'tier', 'sub_grid'):
        op.drop_column('site', name)
    op.drop_column('ngi', 'scopes')
    op.drop_column('ngi', 'ggus_su')
    for name in ('certification_change', 'service_group_service', 'service_group', 'project_ngi', 'project', 'scope'):
        op.drop_table(name)
    names = ', '.join(f"'{name}'" for name in SERVICE_TYPES)
    op.execute(f'delete from service_type where name in ({names}) and name not in (select service_type from service)')

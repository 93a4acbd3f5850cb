"""portal: usage by kind, site, month and VO, which its views read first; summaries of a VO packed in columns"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None

NAME = sa.String(length=255)


def upgrade() -> None:
    op.create_table('usage_month',
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('site', NAME, nullable=False),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('vo', NAME, nullable=False),
    *(sa.Column(name, sa.BigInteger(), server_default='0', nullable=False)
      for name in ('wall_s', 'cpu_s', 'wall_core_s', 'normalised_wall_s', 'normalised_cpu_s')),
    sa.Column('network_in', sa.Numeric(precision=30), server_default='0', nullable=False),
    sa.Column('network_out', sa.Numeric(precision=30), server_default='0', nullable=False),
    *(sa.Column(name, sa.BigInteger(), server_default='0', nullable=False) for name in ('vms', 'begun', 'jobs')),
    sa.PrimaryKeyConstraint('kind', 'site', 'month', 'vo')
    )
    op.create_index('usage_month_month', 'usage_month', ['kind', 'month'], unique=False)
    op.create_index('usage_month_vo', 'usage_month', ['kind', 'vo', 'month'], unique=False)
    op.create_table('usage_packed',
    sa.Column('vo', NAME, nullable=False),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('site', NAME, nullable=False),
    *(sa.Column(name, postgresql.ARRAY(sa.Text()), nullable=False) for name in ('user_name', 'image', 'status', 'service')),
    sa.Column('cores', postgresql.ARRAY(sa.Numeric(precision=10, scale=3)), nullable=False),
    *(sa.Column(name, postgresql.ARRAY(sa.BigInteger()), nullable=False) for name in ('wall_s', 'cpu_s', 'wall_core_s', 'vms')),
    sa.PrimaryKeyConstraint('vo', 'month', 'site')
    )
    op.create_index('usage_packed_site', 'usage_packed', ['site', 'month'], unique=False)


def downgrade() -> None:
    op.drop_table('usage_packed')
    op.drop_table('usage_month')

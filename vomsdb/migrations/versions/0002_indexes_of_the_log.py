"""The log: indexes for looks at the past and for the audit trail"""

from hanse import log_indexes


revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    log_indexes.add()


def downgrade() -> None:
    log_indexes.remove()

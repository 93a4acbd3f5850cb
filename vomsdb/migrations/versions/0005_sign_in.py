"""sign-in with OIDC, SCIM"""

from alembic import op
import sqlalchemy as sa

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "provider_subject",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("provider_subject_person_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("provider_subject_pkey")),
        sa.UniqueConstraint("key", name=op.f("provider_subject_key_key")),
    )
    op.create_index(op.f("provider_subject_person_id_ix"), "provider_subject", ["person_id"])
    # who signs in by an institution applies without a certificate
    op.alter_column("application", "subject_der", nullable=True)
    op.alter_column("application", "issuer_der", nullable=True)
    op.create_check_constraint(
        op.f("application_certificate_check"),
        "application",
        "(subject_der is null) = (issuer_der is null)",
    )
    # what systems that provision members call them
    op.add_column("member", sa.Column("user_name", sa.String(), nullable=True))
    op.add_column("member", sa.Column("external_id", sa.String(), nullable=True))
    op.create_index(
        "member_user_name",
        "member",
        [sa.literal_column("lower(user_name)"), "vo"],
        unique=True,
        postgresql_where=sa.text("user_name is not null and state <> 'removed'"),
    )
    op.create_index("person_email", "person", [sa.literal_column("lower(email)")])
    op.create_index(
        "member_external_id",
        "member",
        ["external_id"],
        postgresql_where=sa.text("external_id is not null"),
    )


def downgrade() -> None:
    op.drop_index("person_email", "person")
    op.drop_index("member_external_id", "member")
    op.drop_index("member_user_name", "member")
    op.drop_column("member", "external_id")
    op.drop_column("member", "user_name")
    op.drop_constraint(op.f("application_certificate_check"), "application")
    op.execute("delete from application where subject_der is null")
    op.alter_column("application", "subject_der", nullable=False)
    op.alter_column("application", "issuer_der", nullable=False)
    op.drop_table("provider_subject")

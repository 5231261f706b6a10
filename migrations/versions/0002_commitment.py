"""Requests for storage commitment whose report is not delivered yet."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

CODE_POINTS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "commitment",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("transaction_uid", CODE_POINTS, nullable=False),
        sa.Column("requestor", CODE_POINTS, nullable=False),
        sa.Column("own_title", CODE_POINTS, nullable=False),
        sa.Column("referenced", sa.JSON(), nullable=False),
        sa.Column("requested_at", CODE_POINTS, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", CODE_POINTS, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_commitment"),
    )
    op.create_index("ix_commitment_next_attempt_at", "commitment", ["next_attempt_at"], unique=False)


def downgrade() -> None:
    op.drop_table("commitment")

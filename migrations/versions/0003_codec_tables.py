"""Trained tables of the codec that payloads name."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CODE_POINTS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "codec_tables",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("added_at", CODE_POINTS, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_codec_tables"),
    )


def downgrade() -> None:
    op.drop_table("codec_tables")

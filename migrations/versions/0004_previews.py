"""Preview models, and the previews that they made."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

CODE_POINTS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "model",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("name", CODE_POINTS, nullable=False),
        sa.Column("digest", CODE_POINTS, nullable=False),
        sa.Column("card", sa.JSON(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("state", CODE_POINTS, nullable=False),
        sa.Column("created_at", CODE_POINTS, nullable=False),
        sa.Column("activated_at", CODE_POINTS),
        sa.PrimaryKeyConstraint("id", name="pk_model"),
        sa.UniqueConstraint("digest", name="uq_model_digest"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_model_active",
        "model",
        ["state"],
        unique=True,
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_table(
        "preview",
        sa.Column("instance_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("model_id", ROW_ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", CODE_POINTS, nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instance.id"], name="fk_preview_instance_id_instance", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_preview_model_id_model"),
        sa.PrimaryKeyConstraint("instance_id", name="pk_preview"),
    )
    op.create_index("ix_preview_model_id", "preview", ["model_id"], unique=False)


def downgrade() -> None:
    for table in ("preview", "model"):
        op.drop_table(table)

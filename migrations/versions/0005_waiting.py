"""Objects that are acknowledged and not compressed yet."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CODE_POINTS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXTS = ("uid", "sop_class_uid", "transfer_syntax", "owner", "received_at", "door", "calling_ae", "called_ae", "peer")


def upgrade() -> None:
    op.create_table(
        "waiting",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("series_id", ROW_ID, nullable=False),
        *(sa.Column(name, CODE_POINTS, nullable=False) for name in TEXTS),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_waiting_series_id_series"),
        sa.PrimaryKeyConstraint("id", name="pk_waiting"),
        sa.UniqueConstraint("uid", name="uq_waiting_uid"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_waiting_series_id", "waiting", ["series_id"], unique=False)
    op.create_index("ix_waiting_owner", "waiting", ["owner"], unique=False)


def downgrade() -> None:
    waiting = op.get_bind().scalar(sa.text("SELECT count(*) FROM waiting"))
    if waiting:
        raise RuntimeError(f"{waiting} acknowledged objects wait to be compressed: start the node before going back")
    op.drop_table("waiting")

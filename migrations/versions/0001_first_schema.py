"""First schema: study, series, instance and its UIDs, payload, header and its references, events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

CODE_POINTS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "event",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("time", CODE_POINTS, nullable=False),
        sa.Column("kind", CODE_POINTS, nullable=False),
        sa.Column("door", CODE_POINTS, nullable=False),
        sa.Column("calling_ae", CODE_POINTS, nullable=False),
        sa.Column("called_ae", CODE_POINTS, nullable=False),
        sa.Column("peer", CODE_POINTS, nullable=False),
        sa.Column("uid", CODE_POINTS, nullable=False),
        sa.Column("outcome", CODE_POINTS, nullable=False),
        sa.Column("detail", CODE_POINTS, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_event"),
    )
    op.create_table(
        "progress",
        sa.Column("name", CODE_POINTS, nullable=False),
        sa.Column("last_id", ROW_ID, nullable=False),
        sa.Column("checked", sa.BigInteger(), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("updated_at", CODE_POINTS, nullable=False),
        sa.Column("finished_at", CODE_POINTS, nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_progress"),
    )
    op.create_table(
        "study",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("study_instance_uid", CODE_POINTS, nullable=False),
        sa.Column("patient_key", CODE_POINTS, nullable=False),
        sa.Column("patient_id", CODE_POINTS, nullable=True),
        sa.Column("patient_name_alphabetic", CODE_POINTS, nullable=True),
        sa.Column("patient_name_ideographic", CODE_POINTS, nullable=True),
        sa.Column("patient_name_phonetic", CODE_POINTS, nullable=True),
        sa.Column("patient_birth_date", CODE_POINTS, nullable=True),
        sa.Column("study_date", CODE_POINTS, nullable=True),
        sa.Column("study_time", CODE_POINTS, nullable=True),
        sa.Column("accession_number", CODE_POINTS, nullable=True),
        sa.Column("referring_physician_name_alphabetic", CODE_POINTS, nullable=True),
        sa.Column("referring_physician_name_ideographic", CODE_POINTS, nullable=True),
        sa.Column("referring_physician_name_phonetic", CODE_POINTS, nullable=True),
        sa.Column("modalities", CODE_POINTS, nullable=False),
        sa.Column("number_of_series", sa.Integer(), nullable=False),
        sa.Column("number_of_instances", sa.Integer(), nullable=False),
        sa.Column("patient_attributes", sa.JSON(), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("row_digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_study"),
        sa.UniqueConstraint("study_instance_uid", name="uq_study_study_instance_uid"),
    )
    op.create_index("ix_study_accession_number", "study", ["accession_number"], unique=False)
    op.create_index("ix_study_patient_id", "study", ["patient_id"], unique=False)
    op.create_index("ix_study_patient_key", "study", ["patient_key"], unique=False)
    op.create_index("ix_study_patient_name_alphabetic", "study", ["patient_name_alphabetic"], unique=False)
    op.create_index("ix_study_study_date", "study", ["study_date"], unique=False)
    op.create_table(
        "series",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("study_id", ROW_ID, nullable=False),
        sa.Column("series_instance_uid", CODE_POINTS, nullable=False),
        sa.Column("modality", CODE_POINTS, nullable=True),
        sa.Column("series_number", sa.BigInteger(), nullable=True),
        sa.Column("number_of_instances", sa.Integer(), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("instance_attributes", sa.JSON(), nullable=False),
        sa.Column("row_digest", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_series_study_id_study", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_series"),
        sa.UniqueConstraint("study_id", "series_instance_uid", name="uq_series_study_id_series_instance_uid"),
    )
    op.create_index("ix_series_series_instance_uid", "series", ["series_instance_uid"], unique=False)
    op.create_table(
        "header_reference",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("series_id", ROW_ID, nullable=False),
        sa.Column("transfer_syntax", CODE_POINTS, nullable=False),
        sa.Column("raw_length", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["series_id"], ["series.id"], name="fk_header_reference_series_id_series", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_header_reference"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_header_reference_series_id", "header_reference", ["series_id"], unique=False)
    op.create_table(
        "instance",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("series_id", ROW_ID, nullable=False),
        sa.Column("sop_class_uid", CODE_POINTS, nullable=False),
        sa.Column("sop_instance_uid", CODE_POINTS, nullable=False),
        sa.Column("original_sop_instance_uid", CODE_POINTS, nullable=True),
        sa.Column("transfer_syntax", CODE_POINTS, nullable=False),
        sa.Column("instance_number", sa.BigInteger(), nullable=True),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("received_at", CODE_POINTS, nullable=False),
        sa.Column("received_bytes", sa.BigInteger(), nullable=False),
        sa.Column("payload_bytes", sa.BigInteger(), nullable=False),
        sa.Column("header_bytes", sa.BigInteger(), nullable=False),
        sa.Column("pixel_offset", sa.BigInteger(), nullable=True),
        sa.Column("tier", CODE_POINTS, nullable=False),
        sa.Column("codec", CODE_POINTS, nullable=True),
        sa.Column("generation", CODE_POINTS, nullable=False),
        sa.Column("rel_error", sa.Float(precision=53), nullable=True),
        sa.Column("received_digest", sa.LargeBinary(), nullable=False),
        sa.Column("source_pixel_digest", sa.LargeBinary(), nullable=True),
        sa.Column("decoded_pixel_digest", sa.LargeBinary(), nullable=True),
        sa.Column("certificate", sa.JSON(), nullable=False),
        sa.Column("row_digest", sa.LargeBinary(), nullable=False),
        sa.Column("state", CODE_POINTS, nullable=False),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_instance_series_id_series", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_instance"),
    )
    op.create_index("ix_instance_series_id", "instance", ["series_id"], unique=False)
    op.create_table(
        "header",
        sa.Column("instance_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("reference_id", ROW_ID, nullable=True),
        sa.Column("raw_length", sa.BigInteger(), nullable=False),
        sa.Column("raw_digest", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instance.id"], name="fk_header_instance_id_instance", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["reference_id"], ["header_reference.id"], name="fk_header_reference_id_header_reference"
        ),
        sa.PrimaryKeyConstraint("instance_id", name="pk_header"),
    )
    op.create_index("ix_header_reference_id", "header", ["reference_id"], unique=False)
    op.create_table(
        "instance_uid",
        sa.Column("uid", CODE_POINTS, nullable=False),
        sa.Column("instance_id", ROW_ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instance.id"], name="fk_instance_uid_instance_id_instance", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("uid", name="pk_instance_uid"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_instance_uid_instance_id", "instance_uid", ["instance_id"], unique=False)
    op.create_table(
        "payload",
        sa.Column("instance_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instance.id"], name="fk_payload_instance_id_instance", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("instance_id", name="pk_payload"),
    )


def downgrade() -> None:
    for table in (
        "payload",
        "instance_uid",
        "header",
        "instance",
        "header_reference",
        "series",
        "study",
        "progress",
        "event",
    ):
        op.drop_table(table)

"""A smaller index: packed certificates, UIDs kept twice instead of three times. Names are found by how they begin.

Certificates that are there stay plain JSON, as bytes: what their rows' digests are over must not change.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

CODE_POINTS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NAMES = ("patient_name", "referring_physician_name")
RARE_GROUPS = ("ideographic", "phonetic")
GROUPS = ("alphabetic", *RARE_GROUPS)

COPIED = (
    "id", "series_id", "sop_class_uid", "sop_instance_uid", "original_sop_instance_uid", "transfer_syntax",
    "instance_number", "attributes", "received_at", "received_bytes", "payload_bytes", "header_bytes", "pixel_offset",
    "tier", "codec", "generation", "rel_error", "received_digest", "source_pixel_digest", "decoded_pixel_digest",
    "row_digest", "state",
)  # fmt: skip
# Damaged JSON must not keep a database from its upgrade: its row's digest tells of it afterwards as before.
PIXEL_BYTES = {
    "sqlite": "CASE WHEN json_valid(certificate) THEN json_extract(certificate, '$.received_pixel_bytes') END",
    "postgresql": "CASE WHEN json_typeof(certificate -> 'received_pixel_bytes') = 'number' "
    "THEN (certificate ->> 'received_pixel_bytes')::bigint END",
}
IS_PACKED = {
    "sqlite": "substr(certificate, 1, 1) <> CAST('{' AS BLOB)",
    "postgresql": "substr(certificate, 1, 1) <> '\\x7b'::bytea",
}


def upgrade() -> None:
    {"sqlite": _upgrade_sqlite, "postgresql": _upgrade_postgresql}[op.get_bind().dialect.name]()
    op.drop_index("ix_study_patient_name_alphabetic", table_name="study")
    for name in NAMES:
        op.create_index(f"ix_study_{name}_alphabetic_id", "study", [f"{name}_alphabetic", "id"], unique=False)
        for group in RARE_GROUPS:
            given = sa.text(f"{name}_{group} IS NOT NULL")
            op.create_index(
                f"ix_study_{name}_{group}_id",
                "study",
                [f"{name}_{group}", "id"],
                unique=False,
                sqlite_where=given,
                postgresql_where=given,
            )

    _make_name_parts()


def _make_name_parts() -> None:
    """Every three characters of a patient's names in their folded form, as mripacs.store.name_parts writes them."""
    part = op.create_table(
        "name_part",
        sa.Column("part", CODE_POINTS, nullable=False),
        sa.Column("study_id", ROW_ID, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("part", "study_id", name="pk_name_part"),
        sqlite_with_rowid=False,
    )
    study = sa.table("study", sa.column("id"), *(sa.column(f"patient_name_{group}") for group in GROUPS))
    rows = [
        {"part": each, "study_id": study_id}
        for study_id, *names in op.get_bind().execute(sa.select(*study.c).order_by(study.c.id))
        for each in sorted({name[at : at + 3] for name in names if name for at in range(len(name) - 2)})
    ]
    op.bulk_insert(part, rows)


def _upgrade_postgresql() -> None:
    op.add_column("instance", sa.Column("received_pixel_bytes", sa.BigInteger()))
    instance = sa.table("instance", sa.column("received_pixel_bytes"))
    op.execute(instance.update().values(received_pixel_bytes=sa.literal_column(PIXEL_BYTES["postgresql"])))
    op.execute("ALTER TABLE instance ALTER COLUMN certificate TYPE bytea USING convert_to(certificate::text, 'UTF8')")
    op.drop_constraint("fk_instance_uid_instance_id_instance", "instance_uid", type_="foreignkey")
    op.drop_index("ix_instance_uid_instance_id", table_name="instance_uid")


def _upgrade_sqlite() -> None:
    """Tables are made anew: SQLite changes neither types nor constraints."""
    _make_instance("new_instance", sa.Column("received_pixel_bytes", sa.BigInteger()), certificate=sa.LargeBinary())
    _copy_instances({"received_pixel_bytes": PIXEL_BYTES["sqlite"], "certificate": "CAST(certificate AS BLOB)"})
    _put_in_place("instance")
    op.create_table(
        "new_instance_uid",
        sa.Column("uid", CODE_POINTS, nullable=False),
        sa.Column("instance_id", ROW_ID, nullable=False),
        sa.PrimaryKeyConstraint("uid", name="pk_instance_uid"),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO new_instance_uid SELECT uid, instance_id FROM instance_uid ORDER BY uid")
    _put_in_place("instance_uid")


def _make_instance(name: str, *more: sa.Column, certificate: sa.types.TypeEngine) -> None:
    op.create_table(
        name,
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
        *more,
        sa.Column("certificate", certificate, nullable=False),
        sa.Column("row_digest", sa.LargeBinary(), nullable=False),
        sa.Column("state", CODE_POINTS, nullable=False),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_instance_series_id_series", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_instance"),
    )


def _copy_instances(changed: dict[str, str]) -> None:
    old = sa.table("instance", *(sa.column(name) for name in COPIED))
    values = [*old.c, *(sa.literal_column(expression) for expression in changed.values())]
    new = sa.table("new_instance", *(sa.column(name) for name in (*COPIED, *changed)))
    op.execute(new.insert().from_select([*COPIED, *changed], sa.select(*values).order_by(old.c.id)))


def _put_in_place(table: str) -> None:
    """Foreign keys of other tables go on naming it: they are not enforced while a schema changes."""
    op.drop_table(table)
    op.rename_table(f"new_{table}", table)
    if table == "instance":
        op.create_index("ix_instance_series_id", "instance", ["series_id"], unique=False)


def downgrade() -> None:
    dialect = op.get_bind().dialect.name
    since = sa.select(sa.func.count()).select_from(sa.table("instance")).where(sa.text(IS_PACKED[dialect]))
    packed = op.get_bind().scalar(since)
    if packed:
        raise RuntimeError(f"{packed} instances were stored since: older versions cannot read their certificates")
    op.drop_table("name_part")
    for name in NAMES:
        for group in GROUPS:
            op.drop_index(f"ix_study_{name}_{group}_id", table_name="study")
    op.create_index("ix_study_patient_name_alphabetic", "study", ["patient_name_alphabetic"], unique=False)
    {"sqlite": _downgrade_sqlite, "postgresql": _downgrade_postgresql}[dialect]()


def _downgrade_postgresql() -> None:
    op.create_index("ix_instance_uid_instance_id", "instance_uid", ["instance_id"], unique=False)
    op.create_foreign_key(
        "fk_instance_uid_instance_id_instance", "instance_uid", "instance", ["instance_id"], ["id"], ondelete="CASCADE"
    )
    op.execute("ALTER TABLE instance ALTER COLUMN certificate TYPE json USING convert_from(certificate, 'UTF8')::json")
    op.drop_column("instance", "received_pixel_bytes")


def _downgrade_sqlite() -> None:
    _make_instance("new_instance", certificate=sa.JSON())
    _copy_instances({"certificate": "CAST(certificate AS TEXT)"})
    _put_in_place("instance")
    op.create_table(
        "new_instance_uid",
        sa.Column("uid", CODE_POINTS, nullable=False),
        sa.Column("instance_id", ROW_ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instance.id"], name="fk_instance_uid_instance_id_instance", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("uid", name="pk_instance_uid"),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO new_instance_uid SELECT uid, instance_id FROM instance_uid ORDER BY uid")
    _put_in_place("instance_uid")
    op.create_index("ix_instance_uid_instance_id", "instance_uid", ["instance_id"], unique=False)

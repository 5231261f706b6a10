"""UIDs in half a byte a character, words as codes, storages told by their instances, references against references.

What rows say stays the same, and so do their digests. Events that are there stay; references stay as they are.
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

CODE_POINTS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TEXT = 'text COLLATE "C"'  # of PostgreSQL
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

CODES = {
    "sop_class_uid": {
        "1.2.840.10008.5.1.4.1.1.4": "m",
        "1.2.840.10008.5.1.4.1.1.4.1": "e",
        "1.2.840.10008.5.1.4.1.1.4.2": "s",
        "1.2.840.10008.5.1.4.1.1.4.3": "c",
        "1.2.840.10008.5.1.4.1.1.7": "o",
    },
    "transfer_syntax": {
        "1.2.840.10008.1.2": "i",
        "1.2.840.10008.1.2.1": "e",
        "1.2.840.10008.1.2.2": "b",
        "1.2.840.10008.1.2.5": "r",
        "1.2.840.10008.1.2.4.70": "j",
        "1.2.840.10008.1.2.4.80": "l",
        "1.2.840.10008.1.2.4.90": "k",
    },
    "tier": {"kwavelet": "k", "lossless": "l", "verbatim": "v"},
    "codec": {"kwavelet 1": "k1", "kwavelet 2": "k2", "lossless 1": "l1"},
    "generation": {"first loss": "f", "lossless": "l", "stable": "s"},
}
UIDS = ("sop_instance_uid", "original_sop_instance_uid")
CHARACTERS, DIGITS = ".0123456789", "123456789ab"
UNCHANGED = (
    "id", "series_id", "instance_number", "attributes", "received_at", "received_bytes", "payload_bytes",
    "header_bytes", "pixel_offset", "rel_error", "received_digest", "source_pixel_digest", "decoded_pixel_digest",
    "received_pixel_bytes", "certificate", "row_digest", "state",
)  # fmt: skip
PACK = {
    "sqlite": "pack_uid(CAST({0} AS BLOB))",
    "postgresql": "CASE WHEN {0} ~ '^[0-9.]*$' THEN "
    f"decode(rpad(translate({{0}}, '{CHARACTERS}', '{DIGITS}'), 2 * ((length({{0}}) + 1) / 2), '0'), 'hex') "
    "ELSE '\\xff'::bytea || convert_to({0}, 'UTF8') END",
}
UNPACK = {
    "sqlite": "unpack_uid({0})",
    "postgresql": "CASE WHEN substr({0}, 1, 1) = '\\xff'::bytea THEN convert_from(substr({0}, 2), 'UTF8') "
    f"ELSE translate(rtrim(encode({{0}}, 'hex'), '0'), '{DIGITS}', '{CHARACTERS}') END",
}


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    op.create_table(
        "origin",
        sa.Column("id", ROW_ID, nullable=False),
        *(sa.Column(name, CODE_POINTS, nullable=False) for name in ("door", "calling_ae", "called_ae", "peer")),
        sa.PrimaryKeyConstraint("id", name="pk_origin"),
        sa.UniqueConstraint("peer", "door", "calling_ae", "called_ae", name="uq_origin_peer_door_calling_ae_called_ae"),
    )
    uids = {name: PACK[dialect].format(name) for name in UIDS}
    words = {name: _coded(name, codes) for name, codes in CODES.items()}
    if dialect == "sqlite":
        _make_functions()
        _rebuild_sqlite(uids | words, sa.LargeBinary(), with_origin=True)
    else:
        _alter_postgresql(uids | words, "bytea")
        op.add_column("instance", sa.Column("origin_id", ROW_ID))
        op.create_foreign_key("fk_instance_origin_id_origin", "instance", "origin", ["origin_id"], ["id"])
    op.execute(f"UPDATE header_reference SET transfer_syntax = {words['transfer_syntax']}")  # noqa: S608
    op.execute(
        f"ALTER TABLE header_reference ADD COLUMN base_id {'INTEGER' if dialect == 'sqlite' else 'BIGINT'} "
        "CONSTRAINT fk_header_reference_base_id_header_reference REFERENCES header_reference (id)"
    )  # added, not made anew: the numbers that were given must not return
    given = sa.text("base_id IS NOT NULL")
    op.create_index(
        "ix_header_reference_base_id", "header_reference", ["base_id"], sqlite_where=given, postgresql_where=given
    )
    op.execute(_audit(dialect))


def downgrade() -> None:
    dialect = op.get_bind().dialect.name
    since = op.get_bind().scalar(sa.text("SELECT count(*) FROM instance WHERE origin_id IS NOT NULL"))
    if since:
        raise RuntimeError(f"{since} instances were stored since: older versions cannot read them")
    op.execute("DROP VIEW audit")
    op.drop_index("ix_header_reference_base_id", table_name="header_reference")
    uids = {name: UNPACK[dialect].format(name) for name in UIDS}
    words = {name: _coded(name, {code: word for word, code in codes.items()}) for name, codes in CODES.items()}
    if dialect == "sqlite":
        _make_functions()
        _rebuild_sqlite(uids | words, CODE_POINTS, with_origin=False)
    else:
        op.drop_column("instance", "origin_id")
        _alter_postgresql(uids | words, TEXT)
    op.execute(f"UPDATE header_reference SET transfer_syntax = {words['transfer_syntax']}")  # noqa: S608
    op.execute("ALTER TABLE header_reference DROP COLUMN base_id")
    op.drop_table("origin")


def _coded(column: str, codes: dict[str, str]) -> str:
    cases = " ".join(f"WHEN '{word}' THEN '{code}'" for word, code in codes.items())
    return f"CASE {column} {cases} ELSE {column} END"


def _alter_postgresql(changed: dict[str, str], uid: str) -> None:
    """One pass over each table."""
    parts = (
        f"ALTER COLUMN {name} TYPE {uid if name in UIDS else TEXT} USING {value}" for name, value in changed.items()
    )
    op.execute(f"ALTER TABLE instance {', '.join(parts)}")
    value = changed["sop_instance_uid"].replace("sop_instance_uid", "uid")
    op.execute(f"ALTER TABLE instance_uid ALTER COLUMN uid TYPE {uid} USING {value}")


def _rebuild_sqlite(changed: dict[str, str], uid: sa.types.TypeEngine, *, with_origin: bool) -> None:
    """Tables are made anew: SQLite does not change types, and rows that shrink in place leave their space unused."""
    _make_instance(uid, with_origin=with_origin)
    names, values = ", ".join([*UNCHANGED, *changed]), ", ".join([*UNCHANGED, *changed.values()])
    op.execute(f"INSERT INTO new_instance ({names}) SELECT {values} FROM instance ORDER BY id")  # noqa: S608
    _put_in_place("instance")
    op.create_index("ix_instance_series_id", "instance", ["series_id"], unique=False)
    op.create_table(
        "new_instance_uid",
        sa.Column("uid", uid, nullable=False),
        sa.Column("instance_id", ROW_ID, nullable=False),
        sa.PrimaryKeyConstraint("uid", name="pk_instance_uid"),
        sqlite_with_rowid=False,
    )
    value = changed["sop_instance_uid"].replace("sop_instance_uid", "uid")
    op.execute(
        f"INSERT INTO new_instance_uid SELECT {value}, instance_id FROM instance_uid ORDER BY 1"  # noqa: S608
    )
    _put_in_place("instance_uid")


def _make_instance(uid: sa.types.TypeEngine, *, with_origin: bool) -> None:
    origin = sa.Column("origin_id", ROW_ID, nullable=True)
    of_origin = sa.ForeignKeyConstraint(["origin_id"], ["origin.id"], name="fk_instance_origin_id_origin")
    op.create_table(
        "new_instance",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("series_id", ROW_ID, nullable=False),
        sa.Column("sop_class_uid", CODE_POINTS, nullable=False),
        sa.Column("sop_instance_uid", uid, nullable=False),
        sa.Column("original_sop_instance_uid", uid, nullable=True),
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
        sa.Column("received_pixel_bytes", sa.BigInteger(), nullable=True),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("row_digest", sa.LargeBinary(), nullable=False),
        sa.Column("state", CODE_POINTS, nullable=False),
        *([origin, of_origin] if with_origin else []),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_instance_series_id_series", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_instance"),
    )


def _put_in_place(table: str) -> None:
    """Foreign keys of other tables go on naming it: they are not enforced while a schema changes."""
    op.drop_table(table)
    op.rename_table(f"new_{table}", table)


def _make_functions() -> None:
    """For SQLite, which has no unhex before 3.41."""
    driver = op.get_bind().connection.driver_connection
    driver.create_function("pack_uid", 1, _pack, deterministic=True)
    driver.create_function("unpack_uid", 1, _unpack, deterministic=True)


def _pack(stored: bytes | None) -> bytes | None:
    if stored is None:
        return None
    uid = stored.decode("utf-8", "replace")  # as every reader of a damaged one sees it
    if not re.fullmatch(r"[0-9.]*", uid, re.ASCII):
        return b"\xff" + uid.encode()
    return bytes.fromhex(uid.translate(str.maketrans(CHARACTERS, DIGITS)) + "0" * (len(uid) % 2))


def _unpack(packed: bytes | None) -> str | None:
    if packed is None:
        return None
    if packed[:1] == b"\xff":
        return packed[1:].decode("utf-8", "replace")
    return packed.hex().removesuffix("0").translate(str.maketrans(DIGITS, CHARACTERS))


def _audit(dialect: str) -> str:
    """The whole audit trail as text: events, and what instances say of their storage."""
    tier = _coded("instance.tier", {code: word for word, code in CODES["tier"].items()})
    return f"""
        CREATE VIEW audit AS
        SELECT time, kind, door, calling_ae, called_ae, peer, uid, outcome, detail, id AS event_id, NULL AS instance_id
        FROM event
        UNION ALL
        SELECT instance.received_at, 'store', origin.door, origin.calling_ae, origin.called_ae, origin.peer,
            {_spelled_uid(dialect)}, 'stored', {tier}, NULL, instance.id
        FROM instance JOIN origin ON origin.id = instance.origin_id
    """  # noqa: S608


def _spelled_uid(dialect: str) -> str:
    """`instance.sop_instance_uid` as text, without any function of ours: whoever opens the database reads it."""
    if dialect == "postgresql":
        return UNPACK[dialect].format("instance.sop_instance_uid")
    text = "rtrim(hex(instance.sop_instance_uid), '0')"
    for digit, character in _in_turn():
        text = f"replace({text}, '{digit}', '{character}')"
    other = "CAST(substr(instance.sop_instance_uid, 2) AS TEXT)"
    return f"CASE WHEN substr(instance.sop_instance_uid, 1, 1) = X'FF' THEN {other} ELSE {text} END"


def _in_turn() -> list[tuple[str, str]]:
    """Digits and their characters in an order in which no character is taken for a digit that is still to come."""
    pairs = dict(zip(DIGITS.upper(), CHARACTERS, strict=True))
    return [("1", pairs.pop("1")), ("3", pairs.pop("3")), ("2", pairs.pop("2")), *pairs.items()]

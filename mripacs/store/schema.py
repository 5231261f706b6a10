"""Tables of the archive. Alembic's revisions in `migrations/` build the same; a test compares the two.

    study ──< series ──< instance ──  payload, header          one row each (payload only where pixels were coded)
                │            └──< instance_uid                 every UID an instance answers to
                └──< header_reference <── header               what headers of the series are packed against
                          └──< header_reference                another of the study, that one is packed against
    name_part                                                  parts of patients' names, by which studies are found
    origin ──< instance                                        through what and from whom instances came
    event                                                      audit trail but for what is stored; outlives its subjects
    audit                                                      a view: all of the audit trail
    progress                                                   how far each verification has come
    model ──< preview                                          preview models, and the pictures they made of instances
    waiting                                                    acknowledged objects that are not compressed yet
    commitment                                                 storage commitments that are not reported yet
    codec_tables                                               trained tables that payloads name; never deleted

Attributes of a level are one JSON object, as received; the columns beside it are *match forms* of those that are asked
for often (mripacs.store.match_forms), cut to an indexable length, never given out. The first instance of a study or
series fixes its attributes: later ones that differ change only the counts.

Patients are columns of study: `patient_key` says which studies have one patient (Patient ID and its issuer; without an
ID, name and birth date).
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from mripacs.store.short_forms import CODECS, GENERATIONS, SOP_CLASSES, TIERS, TRANSFER_SYNTAXES, PackedUid, Word

STORED, QUARANTINED = "stored", "quarantined"  # states of an instance

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

CODE_POINTS = Text().with_variant(Text(collation="C"), "postgresql")  # compares and sorts as SQLite's BINARY does
UID = PackedUid()
ROW_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers only INTEGER PRIMARY KEY by itself


def _parent(table: str, *, index: bool = True) -> Column[int]:
    return Column(f"{table}_id", ROW_ID, ForeignKey(f"{table}.id", ondelete="CASCADE"), nullable=False, index=index)


def _of_instance() -> Column[int]:
    return Column(
        "instance_id", ROW_ID, ForeignKey("instance.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )


def _name_groups(name: str) -> tuple[Column[str], ...]:
    """The three component groups of a PN (PS3.5 6.2.1), case folded."""
    return tuple(Column(f"{name}_{group}", CODE_POINTS) for group in ("alphabetic", "ideographic", "phonetic"))


def _name_indexes(name: str) -> tuple[Index, ...]:
    """An index for each group, which holds all that a search needs: names are looked for from end to end, too.

    Most studies have the alphabetic group alone.
    """
    given = {group: text(f"{name}_{group} IS NOT NULL") for group in ("ideographic", "phonetic")}
    rare = (
        Index(None, f"{name}_{group}", "id", sqlite_where=where, postgresql_where=where)
        for group, where in given.items()
    )
    return Index(None, f"{name}_alphabetic", "id"), *rare


study = Table(
    "study",
    metadata,
    Column("id", ROW_ID, primary_key=True),
    Column("study_instance_uid", CODE_POINTS, nullable=False, unique=True),
    Column("patient_key", CODE_POINTS, nullable=False, index=True),
    Column("patient_id", CODE_POINTS, index=True),
    *_name_groups("patient_name"),
    Column("patient_birth_date", CODE_POINTS),
    Column("study_date", CODE_POINTS, index=True),
    Column("study_time", CODE_POINTS),
    Column("accession_number", CODE_POINTS, index=True),
    *_name_groups("referring_physician_name"),
    Column("modalities", CODE_POINTS, nullable=False),  # of its series, sorted, joined by a backslash
    Column("number_of_series", Integer, nullable=False),
    Column("number_of_instances", Integer, nullable=False),
    Column("patient_attributes", JSON, nullable=False),
    Column("attributes", JSON, nullable=False),
    Column("row_digest", LargeBinary, nullable=False),  # mripacs.store.seals
    *(index for name in ("patient_name", "referring_physician_name") for index in _name_indexes(name)),
)

name_part = Table(  # mripacs.store.name_parts
    "name_part",
    metadata,
    Column("part", CODE_POINTS, primary_key=True),
    Column("study_id", ROW_ID, primary_key=True, autoincrement=False),  # no foreign key: it would want an index
    sqlite_with_rowid=False,
)

series = Table(
    "series",
    metadata,
    Column("id", ROW_ID, primary_key=True),
    _parent("study", index=False),  # the unique constraint begins with it
    Column("series_instance_uid", CODE_POINTS, nullable=False, index=True),
    Column("modality", CODE_POINTS),
    Column("series_number", BigInteger),
    Column("number_of_instances", Integer, nullable=False),
    Column("attributes", JSON, nullable=False),
    Column("instance_attributes", JSON, nullable=False),  # of its first instance: what instances are compared with
    Column("row_digest", LargeBinary, nullable=False),
    UniqueConstraint("study_id", "series_instance_uid"),  # senders that reuse a series UID in two studies are taken
)

instance = Table(
    "instance",
    metadata,
    Column("id", ROW_ID, primary_key=True),
    _parent("series"),
    Column("sop_class_uid", Word(SOP_CLASSES), nullable=False),
    Column("sop_instance_uid", UID, nullable=False),  # served under
    Column("original_sop_instance_uid", UID),  # received under; NULL: the same
    Column("transfer_syntax", Word(TRANSFER_SYNTAXES), nullable=False),
    Column("instance_number", BigInteger),
    Column("attributes", JSON, nullable=False),  # where they differ from series.instance_attributes; "": absent here
    Column("received_at", CODE_POINTS, nullable=False),  # ISO 8601, UTC
    Column("received_bytes", BigInteger, nullable=False),
    Column("payload_bytes", BigInteger, nullable=False),
    Column("header_bytes", BigInteger, nullable=False),
    Column("pixel_offset", BigInteger),
    Column("tier", Word(TIERS), nullable=False),
    Column("codec", Word(CODECS)),
    Column("generation", Word(GENERATIONS), nullable=False),
    Column("rel_error", Float(53)),  # of the worst frame; NULL without frames
    Column("received_digest", LargeBinary, nullable=False),
    Column("source_pixel_digest", LargeBinary),
    Column("decoded_pixel_digest", LargeBinary),  # NULL beside a codec: that of the source
    Column("received_pixel_bytes", BigInteger),  # of the certificate, for sums
    Column(
        "certificate", LargeBinary, nullable=False
    ),  # what the columns above do not hold, packed (store.certificates)
    Column("row_digest", LargeBinary, nullable=False),
    Column("state", CODE_POINTS, nullable=False),  # STORED; anything else is not given out
    # NULL: its storage has an event, as all had up to revision 0006.
    Column("origin_id", ROW_ID, ForeignKey("origin.id")),
)

origin = (
    Table(  # of an association's instances one row, which stays: deletions write the event of a storage with its words
        "origin",
        metadata,
        Column("id", ROW_ID, primary_key=True),
        Column("door", CODE_POINTS, nullable=False),
        Column("calling_ae", CODE_POINTS, nullable=False),
        Column("called_ae", CODE_POINTS, nullable=False),
        Column("peer", CODE_POINTS, nullable=False),
        UniqueConstraint("peer", "door", "calling_ae", "called_ae"),
    )
)

instance_uid = Table(  # one table, so that no UID can name two instances, as served by one and as received by another
    "instance_uid",
    metadata,
    Column("uid", UID, primary_key=True),
    # No foreign key: it would want an index, which holds each UID once more. Deletions go by the instance's UIDs.
    Column("instance_id", ROW_ID, nullable=False),
    sqlite_with_rowid=False,
)

payload = Table(
    "payload",
    metadata,
    _of_instance(),
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of data
    Column("data", LargeBinary, nullable=False),
)

header_reference = Table(
    "header_reference",
    metadata,
    Column("id", ROW_ID, primary_key=True),
    _parent("series"),
    Column("transfer_syntax", Word(TRANSFER_SYNTAXES), nullable=False),
    Column("raw_length", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of data, with a base of data and what it unpacks to
    Column("data", LargeBinary, nullable=False),  # zstd, alone or with the base as raw-content dictionary
    Column("base_id", ROW_ID, ForeignKey("header_reference.id"), index=True),  # of the same study, and alone itself
    sqlite_autoincrement=True,  # a header under way may still lean on a row that was deleted: its number never returns
)

header = Table(
    "header",
    metadata,
    _of_instance(),
    Column("reference_id", ROW_ID, ForeignKey("header_reference.id"), index=True),  # NULL: zstd alone
    Column("raw_length", BigInteger, nullable=False),
    Column("raw_digest", LargeBinary, nullable=False),  # SHA-256 of data and what it unpacks to
    Column(
        "digest", LargeBinary, nullable=False
    ),  # empty; up to revision 0006 that of data, and raw_digest of the rest
    Column("data", LargeBinary, nullable=False),  # zstd, with the reference as raw-content dictionary
)

event = Table(
    "event",
    metadata,
    Column("id", ROW_ID, primary_key=True),
    Column("time", CODE_POINTS, nullable=False),  # ISO 8601, UTC
    Column("kind", CODE_POINTS, nullable=False),
    Column("door", CODE_POINTS, nullable=False),
    Column("calling_ae", CODE_POINTS, nullable=False),
    Column("called_ae", CODE_POINTS, nullable=False),
    Column("peer", CODE_POINTS, nullable=False),
    Column("uid", CODE_POINTS, nullable=False),  # of the instance, series or study that it is about, or empty
    Column("outcome", CODE_POINTS, nullable=False),
    Column("detail", CODE_POINTS, nullable=False),  # never patient data
)

progress = Table(
    "progress",
    metadata,
    Column("name", CODE_POINTS, primary_key=True),
    Column("last_id", ROW_ID, nullable=False),  # of the instances looked at, which go by their row numbers
    Column("checked", BigInteger, nullable=False),
    Column("findings", JSON, nullable=False),
    Column("updated_at", CODE_POINTS, nullable=False),
    Column("finished_at", CODE_POINTS),  # NULL: under way, or interrupted
)

commitment = Table(
    "commitment",
    metadata,
    Column("id", ROW_ID, primary_key=True),
    Column("transaction_uid", CODE_POINTS, nullable=False),
    Column("requestor", CODE_POINTS, nullable=False),  # AE title
    Column("own_title", CODE_POINTS, nullable=False),  # the AE title that it called
    Column("referenced", JSON, nullable=False),  # SOP class and instance UIDs
    Column("requested_at", CODE_POINTS, nullable=False),  # ISO 8601, UTC
    Column("attempts", Integer, nullable=False),  # to report
    Column("next_attempt_at", CODE_POINTS, nullable=False, index=True),
)

waiting = Table(  # acknowledged as received, not compressed yet (mripacs.store.waiting)
    "waiting",
    metadata,
    Column("id", ROW_ID, primary_key=True),
    Column("series_id", ROW_ID, ForeignKey("series.id"), nullable=False, index=True),  # it cannot go under an object
    Column("uid", CODE_POINTS, nullable=False, unique=True),  # received under
    Column("sop_class_uid", CODE_POINTS, nullable=False),
    Column("transfer_syntax", CODE_POINTS, nullable=False),
    Column("owner", CODE_POINTS, nullable=False, index=True),  # the node that took it
    Column("received_at", CODE_POINTS, nullable=False),  # ISO 8601, UTC
    Column("door", CODE_POINTS, nullable=False),
    Column("calling_ae", CODE_POINTS, nullable=False),
    Column("called_ae", CODE_POINTS, nullable=False),
    Column("peer", CODE_POINTS, nullable=False),
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of data
    Column("data", LargeBinary, nullable=False),  # the data set as received
    sqlite_autoincrement=True,  # numbers never return: whoever holds one means this object
)

codec_tables = Table(
    "codec_tables",
    metadata,
    Column("digest", LargeBinary, primary_key=True),  # SHA-256 of data; payloads name its first 8 bytes
    Column("data", LargeBinary, nullable=False),
    Column("added_at", CODE_POINTS, nullable=False),  # ISO 8601, UTC
)

model = Table(
    "model",
    metadata,
    Column("id", ROW_ID, primary_key=True),  # its version, as people name it
    Column("name", CODE_POINTS, nullable=False),
    Column("digest", CODE_POINTS, nullable=False, unique=True),  # SHA-256 of its tensors, hexadecimal
    Column("card", JSON, nullable=False),  # data, seed, metrics, limits
    Column("data", LargeBinary, nullable=False),  # safetensors
    Column("state", CODE_POINTS, nullable=False),  # "ready", "active" or "retired"
    Column("created_at", CODE_POINTS, nullable=False),
    Column("activated_at", CODE_POINTS),
    # One at most is active, whatever two nodes do at once.
    Index(
        "uq_model_active",
        "state",
        unique=True,
        sqlite_where=text("state = 'active'"),
        postgresql_where=text("state = 'active'"),
    ),
    sqlite_autoincrement=True,  # versions never return
)

preview = Table(
    "preview",
    metadata,
    _of_instance(),
    Column("model_id", ROW_ID, ForeignKey("model.id"), nullable=False, index=True),
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of data
    Column("data", LargeBinary, nullable=False),  # empty: the instance has no pixels to show
    Column("made_at", CODE_POINTS, nullable=False),
)

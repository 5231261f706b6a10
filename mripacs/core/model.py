"""Frozen values that cross from one room to another. They carry no behaviour beyond what follows from their fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal

from numpy.typing import NDArray

# --- what the codec is asked for and what it answers --------------------------------------------------------------


class TargetKind(StrEnum):
    """What a lossy encode promises about each frame."""

    REL_ERROR = "rel_error"  # ||x - y||_F / ||x||_F <= value, on stored integers
    MAX_ERROR = "max_error"  # |x - y| <= value for every pixel, in stored units (the paper's equation 5)
    K = "k"  # at most `value` wavelet coefficients are kept
    NOISE = "noise"  # ||x - y||_F^2 <= value times the energy of the frame's own noise, as estimated from its pixels


@dataclass(frozen=True, slots=True)
class Target:
    """The promise asked of a lossy encode: a kind and its positive value."""

    kind: TargetKind
    value: float

    def __str__(self) -> str:
        return f"{self.kind}={self.value:g}"


class Effort(StrEnum):
    """How much time an encode may take. Both keep the target; from one original they may give other pixels."""

    FAST = "fast"  # for ingest
    SMALL = "small"  # fewer bytes of the same indices, for the archive


class Generation(StrEnum):
    """What an encode did to the pixels."""

    LOSSLESS = "lossless"  # coded without error, by the lossless codec or as they came
    FIRST_LOSS = "first loss"  # this encode lost something, once
    STABLE = "already stable"  # they came out of an earlier lossy encode and are coded without further error


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """What is known of one coded frame, measured on final integers."""

    generation: Generation
    rel_error: float  # ||x - y||_F / ||x||_F, 0 for an all-zero frame coded exactly
    max_error: int  # largest |x - y| in stored units
    psnr_db: float | None  # against the frame's own range max(x) - min(x); None when exact
    step: float | None  # quantiser step in grey levels (orthonormal units); None when no quantiser was used
    k: int | None  # nonzero wavelet coefficients; None when no wavelet was used
    # Standard deviation of the frame's noise in stored units, and how it was estimated; None where no target needed it.
    noise: float | None = None
    noise_method: str | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """A payload, its frames' records, and the pixels that every decoder will give."""

    payload: bytes
    frames: tuple[FrameRecord, ...]
    decoded: NDArray[Any]  # same shape and dtype as the input


# --- what comes in ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReceivedObject:
    """One composite object as it arrived: the data set's bytes in its transfer syntax, without preamble and meta."""

    dataset: bytes
    transfer_syntax: str
    sop_class_uid: str  # as the command set or the file meta information says
    sop_instance_uid: str
    source: str  # "C-STORE", "import", "api": which door
    calling_ae: str = ""
    called_ae: str = ""
    peer: str = ""  # address of the sender; never patient data


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """What policy rules may look at. Strings are stripped; absent values are empty or None."""

    sop_class_uid: str
    modality: str
    image_type: tuple[str, ...]  # every value of Image Type (0008,0008), Frame Type and complex component, upper case
    series_description: str
    manufacturer: str
    calling_ae: str
    bits_allocated: int | None
    bits_stored: int | None
    samples_per_pixel: int | None
    signed: bool
    present: frozenset[str]  # keywords of top-level elements with a value, plus the derived words in dicom.facts


class Tier(StrEnum):
    """How an instance is kept."""

    KWAVELET = "kwavelet"  # pixels within a stated bound, header byte for byte
    LOSSLESS = "lossless"  # the received bytes come back, pixels through a lossless codec
    VERBATIM = "verbatim"  # the received bytes come back, nothing was understood or needed


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy chose for an object, and why."""

    tier: Tier
    target: Target | None  # only with Tier.KWAVELET
    rule: str  # the rule's name
    reason: str  # which of the object's facts met which condition
    effort: Effort = Effort.FAST  # only with Tier.KWAVELET


# --- what is kept -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Certificate:
    """The proof kept with an instance; `mripacs admin show` prints it. Digests are lower-case hexadecimal SHA-256."""

    tier: Tier
    rule: str  # the policy rule that chose the tier
    reason: str  # why, and if the tier differs from what the rule asked for, what stood in the way
    # Name and version, for instance "kwavelet 1"; None: the payload, if any, is the pixel value as received.
    codec: str | None
    target: str | None  # for instance "rel_error=0.05"
    generation: Generation
    received_digest: str  # of the data set's bytes as received
    source_pixel_digest: str | None  # of the source frames, C order, little endian; None where pixels were not decoded
    # Of what the payload decodes to, in the same form as source_pixel_digest; every read is checked against it.
    decoded_pixel_digest: str | None
    frames: tuple[FrameRecord, ...]
    received_bytes: int
    received_pixel_bytes: int  # how many of them were the pixel value; 0 when it was not cut out
    restores_received: bool  # whether the received bytes come back exactly (a zero-error result of JPEG input may not)
    # Smallest and largest value that the payload decodes to: what the header of a lossy instance says of its pixels, so
    # that headers are rebuilt without decoding. None where nothing was coded, and in certificates of version 0.1.
    decoded_range: tuple[int, int] | None = None
    # Bytes of the payload when it was first stored, if it was coded again since (`repack`): the compression ratio that
    # the instance's marks give out is that of its one lossy step, and must not change.
    first_payload_bytes: int | None = None
    effort: str | None = None  # "small" where that effort chose the pixels; None: as "fast" and version 0.1 do

    @property
    def lossy(self) -> bool:
        """Whether this encode changed any pixel."""
        return self.generation is Generation.FIRST_LOSS

    @property
    def worst(self) -> FrameRecord | None:
        """The frame with the largest relative error; None without frames."""
        return max(self.frames, key=lambda frame: frame.rel_error, default=None)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping; `from_json` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Certificate:
        """The certificate that `to_json` wrote."""
        frames = tuple(
            FrameRecord(**{**frame, "generation": Generation(frame["generation"])}) for frame in fields["frames"]
        )
        decoded_range = fields.get("decoded_range")
        return cls(
            **{
                **fields,
                "decoded_range": tuple(decoded_range) if decoded_range else None,
                "tier": Tier(fields["tier"]),
                "generation": Generation(fields["generation"]),
                "frames": frames,
            }
        )


@dataclass(frozen=True, slots=True)
class IndexAttributes:
    """Index columns of one object, by the keyword of the element they mirror (store.schema lists them).

    Values are text as DICOM writes it (decoded, stripped, multiple values joined by a backslash) or int for IS/US.
    Absent elements are absent keys.
    """

    patient: Mapping[str, str | int]
    study: Mapping[str, str | int]
    series: Mapping[str, str | int]
    instance: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class NewInstance:
    """All that one commit writes for an instance."""

    sop_class_uid: str
    sop_instance_uid: str  # the UID it is served under: derived for a lossy result, else the original
    original_sop_instance_uid: str  # the UID it came with
    transfer_syntax: str  # of the received data set
    attributes: IndexAttributes
    certificate: Certificate
    header: bytes  # the data set's bytes with the pixel value cut out (all of them for verbatim)
    pixel_offset: int | None  # where in `header` the pixel value was cut out; None if nothing was
    payload: bytes | None  # the codec's bytes, or the pixel value as received; None if it is still in the header
    source: ReceivedFrom


@dataclass(frozen=True, slots=True)
class ReceivedFrom:
    """Where an object came from, for the audit trail."""

    door: str
    calling_ae: str = ""
    called_ae: str = ""
    peer: str = ""


@dataclass(frozen=True, slots=True)
class AuditedEvent:
    """What the audit trail keeps of something that happened. No patient data."""

    kind: str
    source: ReceivedFrom
    uid: str  # of the instance, series or study that it is about, or empty
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True)
class InstanceIdentity:
    """What is needed to answer for an instance without reading its payload."""

    sop_class_uid: str
    sop_instance_uid: str
    original_sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax: str
    certificate: Certificate
    payload_bytes: int
    header_bytes: int  # as stored, compressed; the share of a reference is not counted
    received_at: str  # ISO 8601, UTC
    quarantined: bool = False  # found damaged: it is listed but never given out

    @property
    def marked_bytes(self) -> int:
        """Bytes of the payload as its marks give them out: those of the first one."""
        first = self.certificate.first_payload_bytes
        return self.payload_bytes if first is None else first


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """An instance read back from the store, its bytes already checked against their stored digests."""

    identity: InstanceIdentity
    header: bytes
    pixel_offset: int | None
    payload: bytes | None


@dataclass(frozen=True, slots=True)
class StoredHeader:
    """An instance's header read back without its pixels, checked against its stored digests."""

    identity: InstanceIdentity
    header: bytes
    pixel_offset: int | None


class Disposition(StrEnum):
    """What the node did with an object that it acknowledged."""

    STORED = "stored"
    DUPLICATE = "duplicate"  # the same object was there already: nothing was written
    KEPT = "kept"  # another object has its UID and stays, as the site wishes: nothing of this one was stored
    REPLACED = "replaced"  # it took the place of another object with its UID


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to an acknowledged object."""

    disposition: Disposition
    sop_instance_uid: str  # the UID it is served under
    original_sop_instance_uid: str
    certificate: Certificate
    stored_bytes: int  # payload and compressed header


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The answer for an object that is durable, compressed already or not."""

    disposition: Disposition
    lossy: Callable[[], bool]  # whether what is served is, or as far as the policy says will be, another instance


@dataclass(frozen=True, slots=True)
class WaitingObject:
    """An acknowledged object that is not compressed yet, its bytes checked against their digest."""

    id: int
    received: ReceivedObject
    received_at: str  # ISO 8601, UTC


# --- what is asked ------------------------------------------------------------------------------------------------


class Level(StrEnum):
    """Query/retrieve levels (PS3.4 C.6.1.1, C.6.2.1)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


MatchKind = Literal["universal", "single", "list", "wildcard", "range"]


@dataclass(frozen=True, slots=True)
class Match:
    """One matching key, parsed (PS3.4 C.2.2.2).

    `values` holds one value (single, wildcard), any number (list), or (from, to) with "" for an open end (range).
    `fold_case` is set for PN and for keys that a site matches without case.
    """

    keyword: str
    kind: MatchKind
    values: tuple[str, ...] = ()
    fold_case: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A query at one level: matches (all must hold) and the keywords to return."""

    level: Level
    matches: tuple[Match, ...]
    return_keywords: tuple[str, ...]
    limit: int | None = None
    offset: int = 0
    newest_first: bool = False  # studies as they came, the last one in front


@dataclass(frozen=True, slots=True)
class InstanceSelection:
    """The instances that a retrieve names, by UIDs at any level; empty tuples do not restrict."""

    patient_ids: tuple[str, ...] = ()
    study_uids: tuple[str, ...] = ()
    series_uids: tuple[str, ...] = ()
    sop_instance_uids: tuple[str, ...] = ()  # served or original UIDs


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An instance ready to leave: data set bytes in a transfer syntax the peer accepts."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    dataset: bytes


@dataclass(frozen=True, slots=True)
class VerifyFinding:
    """Something `admin verify` found wrong."""

    sop_instance_uid: str
    what: str  # the part: "payload", "header", "header reference", "pixels", "stability", "index", "waiting object"
    detail: str


@dataclass(frozen=True, slots=True)
class VerifyProgress:
    """How far a verification has come; kept in the archive, so that it can go on after an interruption."""

    last_id: int = 0  # row number of the instance looked at last
    checked: int = 0
    findings: tuple[VerifyFinding, ...] = ()
    updated_at: str = ""  # ISO 8601, UTC
    finished_at: str | None = None  # None: under way, or interrupted


@dataclass(frozen=True, slots=True)
class PendingCommitment:
    """A request for storage commitment whose report is not delivered yet (PS3.4 Annex J)."""

    transaction_uid: str
    requestor: str  # AE title of who asked
    own_title: str  # AE title that it called
    references: tuple[tuple[str, str], ...]  # SOP class and instance UIDs
    attempts: int = 0  # to report, the one under way included
    id: int = 0  # its row; 0: not kept yet


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a deletion took out of the archive, or would take."""

    sop_instance_uids: tuple[str, ...]  # as they were served
    series: int  # left without instances, and gone with them
    studies: int
    payload_bytes: int
    header_bytes: int
    reference_bytes: int  # of header references that no header needs any more

    @property
    def freed_bytes(self) -> int:
        """Of all three kinds."""
        return self.payload_bytes + self.header_bytes + self.reference_bytes


@dataclass(frozen=True, slots=True)
class DatabaseHealth:
    """A database that answered just now."""

    kind: str  # "sqlite" or "postgresql"
    database_bytes: int
    free_bytes: int | None  # on the disk of an SQLite file; None where the database is a server's


@dataclass(frozen=True, slots=True)
class GrowthRow:
    """What one manufacturer's scanners sent on one day (UTC) and is still there, and what it takes."""

    day: str  # YYYY-MM-DD
    manufacturer: str
    instances: int
    received_bytes: int
    received_pixel_bytes: int  # of them; 0 for verbatim instances, whose pixels were not cut out
    payload_bytes: int
    header_bytes: int


@dataclass(frozen=True, slots=True)
class SeriesTotals:
    """What the instances of a series came with and what they take."""

    instances: int
    received_bytes: int
    payload_bytes: int
    header_bytes: int
    rel_error: float | None  # of the worst frame; None where nothing was measured


@dataclass(frozen=True, slots=True)
class GrowthPage:
    """A reading of the index from a row number on: rows that are settled, and those that may still be joined."""

    settled: tuple[GrowthRow, ...]
    last_settled: int
    recent: tuple[GrowthRow, ...]
    reference_bytes: int


@dataclass(frozen=True, slots=True)
class StorageGrowth:
    """The whole storage by day and manufacturer, in that order, and the header references besides."""

    rows: tuple[GrowthRow, ...]
    reference_bytes: int


@dataclass(frozen=True, slots=True)
class ArchiveStatistics:
    """Totals for `admin stats`; `by` maps a grouping to rows of the same totals."""

    patients: int
    studies: int
    series: int
    instances: int
    received_bytes: int
    payload_bytes: int
    header_bytes: int
    reference_bytes: int
    by: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)


# --- previews -----------------------------------------------------------------------------------------------------


class ModelState(StrEnum):
    """What a preview model is used for."""

    READY = "ready"  # may be activated
    ACTIVE = "active"  # makes the previews; one at most
    RETIRED = "retired"  # may only decode what it made


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """A preview model of an archive, without its weights."""

    version: int
    name: str
    digest: str  # SHA-256 of its tensors, hexadecimal
    state: ModelState
    card: Mapping[str, Any]  # data, seed, metrics, limits
    bytes: int  # of its file
    previews: int  # that it made and that are kept
    created_at: str  # ISO 8601, UTC
    activated_at: str | None


@dataclass(frozen=True, slots=True)
class StoredPreview:
    """A preview as kept, checked against its digest."""

    sop_instance_uid: str
    version: int  # of the model that made it
    data: bytes  # empty: the instance has no pixels to show
    made_at: str


@dataclass(frozen=True, slots=True)
class Preview:
    """A small picture of an instance, made by a model. Never the instance, and never for diagnosis."""

    sop_instance_uid: str
    label: str  # to be shown beside it: "preview"
    grey: NDArray[Any]  # (rows, columns) uint8 at the instance's aspect, 128 pixels at most on the longer side
    png: bytes  # the same as a file, with the label in its text
    codec: str  # "sae" or "kwavelet"
    version: int  # of the model
    payload_bytes: int

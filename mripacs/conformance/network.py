"""Implementation model, services, transfer syntaxes and statuses of the DICOM side."""

from __future__ import annotations

from mripacs.conformance.document import Cell, Section, Table
from mripacs.core.model import Level
from mripacs.core.settings import Settings
from mripacs.dicom import part10
from mripacs.dicom.dictionary import tag_of, vr_of
from mripacs.dicom.transfer_syntax import NATIVE_SYNTAXES, STORAGE_SYNTAXES
from mripacs.dimse import capabilities
from mripacs.dimse.capabilities import SopClass, Status
from mripacs.retrieve.matching import CONTROL_KEYWORDS, RANGE_VRS, UNIQUE_KEYS, WILDCARD_VRS
from mripacs.store.keys import COMPUTED, KEYS

Row = tuple[Cell, ...]
SOP_CLASS_COLUMNS = ("SOP Class", "UID", "SCU", "SCP")


def implementation_model(settings: Settings) -> Section:
    """What the application entities are and what moves between them."""
    title = settings.dimse.ae_title
    rows: tuple[Row, ...] = (
        (title, "Acceptor", "Stores what is sent, answers queries, gives out instances, promises what it keeps."),
        (title, "Initiator", "Sends instances to destinations of C-MOVE; reports on storage commitment."),
        (
            "MRIPACS-SCU",
            "Initiator",
            "The commands mripacs echo, send, find and get; its title is an option of theirs.",
        ),
    )
    return Section(
        "Implementation Model",
        (
            "Received objects are compressed by rules, committed to a database, and only then acknowledged. "
            "Retrieved instances are rebuilt from the database, their digests checked.",
        ),
        (Table("Application Entities", ("Application Entity", "Role", "Real-world activity"), rows),),
    )


def services() -> Section:
    """SOP classes, and what queries match by."""
    return Section(
        "Service and Interoperability Description",
        sections=(
            Section("Verification, Query/Retrieve and Storage Commitment", tables=(_classes(),)),
            Section(
                "Storage",
                (
                    "Storage contexts are accepted as they are proposed, these and every private SOP class, in both "
                    "roles. Level of conformance: 2 (full); data sets stay byte for byte unless the pixels are "
                    "compressed with loss (see Annexes). Elements are coerced in lossy results only.",
                ),
                (Table("Storage SOP Classes", SOP_CLASS_COLUMNS, _rows(capabilities.storage_classes())),),
            ),
            _matching(),
            Section(
                "Retrieval",
                (
                    "C-GET and C-MOVE take the unique keys below, each with one UID or a list of UIDs, at every level "
                    "of both information models; relational retrieval is not needed for the unique keys above.",
                    "An instance that is served under a derived UID is also found by the UID it was received under.",
                ),
                (Table("Unique Keys of Retrieval", ("Level", "Key"), tuple(map(_unique_key, UNIQUE_KEYS.items()))),),
            ),
        ),
    )


def _unique_key(item: tuple[Level, str]) -> Row:
    return str(item[0]), item[1]


def _classes() -> Table:
    return Table("Network Services", SOP_CLASS_COLUMNS, _rows(capabilities.service_classes()))


def _rows(classes: list[SopClass]) -> tuple[Row, ...]:
    return tuple((each.name, each.uid, each.scu, each.scp) for each in classes)


def _matching() -> Section:
    matched = tuple(
        (str(key.level), keyword, tag_text(keyword), vr_of(keyword), _match_words(keyword))
        for keyword, key in KEYS.items()
        if keyword not in CONTROL_KEYWORDS
    )
    computed = tuple(
        (str(level), keyword, tag_text(keyword)) for keyword, (level, _) in COMPUTED.items() if keyword not in KEYS
    )
    return Section(
        "Query",
        (
            "C-FIND in both information models, hierarchical and, where negotiated, relational. An attribute that is "
            "not in the table is returned if the index holds it, and makes the response status FF01. Names match "
            "without case, by Unicode's case folding, in any component group. Sequence matching is not supported. "
            "Responses are in UTF-8 (ISO_IR 192).",
        ),
        (
            Table("Matching Attributes", ("Level", "Attribute", "Tag", "VR", "Matching"), matched),
            Table("Computed Attributes, returned only", ("Level", "Attribute", "Tag"), computed),
        ),
    )


def _match_words(keyword: str) -> str:
    """The kinds of matching that the VR of a key has (PS3.4 C.2.2.2)."""
    vr = vr_of(keyword)
    if vr == "UI":
        return "single value, list of UID, universal"
    kinds = ["single value", "universal"]
    kinds += ["wildcard"] if vr in WILDCARD_VRS else []
    kinds += ["range"] if vr in RANGE_VRS else []
    return ", ".join(kinds)


def tag_text(keyword: str) -> str:
    """A keyword's tag as PS3.6 writes it: (0010,0020)."""
    tag = tag_of(keyword)
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def communication(settings: Settings) -> Section:
    """Associations, transfer syntaxes, statuses."""
    return Section(
        "Network and Media Communication Details",
        ("Media storage is not supported. Physical network: TCP/IP over IPv4 and IPv6.",),
        sections=(_associations(settings), _syntaxes(), _statuses()),
    )


def _associations(settings: Settings) -> Section:
    dimse = settings.dimse
    uid, version = capabilities.implementation()
    general: tuple[Row, ...] = (
        ("Application Context Name", "1.2.840.10008.3.1.1.1"),
        ("Associations at once as acceptor", dimse.max_associations),
        ("Associations at once of one peer", dimse.max_associations_per_peer),
        ("Maximum PDU received (bytes)", dimse.max_pdu_bytes),
        ("Asynchronous operations window", "not supported: one operation at a time"),
        ("SOP Class Extended Negotiation", "relational queries"),
        ("SCP/SCU Role Selection Negotiation", "storage classes (C-GET), storage commitment"),
        ("Implementation Class UID in associations", uid),
        ("Implementation Version Name in associations", version),
        ("Implementation Class UID in files", part10.IMPLEMENTATION_CLASS_UID),
        ("Implementation Version Name in files", part10.IMPLEMENTATION_VERSION_NAME),
        ("Idle time-out (s)", dimse.idle_timeout_s),
        ("Negotiation time-out (s)", dimse.negotiation_timeout_s),
        ("Longest association (s)", dimse.max_association_s),
    )
    rejected = tuple((each.reason, each.result, each.source, each.diagnostic) for each in capabilities.rejections())
    return Section(
        "Associations",
        tables=(
            Table("Association Policies", ("Property", "Value"), general),
            Table("Association Rejection", ("Condition", "Result", "Source", "Reason/Diag."), rejected),
        ),
    )


def _syntaxes() -> Section:
    storage = tuple(
        (capabilities.uid_name(uid), uid, "native" if uid in NATIVE_SYNTAXES else "encapsulated")
        for uid in STORAGE_SYNTAXES
    )
    query = tuple((capabilities.uid_name(uid), uid) for uid in capabilities.query_syntaxes())
    return Section(
        "Transfer Syntaxes",
        (
            "What cannot be decoded is kept as received. A retrieved instance leaves in the transfer syntax it was "
            "received in if the peer accepts that, else in a native one; lossy results leave in native ones.",
        ),
        (
            Table("Transfer Syntaxes of Storage", ("Transfer Syntax", "UID", "Pixel data"), storage),
            Table("Transfer Syntaxes of other services, preferred first", ("Transfer Syntax", "UID"), query),
        ),
    )


def _statuses() -> Section:
    tables = [_status_table(f"Statuses of {name}", found) for name, found in capabilities.service_statuses().items()]
    tables.append(_status_table("Failure Reasons of Storage Commitment", capabilities.commitment_failures()))
    return Section(
        "Status Codes",
        ("Failures carry an Error Comment (0000,0902) that says what to change, without patient data.",),
        tuple(tables),
    )


def _status_table(title: str, found: list[Status]) -> Table:
    return Table(title, ("Status", "Meaning"), tuple((f"{each.code:04X}", each.meaning) for each in found))

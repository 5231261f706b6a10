"""Every error that mripacs raises, in one tree; each leaf knows how each door reports it.

    MripacsError
    ├── SettingsError                a key, value or file of the configuration is wrong
    ├── RefusedError                 an object offered to the node is not taken
    │   ├── NotDicomError            the bytes are no DICOM data set
    │   ├── TruncatedDatasetError    the data set ends inside an element of the header
    │   ├── InvalidIdentityError     a UID is missing, malformed or contradicts the command
    │   ├── ObjectTooLargeError      larger than the configured limits
    │   ├── KspaceError              a file of raw data is none, is damaged or contradicts itself
    │   └── ConflictError            another object is stored under that UID
    ├── CodecError
    │   ├── CodecInputError          the array's shape or type cannot be coded
    │   ├── PayloadError             a payload is malformed or damaged
    │   │   ├── CodecLimitError      a payload claims more samples than allowed
    │   │   └── UnknownTablesError   a payload was coded with tables that are not known here
    │   ├── WorkerLostError          codec processes died, repeatedly, under one object
    │   └── CodecMismatchError       the proof failed: decoding did not give what encoding promised
    ├── ModelError                   a preview model is damaged, of another architecture, or not there
    │   └── TrainingError            a training cannot begin or go on; the active model stays
    ├── PixelDataError               the pixels of a data set cannot be decoded
    ├── TranscodeError               a data set cannot be written in a transfer syntax
    ├── StoreError
    │   ├── StoreUnavailableError    the database cannot be reached or is locked
    │   ├── StoreFullError           no space is left
    │   └── SchemaError              the database's schema is not this version's
    ├── DamagedInstanceError         a stored digest does not match what was read
    ├── UnknownInstanceError         no instance, series or study has that UID
    ├── QueryError                   an identifier or a matching key is invalid
    ├── PeerError                    another application entity could not be reached or refused
    │   └── UnknownDestinationError  a C-MOVE destination is not configured
    └── ViewerError                  the viewer's build cannot be had

Callers decide on the class, never on the text. `dimse_status` is the status that the service in question answers
(PS3.4 Tables B.2-1, C.4-1 to C.4-3, PS3.7 Annex C); `http_status` goes to web clients; `exit_code` follows sysexits.h.
"""

from __future__ import annotations

from typing import ClassVar


class MripacsError(Exception):
    """Root of the tree. The message says what, where and what to do, without patient data."""

    dimse_status: ClassVar[int] = 0xC000
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 70


class SettingsError(MripacsError):
    """A key, a value or the file of the configuration is wrong."""

    exit_code = 78


class RefusedError(MripacsError):
    """An object offered to the node is not taken; nothing of it was stored."""

    http_status = 400
    exit_code = 65


class NotDicomError(RefusedError):
    """The bytes are no DICOM data set in the transfer syntax they came in."""

    dimse_status = 0xC000


class TruncatedDatasetError(RefusedError):
    """The data set ends inside an element other than its pixel data."""

    dimse_status = 0xC001


class InvalidIdentityError(RefusedError):
    """A UID is missing, malformed or contradicts the command set (PS3.4 B.2.3: data set does not match)."""

    dimse_status = 0xA900
    http_status = 409


class ObjectTooLargeError(RefusedError):
    """The object is larger than the configured limits."""

    dimse_status = 0xA700
    http_status = 413


class KspaceError(RefusedError):
    """A file of raw k-space is none, is truncated or damaged, or contradicts its own header."""


class ConflictError(RefusedError):
    """Another object is already stored under that SOP Instance UID."""

    dimse_status = 0xC111
    http_status = 409


class CodecError(MripacsError):
    """Something between arrays and payloads went wrong."""


class CodecInputError(CodecError):
    """The array's shape, type or values cannot be coded."""

    http_status = 400
    exit_code = 65


class PayloadError(CodecError):
    """A payload is malformed, damaged or of an unknown version."""

    exit_code = 65


class CodecLimitError(PayloadError):
    """A payload claims more samples than the caller allows."""


class UnknownTablesError(PayloadError):
    """A payload was coded with trained tables that this installation does not have."""

    exit_code = 69


class WorkerLostError(CodecError):
    """The codec processes died under the same object, repeatedly."""


class CodecMismatchError(CodecError):
    """Decoding did not give what encoding promised: the proof failed and the payload must not be used."""


class ModelError(MripacsError):
    """A preview model is damaged, of another architecture, unknown, or cannot be kept."""

    exit_code = 65


class TrainingError(ModelError):
    """A training cannot begin or go on. Its checkpoints stay, the active model is untouched."""


class PixelDataError(MripacsError):
    """The pixels of a data set cannot be decoded; the data set can still be kept byte for byte."""

    exit_code = 65


class TranscodeError(MripacsError):
    """A data set cannot be written in the transfer syntax asked for."""

    dimse_status = 0xA900
    http_status = 406
    exit_code = 65


class StoreError(MripacsError):
    """The database failed."""

    dimse_status = 0xA700
    http_status = 503
    exit_code = 74


class StoreUnavailableError(StoreError):
    """The database cannot be reached, is locked or is read-only; trying again later may work."""

    exit_code = 75


class StoreFullError(StoreError):
    """No space is left for the object."""

    http_status = 507


class SchemaError(StoreError):
    """The database's schema is not the one this version needs; `mripacs admin db upgrade` mends it."""

    exit_code = 78


class DamagedInstanceError(MripacsError):
    """What was read does not match its stored digest. The instance is never given out."""

    dimse_status = 0xC010
    exit_code = 74


class UnknownInstanceError(MripacsError):
    """No instance, series or study is stored under that UID."""

    dimse_status = 0xC012
    http_status = 404
    exit_code = 66


class QueryError(MripacsError):
    """An identifier or one of its matching keys is invalid (PS3.4 C.4.1.1.4: A900)."""

    dimse_status = 0xA900
    http_status = 400
    exit_code = 64


class PeerError(MripacsError):
    """Another application entity could not be reached, or refused."""

    dimse_status = 0xA702
    http_status = 502
    exit_code = 69


class UnknownDestinationError(PeerError):
    """The C-MOVE destination is not among the configured ones (PS3.4 C.4.2.1.5: A801)."""

    dimse_status = 0xA801
    exit_code = 78


class ViewerError(MripacsError):
    """The viewer's build cannot be fetched, is not the pinned one, or cannot be unpacked."""

    exit_code = 69

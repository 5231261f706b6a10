"""Certificates as rows: what is counted or compared gets columns, the rest is one packed JSON object.

Digests are 32 bytes instead of 64 characters, and the frames' records are turned from rows into columns, because an
enhanced object has hundreds of them and names each field once this way. What follows from the row's other columns, and
what is null, is left out; so is the digest of decoded pixels that are the source's. Fields added to Certificate later
travel in the JSON.

The object is deflated with a dictionary of what most certificates say: 80 bytes instead of 370 (2300 instances), for 12
µs, and 3 µs to read. Up to revision 0005 it was kept as plain JSON; such rows stay as they are.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from mripacs.core.errors import DamagedInstanceError
from mripacs.core.model import Certificate, FrameRecord, Generation, Tier
from mripacs.store.engine import DAMAGED_JSON, compact_json, read_json

PLAIN, DEFLATED = b"{", b"\1"  # a packed object's first byte: of plain JSON, or of deflated JSON, which follows
MAX_JSON_BYTES = 1 << 26  # more is damage: ten thousand frames take 1 MB
# Part of the form: what it packed can only be unpacked with it. The likeliest stands last, where it is nearest.
DICTIONARY = (
    b'"noise_method":["immerkaer"]"noise":[1.0,"first_payload_bytes":"effort":"small","generation":["lossless",'
    b'"generation":["first loss",0.0,"target":"max_error=1"target":"noise="restores_received":true,"max_error":[0]'
    b'"rule":"everything else","reason":"always""rule":"measurement by image type","reason":"image type PHASE'
    b'"rule":"no rule","rule":"pixel padding","reason":"has PixelPaddingInUse""received_pixel_bytes":0,'
    b'{"rule":"MR image","reason":"SOP class 1.2.840.10008.5.1.4.1.1.4; modality MR","target":"rel_error=0.05",'
    b'"received_pixel_bytes":131072,"restores_received":false,"decoded_range":[0,"frames":{"max_error":[1'
    b'"psnr_db":[3],"psnr_db":[4],"step":[1],"k":[1]}}'
)
_DEFLATE_LEVEL, _RAW_DEFLATE = 9, -15

_DIGESTS = ("received_digest", "source_pixel_digest", "decoded_pixel_digest")
_NO_CERTIFICATE = Certificate(
    tier=Tier.VERBATIM,
    rule="none",
    reason="the certificate is damaged",
    codec=None,
    target=None,
    generation=Generation.LOSSLESS,
    received_digest="",
    source_pixel_digest=None,
    decoded_pixel_digest=None,
    frames=(),
    received_bytes=0,
    received_pixel_bytes=0,
    restores_received=False,
)
_COLUMNS = ("tier", "codec", "generation", "received_bytes")
_PACKED = tuple(
    field.name for field in fields(Certificate) if field.name not in {*_DIGESTS, *_COLUMNS, "frames"}
)  # in the JSON
_OF_FRAMES = tuple(field.name for field in fields(FrameRecord))


def to_columns(certificate: Certificate) -> dict[str, Any]:
    """Values of the instance table's columns that hold the certificate."""
    digests = {name: getattr(certificate, name) for name in _DIGESTS}
    rest = {name: value for name in _PACKED if (value := getattr(certificate, name)) is not None}
    worst = certificate.worst
    if certificate.codec is not None and digests["decoded_pixel_digest"] == digests["source_pixel_digest"]:
        digests["decoded_pixel_digest"] = None
    return {
        **{name: None if value is None else bytes.fromhex(value) for name, value in digests.items()},
        **{name: _plain(getattr(certificate, name)) for name in _COLUMNS},
        "rel_error": worst.rel_error if worst else None,
        "received_pixel_bytes": certificate.received_pixel_bytes,
        "certificate": pack({**rest, "frames": _frame_columns(certificate)}),
    }


def from_columns(row: Mapping[str, Any]) -> Certificate:
    """The certificate that `to_columns` took apart; DamagedInstanceError when the row makes none."""
    try:
        packed = {"target": None, **unpack(row["certificate"])}
        columns = {name: row[name] for name in _COLUMNS}
        digests = {name: None if row[name] is None else row[name].hex() for name in _DIGESTS}
        if columns["codec"] is not None and digests["decoded_pixel_digest"] is None:
            digests["decoded_pixel_digest"] = digests["source_pixel_digest"]
        frames = _frame_rows(packed["frames"], row)
        return Certificate.from_json({**packed, **columns, **digests, "frames": frames})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedInstanceError(
            f"instance {row['sop_instance_uid']}: its certificate in the index is damaged"
        ) from error


def from_damaged(row: Mapping[str, Any]) -> Certificate:
    """Of a quarantined instance: its certificate if it can be read, else one that promises nothing."""
    try:
        return from_columns(row)
    except DamagedInstanceError:
        return _NO_CERTIFICATE


def with_first_payload(certificate: bytes, payload_bytes: int) -> bytes:
    """A packed object that says how many bytes the first payload had; unchanged if it says so already."""
    found = unpack(certificate)
    return certificate if found.get("first_payload_bytes") else pack({**found, "first_payload_bytes": payload_bytes})


def pack(value: Mapping[str, Any]) -> bytes:
    """A JSON object as the column holds it."""
    deflate = zlib.compressobj(_DEFLATE_LEVEL, zlib.DEFLATED, _RAW_DEFLATE, zdict=DICTIONARY)
    return DEFLATED + deflate.compress(compact_json(value).encode()) + deflate.flush()


def unpack(data: bytes) -> dict[str, Any]:
    """The object that the column holds; DAMAGED_JSON for what is none, as `read_json`."""
    if data[:1] != DEFLATED:
        return read_json(data)
    inflate = zlib.decompressobj(_RAW_DEFLATE, zdict=DICTIONARY)
    try:
        text = inflate.decompress(data[1:], MAX_JSON_BYTES)
    except zlib.error:
        return DAMAGED_JSON
    return read_json(text) if inflate.eof else DAMAGED_JSON


def _frame_columns(certificate: Certificate) -> dict[str, list[Any]]:
    """Values of all frames by field, without those that are null, or in columns of the row."""
    frames = certificate.frames
    columns = {name: [_plain(getattr(frame, name)) for frame in frames] for name in _OF_FRAMES if frames}
    if all(frame.generation is certificate.generation for frame in frames):
        columns.pop("generation", None)
    if len(frames) == 1:
        del columns["rel_error"]
    return {name: values for name, values in columns.items() if any(value is not None for value in values)}


def _frame_rows(columns: Mapping[str, Sequence[Any]], row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The records of the frames; the largest error is the one value that each has in any case."""
    count = len(columns.get("max_error", ()))
    whole = {name: [None] * count for name in _OF_FRAMES} | {"generation": [row["generation"]] * count}
    whole |= {"rel_error": [row["rel_error"]] * count, **columns}
    return [dict(zip(whole, values, strict=True)) for values in zip(*whole.values(), strict=True)]


def _plain(value: Any) -> Any:
    """StrEnum members as plain strings: drivers adapt exact types only."""
    return str(value) if isinstance(value, str) else value

"""Certificates as rows: what is counted or compared gets columns, the rest is one JSON object.

Digests are 32 bytes instead of 64 characters, and the frames' records are turned from rows into columns, because an
enhanced object has hundreds of them and names each field once this way. Fields added to Certificate later travel in the
JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mripacs.core.errors import DamagedInstanceError
from mripacs.core.model import Certificate, Generation, Tier

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


def to_columns(certificate: Certificate) -> dict[str, Any]:
    """Values of the instance table's columns that hold the certificate."""
    rest = certificate.to_json()
    digests = {name: None if (value := rest.pop(name)) is None else bytes.fromhex(value) for name in _DIGESTS}
    columns = {name: _plain(rest.pop(name)) for name in _COLUMNS}
    frames = rest.pop("frames")
    rest["frames"] = {name: [frame[name] for frame in frames] for name in (frames[0] if frames else ())}
    worst = certificate.worst
    return {**digests, **columns, "rel_error": worst.rel_error if worst else None, "certificate": rest}


def from_columns(row: Mapping[str, Any]) -> Certificate:
    """The certificate that `to_columns` took apart; DamagedInstanceError when the row makes none."""
    try:
        fields = {**row["certificate"], **{name: row[name] for name in _COLUMNS}}
        fields.update({name: None if row[name] is None else row[name].hex() for name in _DIGESTS})
        frames = fields["frames"]
        fields["frames"] = [dict(zip(frames, values, strict=True)) for values in zip(*frames.values(), strict=True)]
        return Certificate.from_json(fields)
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


def _plain(value: Any) -> Any:
    """StrEnum members as plain strings: drivers adapt exact types only."""
    return str(value) if isinstance(value, str) else value

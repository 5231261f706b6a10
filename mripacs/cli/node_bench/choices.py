"""What may be compared, as the command names it. Light: `mripacs --help` loads it."""

from __future__ import annotations

from enum import StrEnum


class Peer(StrEnum):
    """Another server."""

    ORTHANC = "orthanc"
    ORTHANC_COMPRESSED = "orthanc-compressed"
    DCMTK = "dcmtk"


class OwnTier(StrEnum):
    """How ours keeps MR images."""

    KWAVELET = "kwavelet"
    LOSSLESS = "lossless"

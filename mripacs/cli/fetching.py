"""C-GET into a folder: asks which storage classes there are, then fetches in those."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mripacs.core.errors import PeerError
from mripacs.core.model import Outgoing
from mripacs.core.private import make_private, write_private
from mripacs.dicom.part10 import write_part10
from mripacs.dimse import client
from mripacs.dimse.negotiation import STORAGE_CLASSES


def get_files(peer: client.Peer, level: str, keys: Mapping[str, str], folder: Path) -> dict[str, int]:
    """Fetch the instances that the keys name and write `<SOP Instance UID>.dcm`, 0600; gives sub-operation counts.

    A C-GET must propose the storage classes it accepts, 120 of them at most: those that the peer lists for the
    instances, or the commonest where the peer does not return SOP Class UIDs. Raises PeerError.
    """
    make_private(folder)

    def write(outgoing: Outgoing) -> None:
        name = "".join(char for char in outgoing.sop_instance_uid if char in "0123456789.")  # never a path
        write_private(folder / f"{name}.dcm", write_part10(outgoing))

    return client.get(peer, level, keys, _classes(peer, keys) or STORAGE_CLASSES, write)


def _classes(peer: client.Peer, keys: Mapping[str, str]) -> list[str]:
    try:
        rows = client.find(peer, "IMAGE", {"SOPInstanceUID": "", "SOPClassUID": "", **keys})
        return sorted({row["SOPClassUID"] for row in rows if row.get("SOPClassUID")})
    except PeerError:
        return []

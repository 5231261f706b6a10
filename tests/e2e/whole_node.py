"""Every file of the dev set in one node, and what the wire carried to it, as a second receiver saw it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.e2e import dcmtk
from tests.e2e.dcmtk import StoreScp
from tests.e2e.node_process import NodeProcess, mripacs_json
from tests.e2e.part10_files import Part10, by_syntax, by_uid, copies_with_own_uids


@dataclass
class WholeNode:
    """The node, the files that it was sent, and a witness: what DCMTK's storescp got from the same commands."""

    node: NodeProcess
    folder: Path
    sent: list[Path]
    everything: StoreScp  # C-MOVE destination ALL: accepts every transfer syntax
    implicit_only: StoreScp  # C-MOVE destination IMPLICIT
    unread_by_dcmtk: list[Path] = field(default_factory=list)  # sent by `mripacs send`, with the bytes of the file

    @cached_property
    def originals(self) -> dict[str, Part10]:
        """The files as they lie on the disk, by SOP Instance UID."""
        return by_uid(self.sent)

    @cached_property
    def witnessed(self) -> dict[str, Part10]:
        """What the wire carried, by SOP Instance UID."""
        return by_uid((self.folder / "witness").iterdir())

    @cached_property
    def certificates(self) -> dict[str, dict[str, Any]]:
        """Index columns by the UID that was sent."""
        return self.node.certificates()

    def sent_as_lossy(self) -> list[str]:
        """UIDs of the instances that lost something."""
        return [uid for uid, row in self.certificates.items() if row["generation"] == "first loss"]


def fill(
    node: NodeProcess, folder: Path, files: Sequence[Path], everything: StoreScp, implicit_only: StoreScp
) -> WholeNode:
    """Send the files to the node and to a witness by the same commands of DCMTK, grouped by transfer syntax."""
    copies = copies_with_own_uids(files, folder / "sent")
    node.sent.extend(copies)
    witness = StoreScp.start(folder / "witness", dcmtk.free_port(), "+xa")
    unread: list[Path] = []
    try:
        for syntax, group in by_syntax(copies).items():
            options = ("--no-halt", dcmtk.PROPOSALS[syntax])
            unread += _not_sent(dcmtk.storescu(node.port, group, *options), group)
            assert _not_sent(dcmtk.storescu(witness.port, group, *options), group) == [
                path for path in unread if path in group
            ]
        for port in (node.port, witness.port):
            if unread:
                mripacs_json("send", "127.0.0.1", port, *unread)
    finally:
        witness.stop()
    return WholeNode(node, folder, copies, everything, implicit_only, unread)


def _not_sent(output: str, group: Sequence[Path]) -> list[Path]:
    """The files that storescu says it could not read or send; each other one was answered with success."""
    accepted = len(re.findall(r"Received Store Response \(Success\)", output))
    unread = [path for path in group if f"Bad DICOM file: {path}" in output]
    assert accepted + len(unread) == len(group), (
        f"{accepted} of {len(group)} accepted, unread {unread}\n{output[-3000:]}"
    )
    return unread

"""`mripacs demo`: real MR images into a node and back, ten generations between two nodes, in a throw-away folder."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mripacs.cli.context import AsJson, print_json, print_table, size
from mripacs.cli.files import find_items
from mripacs.core.errors import MripacsError, PeerError, UnknownInstanceError
from mripacs.core.settings import load_settings

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from mripacs.archive import Archive
    from mripacs.core.model import InstanceIdentity, ReceivedObject
    from mripacs.dimse.client import Peer
    from mripacs.node import Node

GENERATIONS = 10
CHAIN_LENGTH = 60  # instances that make the ten generations; a large DATA folder is stored whole all the same
REL_ERRORS = {"A": 0.05, "B": 0.02}  # the two nodes' policies


def register(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command()(demo)


def demo(
    data: Annotated[
        Path | None, typer.Argument(help="Folder of DICOM files; otherwise images that packages ship.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start two nodes, send MR images to one, get them back, pass them to and fro ten times, and show what it cost."""

    def say(line: str) -> None:
        typer.echo(line, err=as_json)

    objects = _objects(data)
    say(f"{len(objects)} DICOM objects from {data or 'installed packages'}")
    with tempfile.TemporaryDirectory(prefix="mripacs-demo-") as folder, ExitStack() as stack:
        say("starting two nodes, A at 5 % and B at 2 % error (the first time, the codec is compiled: about a minute)")
        nodes = {name: stack.enter_context(_node(Path(folder) / name, error)) for name, error in REL_ERRORS.items()}
        start = time.perf_counter()
        taken = _send(nodes["A"], objects)
        seconds = time.perf_counter() - start
        say(
            f"C-STORE: {taken} of {len(objects)} taken in {seconds:.1f} s, each compressed and proved before it is read"
        )
        if taken < len(objects) and data is None:
            raise PeerError("node A did not take every image that the packages ship")
        rows = _measure(nodes["A"].archive)
        chain = _Chain(nodes, say)
        chain.run(nodes["A"].archive, rows)
    if as_json:
        print_json([row.as_dict() for row in rows.values()])
    else:
        print_table("What the node keeps", _COLUMNS, [row.cells() for row in rows.values()])
        typer.echo(
            "received and kept: whole objects, header and pixels. error: ||x-y||/||x|| of the worst image.\n"
            "generations: hops between A and B by C-GET and C-STORE, under new UIDs each time, after which every\n"
            "pixel equalled the first generation's."
        )
    if any(row.identical < row.hops for row in rows.values()):
        raise MripacsError("a generation changed pixels: this is a defect, please report it")


def _objects(data: Path | None) -> list[ReceivedObject]:
    """What to send: the folder's DICOM objects, or the shipped images. UnknownInstanceError if there is none."""
    from mripacs.cli.demo_images import shipped_images  # noqa: PLC0415 - `mripacs --help` stays light
    from mripacs.dicom.part10 import read_part10  # noqa: PLC0415 - as above

    if data is None:
        return shipped_images()
    objects = []
    for _, content in find_items([data], 2**31):
        try:
            objects.append(read_part10(content))
        except MripacsError:
            continue
    if not objects:
        raise UnknownInstanceError(f"there is no DICOM file in {data}")
    return objects


def _node(folder: Path, rel_error: float) -> Node:
    from mripacs.core.logging import configure_logging  # noqa: PLC0415 - as above
    from mripacs.node import Node  # noqa: PLC0415 - as above

    flags = {
        "archive": {"directory": folder, "workers": 1},
        "dimse": {"port": 0},
        "web": {"enabled": False},
        "policy": {"rel_error": rel_error},
        "log": {"level": "ERROR"},
    }
    settings = load_settings(flags=flags, environment={})
    configure_logging(settings.log)
    return Node(settings)


def _peer(node: Node) -> Peer:
    from mripacs.dimse.client import Peer  # noqa: PLC0415 - as above

    return Peer("127.0.0.1", node.dicom_port, timeout_s=300)


def _send(node: Node, objects: Iterable[ReceivedObject]) -> int:
    from mripacs.dimse import client  # noqa: PLC0415 - as above

    return sum(result.accepted for result in client.send(_peer(node), objects))


_COLUMNS = ("images", "size", "kept as", "received", "kept", "ratio", "error", "generations identical")


@dataclass(slots=True)
class _Row:
    """One kind of image in the final table."""

    label: str
    tier: str
    images: int = 0
    received: int = 0
    kept: int = 0
    worst_error: float = 0.0
    hops: int = 0
    identical: int = 0
    uids: list[str] = field(default_factory=list)

    def add(self, identity: InstanceIdentity, references: int) -> None:
        worst = identity.certificate.worst
        self.images += 1
        self.received += identity.certificate.received_bytes
        self.kept += identity.payload_bytes + identity.header_bytes + references
        self.worst_error = max(self.worst_error, worst.rel_error if worst else 0.0)
        self.uids.append(identity.sop_instance_uid)

    def cells(self) -> list[object]:
        error = f"{100 * self.worst_error:.2f} %" if self.worst_error else "exact"
        generations = f"{self.identical} of {self.hops}" if self.hops else "-"
        ratio = f"{self.received / max(1, self.kept):.1f}"
        return [self.images, self.label, self.tier, size(self.received), size(self.kept), ratio, error, generations]

    def as_dict(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self.__slots__ if name != "uids"}


def _measure(archive: Archive) -> dict[tuple[str, str], _Row]:
    """Sums by vendor, matrix and tier."""
    rows: dict[tuple[str, str], _Row] = {}
    described = {row["SOPInstanceUID"]: row for row in archive.find("IMAGE", **dict.fromkeys(_DESCRIPTION, ""))}
    references = archive.reference_bytes()
    for identity in archive:
        key = (_label(described[identity.sop_instance_uid]), str(identity.certificate.tier))
        row = rows.setdefault(key, _Row(*key))
        row.add(identity, references.pop(identity.series_instance_uid, 0))  # counted once, with its first instance
    return dict(sorted(rows.items()))


_DESCRIPTION = ("SOPInstanceUID", "Manufacturer", "Rows", "Columns", "NumberOfFrames")


def _label(row: dict[str, str | int]) -> str:
    frames = f" x {row['NumberOfFrames']}" if int(row.get("NumberOfFrames") or 1) > 1 else ""
    matrix = f"{row['Rows']} x {row['Columns']}{frames}" if row.get("Rows") else "no pixels"
    return f"{str(row.get('Manufacturer', '')).split(' ')[0] or '?'} {matrix}"


class _Chain:
    """Passes instances between the nodes by C-GET and C-STORE and counts the hops that changed no pixel."""

    def __init__(self, nodes: dict[str, Node], say: Callable[[str], None]) -> None:
        self._nodes = nodes
        self._say = say

    def run(self, archive: Archive, rows: dict[tuple[str, str], _Row]) -> None:
        """Ten hops A -> B -> A ..., each under new UIDs, as if an anonymiser stood between the hospitals."""
        row_of = {uid: row for row in rows.values() for uid in row.uids}
        chosen = [identity for identity in archive if identity.certificate.codec][:CHAIN_LENGTH]
        first = {
            identity.sop_instance_uid: self._get(self._nodes["A"], identity.sop_instance_uid) for identity in chosen
        }
        current = dict(first)
        self._say(f"C-GET: {len(first)} images back; now {GENERATIONS} generations")
        for hop in range(1, GENERATIONS + 1):
            node = self._nodes["AB"[hop % 2]]
            current = self._pass_on(node, current)
            same = {uid: dataset.PixelData == first[uid].PixelData for uid, dataset in current.items()}
            for uid, is_same in same.items():
                row_of[uid].hops += 1
                row_of[uid].identical += is_same
            self._say(
                f"generation {hop + 1:2d} in node {'AB'[hop % 2]}: {sum(same.values())} of {len(same)} images identical"
            )

    def _pass_on(self, node: Node, datasets: dict[str, Dataset]) -> dict[str, Dataset]:
        """Store every data set in `node` under new UIDs and get it back, by the UID of its first generation."""
        from mripacs.dicom.datasets import from_dataset, with_new_uids  # noqa: PLC0415 - `mripacs --help` stays light

        renamed = {uid: from_dataset(with_new_uids(dataset)) for uid, dataset in datasets.items()}
        _send(node, renamed.values())
        return {uid: self._get(node, item.sop_instance_uid) for uid, item in renamed.items()}

    def _get(self, node: Node, uid: str) -> Dataset:
        """C-GET of one instance."""
        from mripacs.dicom.part10 import to_dataset  # noqa: PLC0415 - as above
        from mripacs.dimse import client  # noqa: PLC0415 - as above

        received: list[Dataset] = []
        identity = node.archive.identify(uid)
        keys = {
            "StudyInstanceUID": identity.study_instance_uid,
            "SeriesInstanceUID": identity.series_instance_uid,
            "SOPInstanceUID": uid,
        }
        client.get(_peer(node), "IMAGE", keys, [identity.sop_class_uid], lambda item: received.append(to_dataset(item)))
        return received[0]

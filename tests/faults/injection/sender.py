"""What a sender knows: what was acknowledged, with which statuses other objects were refused. And what must hold."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from mripacs.core.errors import PeerError
from mripacs.core.model import Outgoing, ReceivedObject
from mripacs.dimse import client
from mripacs.dimse.client import Peer
from tests.e2e.node_process import NodeProcess, mripacs_json
from tests.e2e.objects import COLUMNS, ROWS, encoded, mr_object

OUT_OF_RESOURCES = 0xA700
KEPT_EXACTLY = {"ImageType": ["ORIGINAL", "PRIMARY", "PHASE MAP"]}  # the shipped rules keep measurements without loss
PATIENT = {"PatientName": "Faulty^Patient", "PatientID": "FAULT-4711"}
_random = np.random.default_rng(4)


def an_object(rows: int = ROWS, columns: int = COLUMNS, **changes: object) -> Dataset:
    """An image of noise, which no codec makes small, of a patient that no log may name."""
    pixels = _random.integers(0, 4096, (rows, columns), np.uint16).tobytes()
    return mr_object(Rows=rows, Columns=columns, PixelData=pixels, **KEPT_EXACTLY, **PATIENT, **changes)


def received(dataset: Dataset) -> ReceivedObject:
    """The object as our client sends it."""
    return ReceivedObject(encoded(dataset), ExplicitVRLittleEndian, MRImageStorage, dataset.SOPInstanceUID, "test")


@dataclass
class Sender:
    """Sends fresh objects to a node, and remembers what became of them. Thread-safe enough for one thread a sender."""

    port: int
    acknowledged: dict[str, Dataset] = field(default_factory=dict)
    refused: Counter[int | None] = field(default_factory=Counter)  # None: the association ended before the answer
    refused_objects: list[Dataset] = field(default_factory=list)
    slowest_s: float = 0.0

    def send(self, number: int = 1, **changes: object) -> list[int | None]:
        """Send fresh objects over one association; gives their statuses."""
        return self.send_objects([an_object(**changes) for _ in range(number)])

    def send_objects(self, datasets: list[Dataset]) -> list[int | None]:
        """Send these; gives their statuses."""
        statuses = []
        results = client.send(Peer("127.0.0.1", self.port, timeout_s=120), map(received, datasets))
        for dataset in datasets:
            start = time.monotonic()
            status = next(results).status
            self.slowest_s = max(self.slowest_s, time.monotonic() - start)
            statuses.append(status)
            if status == 0:
                self.acknowledged[str(dataset.SOPInstanceUID)] = dataset
            else:
                self.refused[status] += 1
                self.refused_objects.append(dataset)
        return statuses

    def send_refused_again(self) -> None:
        """What was refused is taken now: the node came back by itself."""
        objects, self.refused_objects = self.refused_objects, []
        assert self.send_objects(objects) == [0] * len(objects)


class Flow:
    """Sends without a pause in a thread of its own, from the beginning of the block to its end."""

    def __init__(self, port: int) -> None:
        self.sender = Sender(port)
        self.unreachable = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def _send(self) -> None:
        while not self._ended.is_set():
            try:
                self.sender.send(5)
            except PeerError:
                self.unreachable += 1
                time.sleep(0.1)

    def __enter__(self) -> Sender:
        self._thread.start()
        return self.sender

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(180)
        assert not self._thread.is_alive()


def assert_whole(node: NodeProcess, *senders: Sender, archive: tuple[str, ...] = ()) -> None:
    """Every acknowledged instance comes back byte for byte, what is visible can be fetched, and every digest is right.

    archive : flags that name the database of the node; its folder where they are left out.
    """
    acknowledged = {uid: dataset for sender in senders for uid, dataset in sender.acknowledged.items()}
    assert acknowledged
    peer = Peer("127.0.0.1", node.port, timeout_s=60)
    client.echo(peer)
    visible = [row["SOPInstanceUID"] for row in client.find(peer, "IMAGE", {"SOPInstanceUID": "", **PATIENT})]
    assert len(visible) == len(set(visible))
    assert set(acknowledged) <= set(visible), f"{len(set(acknowledged) - set(visible))} acknowledged ones are missing"
    fetched: dict[str, Outgoing] = {}
    counts = client.get(
        peer, "PATIENT", {"PatientID": PATIENT["PatientID"]}, [MRImageStorage],
        lambda outgoing: fetched.__setitem__(outgoing.sop_instance_uid, outgoing),
    )  # fmt: skip
    assert counts["completed"] == len(visible), counts
    changed = [uid for uid, dataset in acknowledged.items() if fetched[uid].dataset != encoded(dataset)]
    assert not changed, f"{len(changed)} acknowledged ones come back changed"
    report = mripacs_json(*(archive or ("--directory", node.archive)), "admin", "verify")
    assert report == {"checked": len(visible), "findings": []}, report
    assert not any(value in node.log for value in PATIENT.values())

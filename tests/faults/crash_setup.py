"""A crash test of our node: its senders, and the archive's own checks after each start."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from mripacs.cli.crash.copies import Copies, syntaxes_of
from mripacs.cli.crash.evidence import NetworkSource
from mripacs.cli.crash.trial import CrashTest, Loss
from mripacs.dimse.client import Peer
from mripacs.retrieve.verify import verify_instance
from mripacs.store import Store, repairs
from tests.e2e.node_process import SETTLE_TIMEOUT_S, wait_until
from tests.faults.crash_node import EXACT, LOSSY, CrashNode
from tests.faults.crash_senders import own, sent_as_they_are, storescu

SENDERS = [own(LOSSY), storescu(EXACT), own(EXACT), storescu(LOSSY)]


@dataclass
class Inside:
    """What the archive's own checks say after a start; looks at the instances of one trial."""

    node: CrashNode

    def __call__(self, ledger):
        with Store.open(self.node.url, create=False) as store:
            wait_until_compressed(store)
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
        digest = hashlib.sha256(sample.received().dataset).hexdigest()
        if uid in sent_as_they_are and identity.certificate.received_digest != digest:
            yield Loss("inside", uid, "the certificate is of other bytes")


def wait_until_compressed(store):
    """Return when a running node has compressed all that it acknowledged."""
    wait_until(lambda: store.waiting.totals()[0] == 0, SETTLE_TIMEOUT_S, "compressing what was acknowledged")


def orphans(store):
    """What `admin verify --repair` would drop."""
    with store._writing() as connection:
        found = repairs.drop_orphans(connection)
        connection.rollback()
    return found


def crash_test(node, objects, random, kill, **options):
    """A test of the node under four senders of six instances each."""
    peer = Peer("127.0.0.1", node.port)
    copies = Copies(objects, random)
    source = NetworkSource(peer, syntaxes_of(copies.templates))
    return CrashTest(peer, node, source, copies, random, SENDERS, kill, Inside(node), senders=4, objects=6, **options)

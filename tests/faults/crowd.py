"""What tests of many associations share: C-STORE of samples, what is stored, and how much memory a node takes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from mripacs.dimse import client
from mripacs.store import Store
from tests.e2e.node_process import children_of
from tests.faults.crash_setup import orphans, wait_until_compressed
from tests.fuzz.memory import resident_bytes


def send_all(peers, batches):
    """Send each batch over an association of its own, all at once; the results of all."""
    with ThreadPoolExecutor(len(batches)) as pool:
        sends = [pool.submit(send, peer, batch) for peer, batch in zip(peers, batches, strict=True)]
        return [result for each in sends for result in each.result()]


def send(peer, samples):
    return list(client.send(peer, [sample.received() for sample in samples]))


def inconsistencies(url):
    """What the archive's own checks find between rows, and what belongs to nothing."""
    with Store.open(url, create=False) as store:
        wait_until_compressed(store)
        return [str(found) for found in store.check_references()] + orphans(store)


def stored_originals(url):
    """How often each original UID is stored."""
    with Store.open(url, create=False) as store:
        wait_until_compressed(store)
        return sorted(store.identify(uid).original_sop_instance_uid for uid in store.iterate_uids())


def node_and_workers(node):
    """Resident bytes of a node and, in sum, of the processes that it started, shared pages counted in each (Linux)."""
    pid = node.process.pid
    return resident_bytes(pid), sum(resident_bytes(child) for child in children_of(pid))

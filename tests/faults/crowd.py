"""What tests of many associations share: C-STORE of samples, what is stored, and how much memory a node takes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mripacs.dimse import client
from mripacs.store import Store
from tests.e2e.node_process import children_of
from tests.faults.crash_setup import orphans


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
        return [str(found) for found in store.check_references()] + orphans(store)


def stored_originals(url):
    """How often each original UID is stored."""
    with Store.open(url, create=False) as store:
        return sorted(store.identify(uid).original_sop_instance_uid for uid in store.iterate_uids())


def resident_bytes(pid):
    """Resident memory of a process and its children, shared pages counted in each (Linux)."""
    pages = [int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in (pid, *children_of(pid))]
    return sum(pages) * 4096

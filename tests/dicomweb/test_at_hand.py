"""Instances at hand, shared by the node's process and the web process: over deaths and deletions."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing

import pytest
import requests

from mripacs import Archive
from mripacs.dicomweb.process import WebProcess
from mripacs.retrieve.recent import Recent
from tests.dicomweb.conftest import ROOT, settings_of
from tests.e2e.objects import encoded, mr_object

FRAME = {"Accept": "application/octet-stream"}
FILES = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="anonymous memory of Linux")


def damage_payloads(folder):
    """From here on nothing can be decoded: what comes out whole was at hand."""
    with closing(sqlite3.connect(folder / "mripacs.db")) as database:
        database.execute("update payload set data = zeroblob(length(data))")
        database.commit()


def test_the_web_process_gives_out_what_the_node_has_at_hand(tmp_path):
    """Also the one that takes a killed one's place; a deleted instance is gone, another's damage is an error."""
    settings, recent = settings_of(tmp_path), Recent.create(1 << 20)
    process = WebProcess(settings, recent=recent)
    with Archive.open(settings=settings, recent=recent) as archive:
        one, other, unread = [archive.identify(archive.store(encoded(mr_object())).sop_instance_uid) for _ in range(3)]
        frame = archive.image(unread).native(1)  # all three have the same pixels
        for identity in (one, other):
            archive.fetch_encoded(identity.sop_instance_uid)
        damage_payloads(tmp_path)
        process.start()
        try:

            def get(identity, path="", headers=FRAME):
                series = f"/studies/{identity.study_instance_uid}/series/{identity.series_instance_uid}"
                address = f"http://127.0.0.1:{process.port}{ROOT}{series}"
                return requests.get(address + path, headers=headers, timeout=60)

            def frame_of(identity):
                return get(identity, f"/instances/{identity.sop_instance_uid}/frames/1")

            for _ in range(2):
                assert frame_of(one).content == frame
                assert archive.fetch_encoded(one.sop_instance_uid).dataset in get(one, headers=FILES).content
                assert frame_of(unread).status_code == 500
                os.kill(process._process.pid, signal.SIGKILL)
            archive.delete(instance=other.sop_instance_uid)
            assert frame_of(other).status_code == get(other, headers=FILES).status_code == 404
            assert frame_of(one).content == frame
        finally:
            process.stop()

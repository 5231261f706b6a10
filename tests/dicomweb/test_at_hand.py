"""Instances at hand, shared by the node's process and the web process: over deaths and deletions."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing

import pytest
import requests
from starlette.testclient import TestClient

from mripacs import Archive
from mripacs.dicomweb import frames
from mripacs.dicomweb.app import build
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


@pytest.mark.parametrize("change", ["deleted", "replaced"])
def test_a_frame_at_hand_needs_no_thread_and_is_never_an_old_one(tmp_path, monkeypatch, change):
    """It is answered on the event loop; what another opening of the archive changed is seen by the next request."""
    settings, recent, threads = settings_of(tmp_path, archive={"on_conflict": "replace"}), Recent.create(1 << 20), []

    async def in_thread(function, *args):
        threads.append(function)
        return function(*args)

    monkeypatch.setattr(frames, "in_thread", in_thread)
    first, other = mr_object(), mr_object()
    with Archive.open(settings=settings, recent=recent) as archive, Archive.open(settings=settings) as another:
        identity = archive.identify(archive.store(encoded(first)).original_sop_instance_uid)
        series = f"/studies/{identity.study_instance_uid}/series/{identity.series_instance_uid}"
        path = f"{ROOT}{series}/instances/{identity.original_sop_instance_uid}/frames/1"
        with TestClient(build(archive, settings), base_url="http://localhost") as client:
            before = [client.get(path, headers=FRAME).content for _ in range(3)]
            assert len(threads) == 1  # the first: it was decoded
            assert len(set(before)) == 1
            if change == "deleted":
                another.delete(instance=identity.sop_instance_uid)
                assert client.get(path, headers=FRAME).status_code == 404
                return
            for uid in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
                setattr(other, uid, getattr(first, uid))
            other.PixelData = other.PixelData[::-1]
            another.store(encoded(other))
            after = client.get(path, headers=FRAME).content
            assert after == another.image(identity.original_sop_instance_uid).native(1) != before[0]

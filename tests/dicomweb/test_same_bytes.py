"""The same bytes under the same UID, kept by another policy: what is said of them follows what is given out."""

from __future__ import annotations

import pytest

from mripacs import Archive
from mripacs.core.model import ReceivedObject
from tests.dicomweb.conftest import LOSSLESS, ROOT, in_process, settings_of
from tests.e2e.objects import encoded, mr_object

LOSSY = {"rules": [{"name": "lossy", "keep": "kwavelet", "rel_error": 0.05}]}
OTHER_BOUND = {"rules": [{"name": "lossy", "keep": "kwavelet", "rel_error": 0.05001}]}  # which gives the same pixels
KEEP = {"identity": "keep"}
WISH = {"Accept": "application/dicom, application/dicom+json"}
MARK = "00282110"  # Lossy Image Compression
RATIO = "00282112"
METHOD = "00282114"


@pytest.fixture
def sent() -> ReceivedObject:
    received = mr_object()
    uids = str(received.SOPClassUID), str(received.SOPInstanceUID)
    return ReceivedObject(encoded(received), "1.2.840.10008.1.2.1", *uids, "C-STORE")


def path_of(archive: Archive, uid: str) -> str:
    found = archive.identify(uid)
    return f"{ROOT}/studies/{found.study_instance_uid}/series/{found.series_instance_uid}/instances/{uid}"


def store_again(folder, policy: dict, sent: ReceivedObject) -> None:
    """By another process, as far as the door can see: its caches are told nothing."""
    with Archive.open(settings=settings_of(folder, policy, KEEP)) as other:
        other.delete(instance=sent.sop_instance_uid)
        other.store(sent)


def test_metadata_tell_of_the_loss(tmp_path, sent):
    with in_process(settings_of(tmp_path, LOSSLESS, KEEP)) as client:
        client.archive.store(sent)
        url = f"{path_of(client.archive, sent.sop_instance_uid)}/metadata"
        before = client.get(url)
        assert MARK not in before.json()[0]
        store_again(tmp_path, LOSSY, sent)
        (model,) = client.get(url).json()
        assert (model[MARK]["Value"], METHOD in model) == (["01"], True)
        assert model[RATIO]["Value"] == [float(client.archive.fetch(sent.sop_instance_uid).LossyImageCompressionRatio)]


@pytest.mark.parametrize("suffix", ["", "/metadata"])
def test_what_a_client_has_is_not_fresh_any_more(tmp_path, sent, suffix):
    """The tag follows from what the policy made of the bytes, though received bytes and pixels are the same."""
    with in_process(settings_of(tmp_path, LOSSY, KEEP)) as client:
        client.archive.store(sent)
        before = client.archive.identify(sent.sop_instance_uid).certificate
        url = path_of(client.archive, sent.sop_instance_uid) + suffix
        had = client.get(url, headers=WISH)
        store_again(tmp_path, OTHER_BOUND, sent)
        after = client.archive.identify(sent.sop_instance_uid).certificate
        assert (after.decoded_pixel_digest, after.target) == (before.decoded_pixel_digest, "rel_error=0.05001")
        now = client.get(url, headers=WISH | {"If-None-Match": had.headers["etag"]})
        assert now.status_code == 200
        assert now.content != had.content


def test_a_repacked_instance_keeps_its_tags(tmp_path, filled):
    """Another payload of the same pixels and marks: what clients hold is what they would get."""
    with in_process(settings_of(tmp_path, LOSSY)) as client:
        receipt = client.archive.store(filled.files[filled.lossy().original_sop_instance_uid])
        url = path_of(client.archive, receipt.sop_instance_uid)
        before = client.get(url, headers=WISH)
        (saved,) = client.archive.repack()
        assert saved.after < saved.before
        assert client.archive.identify(receipt.sop_instance_uid).certificate != receipt.certificate
        after = client.get(url, headers=WISH)
        assert (after.headers["etag"], after.content) == (before.headers["etag"], before.content)

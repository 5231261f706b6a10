"""Lists of frames (PS3.18 10.4.1.1.6): one that is not there is found before the answer begins."""

from __future__ import annotations

import pytest
from pydicom import FileMetaDataset
from pydicom.uid import UID, EnhancedMRImageStorage

from mripacs.dicomweb import frames
from tests.dicomweb.conftest import LOSSLESS, Filled, in_process, settings_of
from tests.e2e.objects import mr_object, smooth_image

EXPLICIT, LS, J2K = (f"1.2.840.10008.1.2{suffix}" for suffix in (".1", ".4.80", ".4.90"))


@pytest.fixture(scope="module")
def several_frames(tmp_path_factory):
    """A client, and the path of an object of two frames that came as JPEG-LS."""
    sent = mr_object(SOPClassUID=EnhancedMRImageStorage, NumberOfFrames=2, PixelData=smooth_image().tobytes() * 2)
    sent.file_meta = FileMetaDataset()
    sent.file_meta.TransferSyntaxUID = UID(EXPLICIT)
    sent.compress(UID(LS), generate_instance_uid=False)
    folder = tmp_path_factory.mktemp("several")
    with in_process(settings_of(folder, LOSSLESS)) as client:
        client.archive.store(sent)
        (identity,) = client.archive
        yield client, Filled(folder).path(identity)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    ("wish", "rendered"),
    [
        (f"*/*; transfer-syntax={EXPLICIT}", ""),
        (f"image/jls; transfer-syntax={LS}", ""),
        (f"image/jp2; transfer-syntax={J2K}", ""),
        ("image/png", "/rendered"),
    ],
)
def test_a_list_with_a_frame_that_is_not_there(several_frames, monkeypatch, wish, rendered, large):
    """Refused before the answer begins, however large it is: natively, as received, coded anew and drawn."""
    if large:
        monkeypatch.setattr(frames, "WHOLE_BYTES", 0)
    client, path = several_frames
    assert client.get(f"{path}/frames/2,1{rendered}", headers={"Accept": wish}).status_code == 200
    for numbers in ("1,9", "9,1", "1,2,3"):
        answer = client.get(f"{path}/frames/{numbers}{rendered}", headers={"Accept": wish})
        assert answer.status_code == 404, numbers
        assert "has 2 frames" in answer.json()["detail"]

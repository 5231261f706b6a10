"""An archive with every kind of instance, and the door over it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom.uid import generate_uid
from starlette.testclient import TestClient

import mripacs
from mripacs.archive import Archive
from mripacs.core.settings import load_settings
from mripacs.dicomweb import app as web
from tests.e2e.objects import encoded, mr_object, object_without_pixels, smooth_image

HOSTILE = "<script>alert('x')</script>^\"onload=alert(1) x=\"&{{7*7}}"
KEY_OBJECT = "1.2.840.10008.5.1.4.1.1.88.59"
FROM_OUR_PAGE = {"Sec-Fetch-Site": "same-origin"}


@dataclass
class Filled:
    """An archive and the UIDs of what is in it, as served."""

    archive: Archive
    uids: dict[str, str] = field(default_factory=dict)
    study: str = ""

    def add(self, name: str, **changes: object) -> None:
        self.uids[name] = self.archive.store(encoded(mr_object(**changes))).sop_instance_uid


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Filled:
    """One study of a hostile patient with a lossy, a lossless and a multi-frame image, colour and a key object."""
    flags = {"archive": {"directory": tmp_path_factory.mktemp("filled")}}
    with mripacs.Archive.open(settings=load_settings(flags=flags, environment={})) as archive:
        found = Filled(archive, study=generate_uid())
        common = {
            "PatientName": HOSTILE,
            "StudyInstanceUID": found.study,
            "SeriesInstanceUID": generate_uid(),
            "StudyDescription": "<b>HEAD</b>",
            "SeriesDescription": "<i>AX</i>",
            "Manufacturer": "ACME <img src=x>",
        }
        found.add("lossy", **common, InstanceNumber=1)
        found.add("lossless", **common, InstanceNumber=2, ImageType=["ORIGINAL", "PRIMARY", "PHASE MAP"])
        frames = b"".join((smooth_image() + 10 * number).astype("<u2").tobytes() for number in range(3))
        found.add("frames", **common, InstanceNumber=3, NumberOfFrames=3, PixelData=frames)
        colour = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
        depth = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelData": bytes(range(256)) * 15}
        found.add("colour", **common, InstanceNumber=4, **colour, **depth)
        key_object = encoded(object_without_pixels(KEY_OBJECT, StudyInstanceUID=found.study, Modality="KO"))
        found.uids["key object"] = archive.store(key_object).sop_instance_uid
        yield found


@pytest.fixture(scope="module")
def door(filled: Filled) -> TestClient:
    """The door, as a browser sees it that is on one of its pages."""
    app = web.build(filled.archive, filled.archive.settings)
    return TestClient(app, base_url="http://127.0.0.1", headers=FROM_OUR_PAGE)


@pytest.fixture(scope="session")
def brain_files(shared_data: Path) -> list[Path]:
    """22 slices of a head, 256 x 256, with a window that shows them."""
    folder = shared_data / "train" / "neurolabusc__dcm_qa_philips_enh" / "In" / "cl"
    return sorted(folder.glob("1301_00[6-9]*.dcm"))[:22]

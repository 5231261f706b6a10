"""DELETE while others read: they get all of an instance or are told that it is not there."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from mripacs import Archive
from mripacs.dicomweb.app import build
from tests.dicomweb.conftest import LOSSLESS, ROOT, settings_of
from tests.e2e.objects import encoded, mr_object
from tests.faults.injection.sender import received

INSTANCES = 24
STUDY, SERIES = "1.2.3", "1.2.3.4"
FORMS = {
    "instance": ("", 'multipart/related; type="application/dicom"'),
    "metadata": ("/metadata", "application/dicom+json"),
    "frame": ("/frames/1", "application/octet-stream"),
}


@pytest.fixture
def archive(tmp_path):
    settings = settings_of(tmp_path / "archive", LOSSLESS, allow_delete=True)
    with Archive.open(settings=settings) as opened:
        yield opened


def test_deletions_by_the_door_itself_while_others_read(archive):
    objects = [mr_object(StudyInstanceUID=STUDY, SeriesInstanceUID=SERIES) for _ in range(INSTANCES)]
    for each in objects:
        archive.store(received(each))
    app = build(archive, archive.settings)
    paths = {f"{ROOT}/studies/{STUDY}/series/{SERIES}/instances/{each.SOPInstanceUID}": each for each in objects}
    ended = threading.Event()

    def read(form: str) -> list[int]:
        """Statuses; whatever came with 200 is whole."""
        suffix, accept = FORMS[form]
        seen = []
        with TestClient(app, base_url="http://127.0.0.1") as client:
            while not ended.is_set():
                for path, each in paths.items():
                    answer = client.get(path + suffix, headers={"Accept": accept})
                    seen.append(answer.status_code)
                    if answer.status_code == 200:
                        assert whole(form, answer.content, each)
        return seen

    def delete() -> list[int]:
        with TestClient(app, base_url="http://127.0.0.1") as client:
            return [client.delete(path).status_code for path in paths]

    with ThreadPoolExecutor(len(FORMS) + 2) as threads:
        readers = [threads.submit(read, form) for form in FORMS]
        try:
            deletions = [each.result(120) for each in [threads.submit(delete) for _ in range(2)]]
        finally:
            ended.set()
        statuses = [each.result(120) for each in readers]
    assert [sorted(each) for each in zip(*deletions, strict=True)] == [[204, 404]] * INSTANCES
    assert all(set(each) <= {200, 404} for each in statuses), [set(each) for each in statuses]
    assert all(each[-1] == 404 for each in statuses)
    assert archive.statistics().instances == 0


def whole(form: str, content: bytes, sent) -> bool:
    return {
        "instance": encoded(sent) in content,
        "metadata": sent.SOPInstanceUID.encode() in content,
        "frame": content == sent.PixelData,
    }[form]

"""Small pictures in lists: previews that say that they are, and the rendered frame where there is none."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from pydicom.uid import generate_uid
from starlette.testclient import TestClient

from mripacs.archive import Archive
from mripacs.core.settings import load_settings
from mripacs.dicomweb import app as web
from mripacs.dicomweb.page.thumbnails import Thumbnail, of_instances, of_series, of_studies
from mripacs.models import making, model_file
from mripacs.previews import activate_shipped
from tests.e2e.objects import encoded, mr_object, smooth_image
from tests.page.conftest import FROM_OUR_PAGE
from tests.page.test_pages import Page


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    flags = {"archive": {"directory": tmp_path_factory.mktemp("previews")}, "preview": {"codec": "off"}}
    with Archive.open(settings=load_settings(flags=flags, environment={})) as archive:
        yield archive


@pytest.fixture(scope="module")
def uids(archive) -> list[str]:
    """A series of three instances: the middle one has a preview, the last one a preview of nothing."""
    common = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    stored = [archive.store(encoded(mr_object(**common, InstanceNumber=number))) for number in (1, 2, 3)]
    uids = [each.sop_instance_uid for each in stored]
    version = activate_shipped(archive._store)
    data = making.make(smooth_image(), model_file.default(), "sae", 400)
    archive.models.save_preview(uids[1], version, data)
    archive.models.save_preview(uids[2], version, b"")
    return uids


@pytest.fixture(scope="module")
def door(archive) -> TestClient:
    return TestClient(web.build(archive, archive.settings), base_url="http://127.0.0.1", headers=FROM_OUR_PAGE)


def test_what_stands_for_what(archive, uids) -> None:
    preview = Thumbnail(f"/instances/{uids[1]}/preview.png", preview=True)
    assert of_instances(archive, uids) == {
        uids[0]: Thumbnail(f"/instances/{uids[0]}/thumbnail.png", preview=False),
        uids[1]: preview,
        uids[2]: Thumbnail(f"/instances/{uids[2]}/thumbnail.png", preview=False),
    }
    identity = archive.identify(uids[0])
    study, series = identity.study_instance_uid, identity.series_instance_uid
    assert of_studies(archive, [study]) == {study: preview}
    assert of_series(archive, study, [series]) == {series: preview}


def test_where_nothing_is_stored_there_is_a_path_to_nothing(archive, door) -> None:
    assert of_studies(archive, ["1.2.3"]) == {"1.2.3": Thumbnail("/studies/1.2.3/thumbnail.png", preview=False)}
    assert door.get("/node/studies/1.2.3/thumbnail.png").status_code == 404
    assert of_instances(archive, []) == {}


def test_lists_show_previews_and_say_so(archive, door, uids) -> None:
    identity = archive.identify(uids[0])
    study = f"/node/studies/{identity.study_instance_uid}"
    for path, pictures in (("/node/studies", 1), (study, 1), (f"{study}/series/{identity.series_instance_uid}", 3)):
        page = Page(door.get(path).text)
        shown = [attributes["src"] for tag, attributes in page.tags if tag == "img" and attributes.get("loading")]
        assert len(shown) == pictures
        assert f"/node/instances/{uids[1]}/preview.png" in shown
        assert page.text.count("preview") == 1
        assert all(door.get(source).headers["content-type"] == "image/png" for source in shown)


def test_the_preview_as_a_picture(door, uids) -> None:
    answer = door.get(f"/node/instances/{uids[1]}/preview.png")
    picture = Image.open(io.BytesIO(answer.content))
    assert picture.text == {"Title": "preview"}
    assert max(picture.size) <= 128
    assert "max-age=60" in answer.headers["cache-control"]
    for uid in (uids[0], uids[2], "1.2.3"):
        assert door.get(f"/node/instances/{uid}/preview.png").status_code == 404

"""The pages as they are sent: what they say, whom they trust, and what they never contain."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from mripacs.dicomweb.page import words
from mripacs.dicomweb.page.charts import Histogram, Lines
from mripacs.dicomweb.page.comparison import BOUNDS
from tests.e2e.objects import COLUMNS, ROWS, smooth_image

VOID = {"meta", "link", "img", "input", "br", "rect", "path", "line"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; fails where a tag is closed that is not open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        while self.open and self.open[-1] in {"li", "dt", "dd", "p"} and self.open[-1] != tag:
            self.open.pop()
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def paths(filled) -> list[str]:
    """Every page there is."""
    series = filled.archive.identify(filled.uids["lossy"]).series_instance_uid
    instances = [f"/node/instances/{uid}" for uid in filled.uids.values()]
    study = f"/node/studies/{filled.study}"
    return [
        "/node/studies",
        study,
        f"{study}/series/{series}",
        *instances,
        "/node/storage",
        "/node/health",
        "/node/login",
    ]


def test_every_page_is_whole_closed_to_others_and_says_what_is_hostile_as_text(door, filled):
    for path in paths(filled):
        answer = door.get(path)
        assert answer.status_code == 200, path
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        page = Page(answer.text)
        for tag, attributes in page.tags:
            assert not [name for name in attributes if name.startswith("on") or name == "style"], (
                path,
                tag,
                attributes,
            )
            assert tag not in {"style", "iframe", "b", "i"}, path
            assert tag != "script" or attributes["src"].startswith("/node/static/"), path
            for name in ("src", "href", "action"):
                assert attributes.get(name, "/").startswith(("/", "?", "#")), (path, attributes)
        assert "{{" not in page.text.replace("{{7*7}}", "")


def test_a_hostile_name_is_shown_as_it_is(door):
    assert "<script>alert('x')</script>" in Page(door.get("/node/studies").text).text
    assert "alert('x')</script>" not in door.get("/node/studies").text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("patient=script", True),
        ("patient=nobody", False),
        ("id=MADE", True),
        ("id=47", False),
        ("description=HEAD", True),
        ("modality=mr", True),
        ("modality=CT", False),
        ("from=2020-01-01&to=2020-12-31", True),
        ("from=2021-01-01", False),
        ("to=2019-12-31", False),
    ],
)
def test_search(query, found, door, filled):
    text = door.get(f"/node/studies?{query}").text
    assert (filled.study in text) is found
    assert ("No study matches" in text) is not found


def test_a_search_that_cannot_be_understood_is_explained(door):
    answer = door.get("/node/studies?from=yesterday")
    assert answer.status_code == 400
    assert "StudyDate" in Page(answer.text).text


def test_the_certificate_of_a_lossy_instance(door, filled):
    certificate = filled.archive.identify(filled.uids["lossy"]).certificate
    text = Page(door.get(f"/node/instances/{filled.uids['lossy']}").text).text
    assert certificate.decoded_pixel_digest in text
    assert certificate.received_digest in text
    assert words.percent(certificate.worst.rel_error) in text
    assert "no error map to draw" in text
    assert f"{certificate.worst.step:.2f}" in text


def test_a_lossless_instance_is_compared_with_what_the_codec_would_give(door, filled):
    uid = filled.uids["lossless"]
    small, large = (Page(door.get(f"/node/instances/{uid}?bound={bound}").text).text for bound in ("0.01", "0.1"))
    errors = [float(re.search(r"Relative error ([\d.]+)", text)[1]) for text in (small, large)]
    assert 0 < errors[0] <= 1
    assert errors[0] < errors[1] <= 10
    assert "K-wavelet at 10" in large


def test_instances_without_pixels_or_with_colour_say_so(door, filled):
    assert "No picture" in Page(door.get(f"/node/instances/{filled.uids['key object']}").text).text
    colour = Page(door.get(f"/node/instances/{filled.uids['colour']}").text).text
    assert "Generation proof" not in colour
    assert door.post(f"/node/instances/{filled.uids['colour']}").status_code == 400


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/node/instances/1.2.3", 404),
        ("/node/instances/..%2F..", 404),
        ("/node/instances/<script>", 400),
        ("/node/studies/1.2.3", 404),
        ("/node/studies/1.2.3/thumbnail.png", 404),
        ("/node/nothing", 404),
        ("/node/static/../page/session.py", 404),
        ("/node/static/%2e%2e/routes.py", 404),
    ],
)
def test_what_is_not_there(path, status, door):
    answer = door.get(path)
    assert answer.status_code == status
    assert "<script>" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("rest", "status"),
    [("frames/0.png", 404), ("frames/4.png", 404), ("frames/x.png", 400), ("frames/1/error.png?bound=0.3", 400)],
)
def test_frames_that_are_not_there(rest, status, door, filled):
    assert door.get(f"/node/instances/{filled.uids['frames']}/{rest}").status_code == status


def picture(door, path: str) -> np.ndarray:
    answer = door.get(path)
    assert answer.status_code == 200, path
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.content))).astype(int)


def test_a_slice_is_drawn_as_it_is(door, filled):
    drawn = picture(door, f"/node/instances/{filled.uids['lossless']}/frames/1.png")
    assert drawn.shape == (ROWS, COLUMNS)
    assert np.corrcoef(drawn.ravel(), smooth_image().ravel())[0, 1] > 0.999
    assert (drawn.min(), drawn.max()) == (0, 255)


def test_an_error_map_shows_signs_and_places(door, filled):
    uid = filled.uids["lossless"]
    drawn = picture(door, f"/node/instances/{uid}/frames/1/error.png?bound=0.1")
    before = filled.archive.image(uid).frame(1)
    error = filled.archive.generations(before, 0.1, 1).pixels.astype(int) - before
    largest = np.abs(error).max()
    assert (drawn[error == 0] == 0).all()
    assert (drawn.sum(axis=2)[np.abs(error) == largest] > 255).all()
    clear = np.abs(error) > largest / 10
    assert ((drawn[..., 0] > drawn[..., 2]) == (error > 0))[clear].all()


def test_thumbnails(door, filled):
    series = filled.archive.identify(filled.uids["lossy"]).series_instance_uid
    for path in (
        f"studies/{filled.study}",
        f"studies/{filled.study}/series/{series}",
        f"instances/{filled.uids['colour']}",
    ):
        drawn = picture(door, f"/node/{path}/thumbnail.png")
        assert max(drawn.shape[:2]) <= 160


def test_the_proof_of_a_lossy_instance(door, filled):
    text = Page(door.post(f"/node/instances/{filled.uids['lossy']}").text).text
    assert "Identical: encoding the stored pixels 5 times more changes nothing." in text
    digest = filled.archive.identify(filled.uids["lossy"]).certificate.decoded_pixel_digest
    assert text.count(digest[:16]) >= 5


def test_the_proof_of_a_lossless_instance_loses_once(door, filled):
    text = Page(door.post(f"/node/instances/{filled.uids['lossless']}").text).text
    assert "Lost once, never again" in text


def test_the_proof_is_of_the_frame_asked_for(door, filled):
    answer = door.post(f"/node/instances/{filled.uids['frames']}?frame=3")
    assert "frame 3 of 3" in answer.text
    assert door.post(f"/node/instances/{filled.uids['frames']}?frame=4").status_code == 404


def test_storage_agrees_with_the_statistics(door, filled):
    totals = filled.archive.statistics()
    text = Page(door.get("/node/storage").text).text
    assert words.size(totals.received_bytes) in text
    assert words.size(totals.payload_bytes + totals.header_bytes + totals.reference_bytes) in text
    assert "ACME <img src=x>" in text


def test_the_start_leads_to_the_studies(door):
    for path in ("/", "/node", "/node/"):
        assert door.get(path).url.path == "/node/studies"


# --- values and charts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Doe^John^^Dr", "Doe, John Dr"),
        ("", "(no name)"),
        ("^^^", "(no name)"),
        ("=山田^太郎", "山田, 太郎"),
        ("Solo", "Solo"),
    ],
)
def test_names(name, shown):
    assert words.person(name) == shown


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (812, "812 B"), (4321, "4.32 kB"), (123456, "123 kB"), (1.5e12, "1.5 TB")]
)
def test_sizes(count, shown):
    assert words.size(count).replace("\N{NO-BREAK SPACE}", " ") == shown


@pytest.mark.parametrize("reach", [0, 1, 7, 30, 31, 200, 40000])
def test_a_histogram_counts_every_pixel(reach):
    error = np.random.default_rng(1).integers(-reach, reach + 1, (64, 64))
    error[0, 0], error[0, 1] = -reach, reach
    found = Histogram.of(error)
    counts = [int(re.search(r": (\d+) pixels", bar.label)[1]) for bar in found.bars]
    assert sum(counts) == error.size
    assert found.low <= -reach
    assert found.high >= reach
    assert found.low == -found.high
    assert found.unchanged == np.mean(error == 0)
    assert len(found.bars) <= 64


def test_lines_stay_inside_their_box():
    lines = Lines.of([0, 3, 40], [0, 1, 2])
    numbers = [float(number) for path in lines.paths for number in re.findall(r"[\d.]+", path)]
    assert min(numbers) >= 0
    assert max(numbers) <= 100
    assert [tick.value for tick in lines.ticks] == [0, 10, 20, 30, 40]
    assert Lines.of([0]).ticks


def test_bounds_are_what_the_query_takes(door, filled):
    for bound in BOUNDS:
        assert door.get(f"/node/instances/{filled.uids['lossless']}?bound={bound:g}").status_code == 200
    assert door.get(f"/node/instances/{filled.uids['lossless']}?bound=7").status_code == 400

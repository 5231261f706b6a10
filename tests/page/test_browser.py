"""The pages and OHIF in Chromium, against a node as its users start it. SCREENSHOTS=folder keeps the pictures."""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Request, sync_playwright
from pydicom import dcmread

from mripacs.core.errors import ViewerError
from mripacs.dicomweb import viewer_build
from tests import real_parts
from tests.e2e.node_process import NodeProcess, run_mripacs
from tests.e2e.objects import mr_object, written
from tests.page.conftest import HOSTILE

pytestmark = pytest.mark.browser

FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
DESKTOP, PHONE = (1280, 860), (390, 844)
VIEWER_S = 180  # OHIF compiles 10 MB of scripts and draws in software
SLICES = 20
LIKENESS = 0.98  # correlation of the viewport with the frame; neighbouring slices have 0.960 to 0.970 among them
BRAIN_IS_LOSSY = """
[[policy.rules]]
name = "brain"
keep = "kwavelet"
rel_error = 0.05
when = { series_description = ["*MPRAGE*"] }
"""
OVERLAY = re.compile(r"I:\s*(\d+)\s*\((\d+)/(\d+)\)")  # Instance Number, place, number of slices


@dataclass
class Served:
    """A running node with the viewer, and what was stored in it."""

    url: str
    brain: dict[int, np.ndarray] = field(default_factory=dict)  # windowed frames by Instance Number, 0 to 1


@pytest.fixture(scope="module")
def served(tmp_path_factory, brain_files) -> Iterator[Served]:
    try:
        viewer_build.ensure()
    except ViewerError as error:
        real_parts.lacking("OHIF's build", str(error))
    folder = tmp_path_factory.mktemp("served")
    for path in brain_files:
        shutil.copy(path, folder)
    quantitative = ["ORIGINAL", "PRIMARY", "PHASE MAP"]
    written(mr_object(PatientName=HOSTILE, ImageType=quantitative, StudyDate="20210101"), folder / "hostile.dcm")
    port_file = folder / "web-port"
    arguments = ("--viewer", "--web-port", "0", "--web-port-file", str(port_file))
    node = NodeProcess(folder / "node", config=BRAIN_IS_LOSSY, arguments=arguments)
    (folder / "mripacs.toml").write_text(BRAIN_IS_LOSSY)
    options = ("--config", folder / "mripacs.toml", "--directory", node.archive)
    stored = run_mripacs(*options, "import", *folder.glob("*.dcm"), timeout_s=900)  # may compile the codec first
    assert stored.returncode == 0, stored.stderr
    node.start()
    try:
        yield Served(f"http://127.0.0.1:{port_file.read_text().strip()}", dict(map(windowed, brain_files)))
    finally:
        node.stop()


def windowed(path: Path) -> tuple[int, np.ndarray]:
    """Instance Number and a frame through its own window (PS3.3 C.11.2.1.2), 0 to 1."""
    dataset = dcmread(path)
    values = dataset.pixel_array * float(dataset.get("RescaleSlope", 1)) + float(dataset.get("RescaleIntercept", 0))
    center, width = float(dataset.WindowCenter), float(dataset.WindowWidth)
    return int(dataset.InstanceNumber), np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = real_parts.program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Tab:
    """A tab, and everything in it that went wrong or left this origin."""

    page: Page
    wrong: list[str] = field(default_factory=list)

    def watch(self, origin: str) -> None:
        self.page.on("console", lambda each: each.type == "error" and self.wrong.append(f"console: {each.text}"))
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("requestfailed", self._failed)
        self.page.on("response", lambda each: each.status >= 400 and self.wrong.append(f"{each.status}: {each.url}"))
        self.page.on("request", lambda each: self._check(each.url, origin))

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # a picture that was on its way when the page was left
            self.wrong.append(f"failed: {request.url} {request.failure}")

    def _check(self, url: str, origin: str) -> None:
        if not url.startswith((origin, "data:", "blob:")):
            self.wrong.append(f"left for {url}")


@pytest.fixture
def new_tab(chromium, served) -> Iterator[Any]:
    """`new_tab(size, theme)` is an empty tab; at the end nothing may have gone wrong in it."""
    tabs = []

    def make(size: tuple[int, int] = DESKTOP, theme: str = "light") -> Page:
        viewport = {"width": size[0], "height": size[1]}
        context = chromium.new_context(viewport=viewport, color_scheme=theme, base_url=served.url)
        tab = Tab(context.new_page())
        tab.watch(served.url)
        tabs.append(tab)
        return tab.page

    yield make
    wrong = [line for tab in tabs for line in tab.wrong]
    for tab in tabs:
        tab.page.context.close()
    assert wrong == []


@pytest.fixture
def shot(tmp_path):
    """`shot(page, name)` takes a picture of a whole page."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def take(page: Page, name: str) -> None:
        page.screenshot(path=folder / f"{name}.png", full_page=True)

    return take


PAGES = ("studies", "study", "series", "lossy", "lossless", "storage", "health")


def opened(page: Page, name: str) -> None:
    """Go to a page as people do, from the list on."""
    if name in ("storage", "health"):
        page.goto(f"/node/{name}")
    else:
        page.goto("/node/studies")
        if name != "studies":
            place = study_of_the_brain(page)
            follow(page, page.locator("a.main").nth(1 - place if name == "lossless" else place))
        for _ in range({"series": 1, "lossy": 2, "lossless": 2}.get(name, 0)):
            follow(page, page.locator("[data-walk] a.main").first)
    page.wait_for_load_state("networkidle")


def follow(page: Page, link: Locator) -> None:
    """Click it and wait for the page behind it: a click alone returns while the old page still takes keys."""
    with page.expect_navigation():
        link.click()


def study_of_the_brain(page: Page) -> int:
    """Its place in the list: the one that is not the hostile patient's."""
    names = page.locator("a.main").all_inner_texts()
    return next(place for place, name in enumerate(names) if "script" not in name)


@pytest.mark.parametrize(("size", "theme"), [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "dark"), (PHONE, "light")])
def test_every_page_in_every_form(size, theme, new_tab, shot):
    page = new_tab(size, theme)
    for name in PAGES:
        opened(page, name)
        shot(page, f"{name}-{'phone' if size == PHONE else 'desktop'}-{theme}")
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], f"{name} is wider than the screen"
        broken = "[...document.images].filter(i => i.complete && !i.naturalWidth && i.loading !== 'lazy').length"
        assert page.evaluate(broken) == 0, name


def luminance(page: Page) -> float:
    red, green, blue = map(int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor")))
    return (0.2 * red + 0.7 * green + 0.1 * blue) / 255


def test_the_theme_follows_the_system_until_it_is_chosen(new_tab):
    page = new_tab(theme="dark")
    page.goto("/node/studies")
    assert luminance(page) < 0.2
    page.click("#theme")
    assert luminance(page) > 0.8
    page.reload()
    assert luminance(page) > 0.8


def test_the_keyboard_is_enough(new_tab):
    page = new_tab()
    page.goto("/node/studies")
    page.keyboard.press("/")
    page.keyboard.type("alert")
    page.keyboard.press("Enter")
    page.wait_for_url("**patient=alert**")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/studies/*")
    page.keyboard.press("u")
    page.wait_for_url("**/node/studies")
    follow(page, page.locator("a.main").nth(study_of_the_brain(page)))
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/series/*")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/instances/*")
    first = page.url
    assert "Instance 2" in page.inner_text("h1")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(lambda url: url != first)
    assert "Instance 3" in page.inner_text("h1")


def test_a_hostile_name_is_text(new_tab):
    page = new_tab()
    dialogs = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.goto("/node/studies?patient=script")
    assert "<script>alert('x')</script>" in page.inner_text("main")
    assert dialogs == []


def test_the_proof_runs_on_demand(new_tab, shot):
    page = new_tab()
    opened(page, "lossy")
    page.click("text=Run the proof")
    page.wait_for_selector(".verdict.good", timeout=60_000)
    shot(page, "proof")
    assert page.inner_text("#proof").count("identical") == 10


# --- OHIF ----------------------------------------------------------------------------------------------------------


def test_ohif_from_list_to_image_in_one_click_and_through_20_slices(new_tab, served, shot):
    page = new_tab((1100, 760))
    page.goto("/")
    page.wait_for_selector("text=Study List", timeout=1000 * VIEWER_S)
    page.wait_for_selector("text=1-2 of 2", timeout=1000 * VIEWER_S)
    shot(page, "ohif-list")
    page.goto("/node/studies?from=2021-09-01")
    page.click("text=Open images")
    page.wait_for_selector("canvas.cornerstone-canvas", timeout=1000 * VIEWER_S)
    likeness = {}
    for place in range(1, SLICES + 1):
        number = at_place(page, place)
        likeness[number] = like(page, served.brain[number])
        shown = viewport(page, served.brain[number].shape)
        assert max(served.brain, key=lambda each: correlation(shown, served.brain[each])) == number
        if place < SLICES:
            scroll(page)
    shot(page, "ohif-image")
    assert len(likeness) == SLICES
    assert min(likeness.values()) > LIKENESS, likeness


def at_place(page: Page, place: int) -> int:
    """Wait until the overlay says that a slice is shown; gives its Instance Number."""
    end = time.monotonic() + VIEWER_S
    while time.monotonic() < end:
        shown = OVERLAY.search(page.inner_text("body"))
        if shown and int(shown[2]) == place:
            return int(shown[1])
        page.wait_for_timeout(50)
    raise AssertionError(f"slice {place} was never shown")


def scroll(page: Page) -> None:
    box = page.locator("canvas.cornerstone-canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, 100)


def like(page: Page, frame: np.ndarray) -> float:
    """Correlation of the viewport with a frame; the best within some seconds, for drawing comes after the overlay."""
    best = -1.0
    end = time.monotonic() + 20
    while best <= LIKENESS and time.monotonic() < end:
        best = max(best, correlation(viewport(page, frame.shape), frame))
        page.wait_for_timeout(50)
    return best


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0  # nothing is drawn yet
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def viewport(page: Page, shape: tuple[int, int]) -> np.ndarray:
    """What the canvas shows of a square image that fits into it, scaled to a frame's size."""
    url = page.evaluate("document.querySelector('canvas.cornerstone-canvas').toDataURL()")
    drawn = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("L")
    side = min(drawn.size)
    left, top = (drawn.width - side) // 2, (drawn.height - side) // 2
    square = drawn.crop((left, top, left + side, top + side))
    return np.asarray(square.resize(shape[::-1], Image.Resampling.BOX), float)

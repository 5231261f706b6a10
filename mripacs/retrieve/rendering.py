"""Frames as pictures: rescaled, windowed, cut out, fitted to a viewport (PS3.18 8.3.5)."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mripacs.core.errors import QueryError
from mripacs.dicom import scan
from mripacs.dicom.dictionary import tag_of
from mripacs.dicom.values import text_value
from mripacs.retrieve.images import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

LARGEST_SIDE = 4096  # pixels of a picture; a viewport beyond that is refused
FRAME_MS = 100  # of an animation
# What a window without Window Center shows: nearly all of the values, without the brightest and darkest few.
PERCENTILES = (0.5, 99.5)
TYPES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "image/jpeg": ("JPEG", {"quality": 90}),
    "image/png": ("PNG", {"compress_level": 3}),
    "image/webp": ("WEBP", {"quality": 90, "method": 2}),
    "image/gif": ("GIF", {}),
}
"""Media type -> Pillow's format and options; quality is the JPEG quality 1 to 100."""

Function = Literal["linear", "linear-exact", "sigmoid"]


@dataclass(frozen=True, slots=True)
class Window:
    """A VOI window in modality units (PS3.3 C.11.2.1.2)."""

    center: float
    width: float
    function: Function = "linear"


@dataclass(frozen=True, slots=True)
class Viewport:
    """Width and height of the picture, and the part of the frame that fills it (PS3.18 8.3.5.1.3)."""

    width: int
    height: int
    x: float = 0.0
    y: float = 0.0
    region_width: float | None = None  # negative: flipped; None: to the edge
    region_height: float | None = None


@dataclass(frozen=True, slots=True)
class Rendering:
    """How frames become a picture."""

    media_type: str = "image/jpeg"
    quality: int | None = None
    window: Window | None = None  # None: the image's own, else one from its values
    viewport: Viewport | None = None


def render(image: Image, numbers: Sequence[int], how: Rendering) -> bytes:
    """Frames, counted from 1, as one picture; several as an animation (GIF, WebP), else the first alone.

    Raises UnknownInstanceError for a frame that is not there, QueryError for a viewport that cannot be.
    """
    pictures = [_fitted(_picture(image, image.frame(number), how.window), how.viewport) for number in numbers]
    form, options = TYPES[how.media_type]
    if how.quality is not None and "quality" in options:
        options = {**options, "quality": how.quality}
    if len(pictures) > 1 and form in ("GIF", "WEBP"):
        options = {**options, "save_all": True, "append_images": pictures[1:], "duration": FRAME_MS, "loop": 0}
    written = io.BytesIO()
    pictures[0].save(written, form, **options)
    return written.getvalue()


def _picture(image: Image, frame: NDArray[Any], window: Window | None) -> Picture:
    from PIL import Image as Pictures  # noqa: PLC0415 - only where pictures are drawn

    if frame.ndim == 3:
        mode = "YCbCr" if image.description.photometric.startswith("YBR") else "RGB"
        return Pictures.fromarray(np.ascontiguousarray(frame), mode=mode).convert("RGB")
    values = _modality_values(image, frame)
    shades = _windowed(values, window or _own_window(image) or _window_of(values))
    if image.description.photometric == "MONOCHROME1":
        shades = 255 - shades
    return Pictures.fromarray(shades)


def _modality_values(image: Image, frame: NDArray[Any]) -> NDArray[np.float32]:
    """Stored values after Rescale Slope and Intercept of the data set (PS3.3 C.11.1)."""
    slope, intercept = _number(image, "RescaleSlope"), _number(image, "RescaleIntercept")
    values = frame.astype(np.float32)
    return values * np.float32(slope or 1.0) + np.float32(intercept or 0.0)


def _windowed(values: NDArray[np.float32], window: Window) -> NDArray[np.uint8]:
    """Shades 0 to 255 (PS3.3 C.11.2.1.2.1, C.11.2.1.3)."""
    center, width = window.center, window.width
    if window.function == "sigmoid":
        exponent = np.clip(-4 * (values - center) / width, -80, 80)
        shades = 255 / (1 + np.exp(exponent))
    elif window.function == "linear-exact":
        shades = ((values - center) / width + 0.5) * 255
    else:
        shades = ((values - (center - 0.5)) / max(width - 1, 1e-6) + 0.5) * 255
    clipped: NDArray[np.uint8] = np.clip(np.rint(shades), 0, 255).astype(np.uint8)
    return clipped


def _own_window(image: Image) -> Window | None:
    center, width = _number(image, "WindowCenter"), _number(image, "WindowWidth")
    return Window(center, width) if center is not None and width is not None and width >= 1 else None


def _window_of(values: NDArray[np.float32]) -> Window:
    low, high = (float(value) for value in np.percentile(values, PERCENTILES))
    if high <= low:
        low, high = float(values.min()), float(values.max())
    return Window((low + high) / 2, max(high - low, 1.0), "linear-exact")


def _number(image: Image, keyword: str) -> float | None:
    """The first value of a DS of the data set's top level; None where it has none that is a number."""
    header_map = scan.scan(image.header, image.header_syntax)
    try:
        number = float(text_value(image.header, header_map, tag_of(keyword)).split("\\")[0])
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _fitted(picture: Picture, viewport: Viewport | None) -> Picture:
    """The picture cut out and scaled into the viewport, its aspect ratio kept."""
    from PIL import Image as Pictures  # noqa: PLC0415 - as above

    if viewport is None:
        return picture
    if not (1 <= viewport.width <= LARGEST_SIDE and 1 <= viewport.height <= LARGEST_SIDE):
        raise QueryError(f"a viewport has 1 to {LARGEST_SIDE} pixels a side")
    picture = _cut_out(picture, viewport)
    scale = min(viewport.width / picture.width, viewport.height / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture if size == picture.size else picture.resize(size, Pictures.Resampling.BICUBIC, reducing_gap=2.0)


def _cut_out(picture: Picture, viewport: Viewport) -> Picture:
    from PIL import ImageOps  # noqa: PLC0415 - as above

    width = picture.width - viewport.x if viewport.region_width is None else viewport.region_width
    height = picture.height - viewport.y if viewport.region_height is None else viewport.region_height
    right, bottom = viewport.x + abs(width), viewport.y + abs(height)
    inside = 0 <= viewport.x < picture.width and 0 <= viewport.y < picture.height
    if not inside or right > picture.width or bottom > picture.height or abs(width) < 1 or abs(height) < 1:
        raise QueryError(f"the viewport's region is not inside the frame of {picture.width} x {picture.height}")
    if (width, height) != picture.size:
        picture = picture.crop((round(viewport.x), round(viewport.y), round(right), round(bottom)))
    picture = ImageOps.mirror(picture) if width < 0 else picture
    return ImageOps.flip(picture) if height < 0 else picture

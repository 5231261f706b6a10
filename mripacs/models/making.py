"""A preview by the codec that the settings name, and what it shows."""

from __future__ import annotations

import io
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from mripacs.core.errors import CodecInputError
from mripacs.models import codec, wavelet
from mripacs.models.codec import Decoded
from mripacs.models.model import PreviewModel
from mripacs.models.similarity import WINDOW, relative_error, ssim
from mripacs.models.square import to_square
from mripacs.models.threads import single_threaded

Codec = Literal["sae", "kwavelet", "auto"]
LABEL = "preview"
SSIM_SHARE = 0.5  # as in the training's loss


def make(pixels: NDArray[Any], model: PreviewModel, name: Codec, max_bytes: int) -> bytes:
    """A slice (rows, columns) of real numbers in at most `max_bytes` bytes. Raises CodecInputError."""
    with single_threaded():
        if name == "sae":
            return codec.encode(pixels, model, max_bytes)
        if name == "kwavelet":
            return wavelet.encode(pixels, max_bytes)
        return _better(pixels, model, max_bytes)


def show(data: bytes, model: PreviewModel) -> Decoded:
    """The picture that a preview of either codec holds. Raises PayloadError."""
    with single_threaded():
        return wavelet.decode(data) if codec_of(data) == "kwavelet" else codec.decode(data, model)


def codec_of(data: bytes) -> str:
    """The codec that made a preview."""
    return "kwavelet" if data[:1] == bytes([wavelet.MAGIC]) else "sae"


def to_png(grey: NDArray[np.uint8]) -> bytes:
    """A picture as a PNG that says what it is."""
    said = PngImagePlugin.PngInfo()
    said.add_text("Title", LABEL)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG", pnginfo=said)
    return file.getvalue()


def _better(pixels: NDArray[Any], model: PreviewModel, max_bytes: int) -> bytes:
    learned, wanted = codec.encode(pixels, model, max_bytes), to_square(pixels).pixels
    worst = relative_error(wanted, show(learned, model).picture)
    if not 0 < worst < 1:
        return learned
    try:
        waves = wavelet.encode(pixels, max_bytes, worst)  # without a network its SSIM is lower: the error must pay
    except CodecInputError:
        return learned
    return min((learned, waves), key=lambda data: _loss(wanted, show(data, model).picture))


def _loss(wanted: NDArray[np.float32], shown: NDArray[np.float32]) -> float:
    error = relative_error(wanted, shown)
    return error + SSIM_SHARE * (1 - ssim(wanted, shown)) if min(wanted.shape) >= WINDOW else error

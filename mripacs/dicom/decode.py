"""Encapsulated pixels through pydicom's decoders (gdcm, OpenJPEG, CharLS, RLE); the first plug-in that works."""

from __future__ import annotations

import logging
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder

from mripacs.core.errors import PixelDataError
from mripacs.dicom.codestream import codestream_size
from mripacs.dicom.transfer_syntax import RLE_LOSSLESS

if TYPE_CHECKING:
    from mripacs.dicom.pixels import PixelDescription

# What pydicom lets through for damaged fragments; whatever a plug-in raises it has made a RuntimeError already.
_DECODER_ERRORS = (ValueError, RuntimeError, LookupError, ArithmeticError, EOFError, StopIteration, struct.error)

# "" tries every plug-in that is installed. pylibjpeg-rle is never asked: damaged segments make it panic, and a panic of
# Rust passes every `except Exception` on its way up.
_PLUGINS = {RLE_LOSSLESS: "pydicom"}

_QUIET = threading.Lock()  # the warnings module's filters belong to the whole process


def decode_encapsulated(value: bytes, transfer_syntax: str, description: PixelDescription) -> NDArray[Any]:
    """All frames of an encapsulated pixel value (fragments, no delimiter), as stored, colour not converted.

    Returns words of `description.dtype`, colour by pixel. Raises PixelDataError when no decoder knows the syntax or
    none can decode the fragments to what the description says.
    """
    frames, _ = decode_with_properties(value, transfer_syntax, description, raw=True)
    if frames.dtype != description.dtype or frames.size * frames.itemsize != description.native_bytes:
        raise PixelDataError(
            f"decoded pixels are {frames.shape} {frames.dtype}, not {description.shape} {description.dtype}"
        )
    return frames


def decode_with_properties(
    value: bytes, transfer_syntax: str, description: PixelDescription, *, raw: bool
) -> tuple[NDArray[Any], dict[str, str | int]]:
    """The frames and pydicom's account of them; without `raw`, YBR becomes RGB and the account says so."""
    with _quiet():
        try:
            decoder = get_decoder(transfer_syntax)
            _check_sizes(value, description)
            plugin = _PLUGINS.get(transfer_syntax, "")
            return decoder.as_array(value, raw=raw, decoding_plugin=plugin, **_options(description))
        except _DECODER_ERRORS as error:
            raise PixelDataError(f"{transfer_syntax} cannot be decoded: {_first_line(error)}") from error


def _check_sizes(value: bytes, description: PixelDescription) -> None:
    """Refuse frames that announce another size than the header: decoders allocate what a codestream announces."""
    for number, frame in enumerate(generate_frames(value, number_of_frames=description.frames), 1):
        size = codestream_size(frame)
        if size not in (None, (description.rows, description.columns)):
            raise PixelDataError(f"frame {number} is {size} in its codestream, not as Rows and Columns say")


def _options(description: PixelDescription) -> dict[str, Any]:
    return {
        "rows": description.rows,
        "columns": description.columns,
        "number_of_frames": description.frames,
        "samples_per_pixel": description.samples,
        "bits_allocated": description.bits_allocated,
        "bits_stored": description.bits_stored,
        "pixel_representation": int(description.signed),
        "photometric_interpretation": description.photometric,
        "planar_configuration": description.planar_configuration,
        "pixel_keyword": "PixelData",
        "allow_excess_frames": False,
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings and no log lines of pydicom: what does not conform is reported by what comes of it."""
    logger = logging.getLogger("pydicom")
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = logger.level
        logger.setLevel(logging.CRITICAL + 1)  # its modules' loggers inherit the level, not `disabled`
        try:
            yield
        finally:
            logger.setLevel(before)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]

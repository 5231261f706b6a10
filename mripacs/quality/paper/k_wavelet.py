"""The study's own codec: the K largest float32 coefficients of a level-3 wavelet transform, and where they are.

The wavelet is not named; we take CDF 9/7 (JPEG 2000's), periodic, so that a 256 x 256 image has 256 x 256 coefficients
and an index of 16 bits, as equation 7 counts them.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pywt
from numpy.typing import NDArray

from mripacs.core.errors import CodecInputError, PayloadError
from mripacs.quality.measure import relative_error

WAVELET, MODE, LEVEL = "bior4.4", "periodization", 3
_HEAD = struct.Struct("<HHI")  # rows, columns, K
_MULTIPLE = 1 << LEVEL  # sides that a periodic transform of three levels halves evenly


@dataclass(frozen=True, slots=True)
class PaperKWavelet:
    """Keep the `k` largest coefficients of the whole transform."""

    k: int

    def encode(self, image: NDArray[Any]) -> bytes:
        """K values as float32 and K indices, after a head of 8 bytes.

        image : (rows, columns) of any number type, both sides multiples of 8. Raises CodecInputError otherwise.
        """
        coefficients = _transform(image)
        kept = np.sort(_largest(coefficients, self.k))
        values = coefficients.ravel()[kept].astype("<f4")
        indices = kept.astype(_index_type(image.shape))
        return _HEAD.pack(*image.shape, len(kept)) + values.tobytes() + indices.tobytes()

    @staticmethod
    def decode(payload: bytes) -> NDArray[np.float64]:
        """The image, not rounded. Raises PayloadError for bytes that `encode` did not make."""
        if len(payload) < _HEAD.size:
            raise PayloadError("no payload of paper-kwavelet")
        rows, columns, k = _HEAD.unpack_from(payload)
        index_type = np.dtype(_index_type((rows, columns)))
        if len(payload) != _HEAD.size + k * (4 + index_type.itemsize):
            raise PayloadError("no payload of paper-kwavelet")
        values = np.frombuffer(payload, "<f4", k, _HEAD.size)
        indices = np.frombuffer(payload, index_type, k, _HEAD.size + 4 * k)
        coefficients = np.zeros(rows * columns)
        coefficients[indices] = values
        return _inverse(coefficients.reshape(rows, columns))


def kept_map(image: NDArray[Any], k: int) -> NDArray[np.float64]:
    """The coefficients in the image's shape, coarsest top left, all but the k largest zero (Figure 9's features)."""
    coefficients = _transform(image)
    kept = np.zeros(coefficients.size)
    places = _largest(coefficients, k)
    kept[places] = coefficients.ravel()[places]
    return kept.reshape(coefficients.shape)


def from_map(coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """The image of a map of coefficients, not rounded."""
    return _inverse(coefficients)


def equation_7_bytes(k: int, side: int = 256) -> float:
    """S = K (32 + 2 log2 side) bits, in bytes: 18 000 for K = 3000; the study's text says 14.4 KB."""
    return k * (32 + 2 * math.log2(side)) / 8


def k_for_mean_error(images: Sequence[NDArray[Any]], target: float) -> int:
    """The smallest K whose relative error, averaged over the images, is at most `target` (section IV.B)."""
    low, high = 1, max(image.size for image in images)
    while low < high:
        middle = (low + high) // 2
        errors = [relative_error(image, PaperKWavelet.decode(PaperKWavelet(middle).encode(image))) for image in images]
        if sum(errors) / len(errors) <= target:
            high = middle
        else:
            low = middle + 1
    return low


def _transform(image: NDArray[Any]) -> NDArray[np.float64]:
    if image.ndim != 2 or any(side % _MULTIPLE or not side for side in image.shape):
        raise CodecInputError(f"sides must be multiples of {_MULTIPLE}, not {image.shape}")
    bands = pywt.wavedec2(image.astype(np.float64), WAVELET, MODE, LEVEL)
    packed: NDArray[np.float64] = pywt.coeffs_to_array(bands)[0]
    return packed


def _inverse(coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    slices = pywt.coeffs_to_array(pywt.wavedec2(np.zeros(coefficients.shape), WAVELET, MODE, LEVEL))[1]
    bands = pywt.array_to_coeffs(coefficients, slices, output_format="wavedec2")
    image: NDArray[np.float64] = pywt.waverec2(bands, WAVELET, MODE)
    return image


def _largest(coefficients: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Places of the k largest magnitudes; of equal ones the first, so that the choice never depends on the machine."""
    magnitudes = np.abs(coefficients.ravel().astype(np.float32))
    return np.argsort(-magnitudes, kind="stable")[:k]


def _index_type(shape: tuple[int, ...]) -> str:
    return "<u2" if shape[0] * shape[1] <= 1 << 16 else "<u4"

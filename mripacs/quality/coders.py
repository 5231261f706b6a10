"""The coders that are compared: this project's two efforts and what a PACS could use instead.

A coder has knobs, settings from the coarsest to the finest; the same knob always means the same setting. Peers code
unsigned words, so signed images are shifted by their minimum for them, which costs them nothing.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from mripacs import codec
from mripacs.core.errors import CodecError, CodecInputError, SettingsError

# What imagecodecs' functions raise for settings that an image does not take.
_CODEC_FAILURES = (RuntimeError, ValueError, OSError)


class Coder(Protocol):
    """A lossy image coder with one knob."""

    @property
    def name(self) -> str:
        """As figures and tables call it."""

    @property
    def knobs(self) -> Sequence[float]:
        """Settings from coarse to fine."""

    @property
    def knob_is_error(self) -> bool:
        """Whether the knob is the relative error itself, which needs no search and may be any number."""

    def encode(self, pixels: NDArray[Any], knob: float) -> bytes:
        """Code (rows, columns) of uint8, uint16 or int16. Raises CodecError where the setting does not apply."""

    def decode(self, payload: bytes, like: NDArray[Any]) -> NDArray[Any]:
        """The pixels as (rows, columns) int32. like : the image that was coded; its minimum and shape are known."""


@dataclass(frozen=True, slots=True)
class KWavelet:
    """Our codec at one effort."""

    effort: str
    knobs: Sequence[float] = tuple(0.3 * 2 ** (-i / 32) for i in range(240))
    knob_is_error: bool = True

    @property
    def name(self) -> str:
        """kwavelet, and the effort."""
        return f"kwavelet {self.effort}"

    def encode(self, pixels: NDArray[Any], knob: float) -> bytes:
        """At a relative error of `knob`."""
        return codec.encode(pixels, knob, effort=self.effort)

    def decode(self, payload: bytes, like: NDArray[Any]) -> NDArray[Any]:
        """By the payload alone."""
        del like
        return codec.decode(payload).astype(np.int32)


@dataclass(frozen=True, slots=True)
class Peer:
    """A codec of imagecodecs."""

    name: str
    encode_words: Callable[[NDArray[np.uint16], float], bytes | bytearray]
    decode_words: Callable[[bytes], NDArray[Any]]
    knobs: Sequence[float]
    knob_is_error: bool = False

    def encode(self, pixels: NDArray[Any], knob: float) -> bytes:
        """Shifted to unsigned words."""
        try:
            return bytes(self.encode_words(_words(pixels), knob))
        except _CODEC_FAILURES as error:
            raise CodecInputError(f"{self.name} at {knob:g}: {error}") from error

    def decode(self, payload: bytes, like: NDArray[Any]) -> NDArray[Any]:
        """Shifted back."""
        words = self.decode_words(payload)
        return words.reshape(like.shape).astype(np.int32) + _offset(like)


@dataclass(frozen=True, slots=True)
class Av1:
    """AV1 intra at 12 bits (libaom through ffmpeg, cpu-used 3): the smallest of the standard coders, and slow.

    Samples are scaled into 12 bits and back. The bytes are the bare frame, without the container's 44.
    """

    name: str = "av1"
    knobs: Sequence[float] = tuple(range(63, -1, -1))
    knob_is_error: bool = False

    def encode(self, pixels: NDArray[Any], knob: float) -> bytes:
        """At the constant rate factor `knob`."""
        words = _words(pixels)
        rows, columns = words.shape
        scaled = np.clip(np.rint(words * _av1_scale(words)), 0, 4095).astype("<u2")
        source = ["-f", "rawvideo", "-pix_fmt", "gray12le", "-s", f"{columns}x{rows}", "-i", "-", "-frames:v", "1"]
        coder = ["-c:v", "libaom-av1", "-cpu-used", "3", "-crf", f"{knob:.0f}", "-still-picture", "1", "-f", "ivf"]
        with tempfile.NamedTemporaryFile(suffix=".ivf") as file:
            _ffmpeg([*source, *coder, file.name], scaled.tobytes())
            return Path(file.name).read_bytes()[_IVF_BYTES:]

    def decode(self, payload: bytes, like: NDArray[Any]) -> NDArray[Any]:
        """Scaled back by what `like` says."""
        rows, columns = like.shape
        with tempfile.NamedTemporaryFile(suffix=".ivf") as file:
            Path(file.name).write_bytes(_ivf(payload, rows, columns))
            raw = _ffmpeg(["-i", file.name, "-f", "rawvideo", "-pix_fmt", "gray12le", "-"], b"")
        scaled = np.frombuffer(raw, "<u2").reshape(rows, columns)
        return np.rint(scaled / _av1_scale(_words(like))).astype(np.int32) + _offset(like)


def our_coders() -> list[Coder]:
    """Both efforts of kwavelet."""
    return [KWavelet("small"), KWavelet("fast")]


def peer_coders(*, av1: bool = False) -> list[Coder]:
    """The peers that imagecodecs has, and AV1 when asked for. Raises SettingsError for AV1 without ffmpeg."""
    if av1 and shutil.which("ffmpeg") is None:
        raise SettingsError("AV1 needs ffmpeg with libaom on the PATH: install it or leave AV1 out")
    return [*_PEERS, *([Av1()] if av1 else [])]


_PEERS: tuple[Coder, ...] = (
    Peer(
        "jpeg2000",
        lambda words, knob: imagecodecs.jpeg2k_encode(
            words,
            level=cast("int", knob),  # dB, and the stub is wrong: fractions count
            reversible=False,
            codecformat="j2k",
            resolutions=6,
        ),
        imagecodecs.jpeg2k_decode,
        tuple(20 + i / 4 for i in range(520)),  # PSNR in dB
    ),
    Peer(
        "htj2k",
        lambda words, knob: imagecodecs.htj2k_encode(words, level=knob, reversible=False),
        imagecodecs.htj2k_decode,
        tuple(2.0 ** (-i / 8) for i in range(176)),  # step of the quantiser
    ),
    Peer(
        "jpegxl",
        lambda words, knob: imagecodecs.jpegxl_encode(words, distance=knob, effort=7, bitspersample=16),
        imagecodecs.jpegxl_decode,
        tuple(25 * 2.0 ** (-i / 8) for i in range(110)),  # Butteraugli distance
    ),
    Peer(
        "jpegls-near",
        lambda words, knob: imagecodecs.jpegls_encode(words, level=int(knob)),
        imagecodecs.jpegls_decode,
        tuple(range(255, -1, -1)),  # largest error of a pixel
    ),
)
_IVF_BYTES = 44  # file header 32, frame header 12


def _offset(pixels: NDArray[Any]) -> int:
    return min(0, int(pixels.min()))


def _words(pixels: NDArray[Any]) -> NDArray[np.uint16]:
    return (pixels.astype(np.int32) - _offset(pixels)).astype(np.uint16)


def _av1_scale(words: NDArray[np.uint16]) -> float:
    """12 bits hold words up to 4095: smaller images are scaled by a power of two, larger ones into the range."""
    largest = max(1, int(words.max()))
    return 4095 / largest if largest > 4095 else 2.0 ** int(np.log2(4095 / largest))


def _ivf(payload: bytes, rows: int, columns: int) -> bytes:
    file_header = struct.pack("<4sHH4sHHIII4x", b"DKIF", 0, 32, b"AV01", columns, rows, 25, 1, 1)
    return file_header + struct.pack("<IQ", len(payload), 0) + payload


def _ffmpeg(arguments: list[str], data: bytes) -> bytes:
    done = subprocess.run(  # noqa: S603 - the arguments are ours
        ["ffmpeg", "-y", "-v", "error", *arguments],  # noqa: S607 - found on the PATH, as the user set it up
        input=data,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise CodecError(f"ffmpeg: {done.stderr.decode(errors='replace').strip()[-200:]}")
    return done.stdout

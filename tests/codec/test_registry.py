"""Codecs by name, and the module's own functions."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from mripacs import codec
from mripacs.codec.contract import Codec
from mripacs.codec.lossless import LosslessCodec
from mripacs.codec.registry import CodecRegistry, find
from mripacs.core.errors import CodecError, CodecInputError, PayloadError
from tests.codec.images import phantom


@pytest.mark.parametrize(("name", "version"), [("kwavelet", 2), ("lossless", 1)])
def test_shipped_codecs(name: str, version: int) -> None:
    assert isinstance(find(name), Codec)
    assert find(name) == find(name, 1)  # a codec reads what all versions before it wrote
    assert (find(name).name, find(name).version) == (name, version)


def test_unknown_codecs_name_what_is_there() -> None:
    with pytest.raises(CodecError, match="no codec nosuch; known are: kwavelet 2, lossless 1"):
        find("nosuch")
    with pytest.raises(CodecError, match="no codec kwavelet 99"):
        find("kwavelet", 99)


def test_two_claims_on_one_key_are_an_error() -> None:
    registry = CodecRegistry()
    registry.register(LosslessCodec())
    registry.register(LosslessCodec(version=2))
    with pytest.raises(CodecError, match="already registered"):
        registry.register(LosslessCodec())
    assert registry.find("lossless").version == 2


def test_functions_of_the_module() -> None:
    x = phantom(60)
    assert np.linalg.norm(codec.decode(codec.encode(x, 0.02)).astype(float) - x) <= 0.02 * np.linalg.norm(
        x.astype(float)
    )
    assert np.abs(codec.decode(codec.encode(x, max_error=9)).astype(int) - x).max() <= 9
    assert codec.decode(codec.encode(x, k=30)).shape == x.shape
    assert codec.decode(codec.encode(x, noise=0.5, effort="small")).shape == x.shape
    np.testing.assert_array_equal(codec.decode(codec.encode_lossless(x)), x)
    stack = np.stack([x, x // 2])
    assert codec.decode(codec.encode(stack)).shape == stack.shape
    np.testing.assert_array_equal(codec.decode(codec.encode_lossless(stack)), stack)


def test_two_targets_are_refused() -> None:
    with pytest.raises(CodecInputError, match="several targets"):
        codec.encode(phantom(16), max_error=3, k=3)


def test_unknown_efforts_are_refused() -> None:
    with pytest.raises(CodecInputError, match="unknown effort 'best'; known are fast, small"):
        codec.encode(phantom(16), effort="best")


@pytest.mark.parametrize("pixels", [np.zeros(5, np.uint16), np.zeros((4, 4)), 3])
def test_other_inputs_are_refused(pixels: object) -> None:
    with pytest.raises(CodecInputError):
        codec.encode(pixels)  # type: ignore[arg-type]


def test_no_payload() -> None:
    with pytest.raises(PayloadError):
        codec.decode(b"DICM")


def test_importing_the_room_does_not_load_the_compiler() -> None:
    script = "import sys, mripacs.codec; sys.exit('numba' in sys.modules or 'imagecodecs' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_warm_up_says_how_long_it_took() -> None:
    codec.warm_up()
    assert 0 < codec.warm_up() < 5

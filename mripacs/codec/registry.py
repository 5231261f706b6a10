"""Codecs by name and version. Two claims on one key are an error; an unknown key says what there is."""

from __future__ import annotations

from functools import lru_cache

from mripacs.codec.contract import Codec
from mripacs.core.errors import CodecError


class CodecRegistry:
    """Codecs by name and version."""

    def __init__(self) -> None:
        self._codecs: dict[tuple[str, int], Codec] = {}

    def register(self, codec: Codec) -> None:
        """Make a codec known. Raises CodecError if its name and version are taken."""
        key = (codec.name, codec.version)
        if key in self._codecs:
            raise CodecError(f"codec {codec.name} {codec.version} is already registered")
        self._codecs[key] = codec

    def find(self, name: str, version: int | None = None) -> Codec:
        """The codec of that name that reads payloads of `version`, the latest if None: a codec reads all before it.

        Raises CodecError that names what is known.
        """
        numbers = sorted(number for known, number in self._codecs if known == name)
        readers = [number for number in numbers if version is None or 1 <= version <= number]
        codec = self._codecs[name, readers[-1]] if readers else None
        if codec is None:
            wanted = name if version is None else f"{name} {version}"
            known = ", ".join(f"{key} {number}" for key, number in sorted(self._codecs))
            raise CodecError(f"no codec {wanted}; known are: {known or 'none'}")
        return codec


@lru_cache(maxsize=1)
def shipped() -> CodecRegistry:
    """The codecs of this release; loads them, and with them the compiled code, when first called."""
    from mripacs.codec.kwavelet.codec import KWaveletCodec
    from mripacs.codec.lossless import LosslessCodec

    registry = CodecRegistry()
    for codec in (KWaveletCodec(), LosslessCodec()):
        registry.register(codec)
    return registry


def find(name: str, version: int | None = None) -> Codec:
    """`CodecRegistry.find` among the codecs of this release."""
    return shipped().find(name, version)

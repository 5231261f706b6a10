"""Model files: safetensors with the card in their metadata. Nothing in such a file is ever executed."""

from __future__ import annotations

import json
import os
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from mripacs.core.errors import ModelError
from mripacs.models.model import PreviewModel, build

MAX_BYTES = 8 << 20
DEFAULT_NAME = "default.safetensors"


def to_bytes(model: PreviewModel) -> bytes:
    """A model as the bytes of a file."""
    from safetensors.numpy import save  # noqa: PLC0415 - 30 ms, and only models need it

    card = {**model.card, "digest": model.digest}
    return save(dict(model.tensors), {"card": json.dumps(card, sort_keys=True)})


def from_bytes(data: bytes) -> PreviewModel:
    """The model in the bytes of a file.

    Raises ModelError: another format (a pickle, for instance), damage, a wrong shape, a digest that does not match.
    """
    from safetensors import SafetensorError  # noqa: PLC0415 - as above
    from safetensors.numpy import load  # noqa: PLC0415

    if len(data) > MAX_BYTES:
        raise ModelError(f"a model has {MAX_BYTES} bytes at most, this one {len(data)}")
    if data[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise ModelError("this is a pickle (a torch checkpoint?), which could run code: only safetensors are taken")
    try:
        card = _card(data)
        model = build(load(data), card)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"the model file is no safetensors file with a card, or damaged: {error}") from error
    if model.digest != card.get("digest"):
        raise ModelError(f"the model's tensors have SHA-256 {model.digest}, its card says {card.get('digest')}")
    return model


def read(path: Path) -> PreviewModel:
    """The model in a file. Raises ModelError."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path}: a model has {MAX_BYTES} bytes at most")
        return from_bytes(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error


def write(data: bytes, path: Path) -> None:
    """Write a file whole or not at all: beside it first, then renamed. Raises ModelError when the disk is full."""
    beside = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ModelError(f"{path} cannot be written: {error.strerror}") from error


@cache
def default() -> PreviewModel:
    """The model that ships with mripacs."""
    return from_bytes(default_bytes())


def default_bytes() -> bytes:
    """The shipped model's file. Raises ModelError when the installation lacks it."""
    try:
        return resources.files("mripacs.models").joinpath(DEFAULT_NAME).read_bytes()
    except OSError as error:
        raise ModelError("this installation of mripacs lacks its preview model: install it again") from error


def _card(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    card = json.loads(header["__metadata__"]["card"])
    if not isinstance(card, dict):
        raise ModelError("the model's card is no JSON object")
    return card

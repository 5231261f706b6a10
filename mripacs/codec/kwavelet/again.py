"""A frame's indices coded again in another mode: the frame's own bytes are all that is needed."""

from __future__ import annotations

from mripacs.codec.frames import split_head
from mripacs.codec.kwavelet import small_named_coder
from mripacs.codec.kwavelet.frame import STEP_BITS, unpack_quantised
from mripacs.codec.kwavelet.modes import SMALL_NAMED, WRITTEN, coder
from mripacs.codec.payload import Shape
from mripacs.core.model import Effort

HEAD = 3  # bytes: kind and clip code, step and mode


def code_again(frame: bytes, shape: Shape, effort: Effort, tables: bytes | None = None) -> bytes | None:
    """A kwavelet frame in the mode that `effort` writes, None if it is that already.

    tables : name of tables that do not ship, for the small coder. Raises PayloadError for a malformed frame,
    UnknownTablesError.
    """
    mode, step = divmod(int.from_bytes(frame[1:HEAD], "little"), 1 << STEP_BITS)
    wanted = WRITTEN[effort] if tables is None else SMALL_NAMED
    if mode == wanted and (tables is None or frame[HEAD:].startswith(tables)):
        return None
    _, detail, reader = split_head(frame)
    quantised, _ = unpack_quantised(detail, reader, shape)
    start = frame[:1] + (wanted << STEP_BITS | step).to_bytes(HEAD - 1, "little")
    if tables is not None:
        return start + small_named_coder.encode(quantised, tables)
    return start + coder(wanted).encode(quantised)

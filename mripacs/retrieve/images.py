"""Pixels of instances: decoded once, held for a while, given out frame by frame in any form without loss."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mripacs.core.errors import CodecError, PixelDataError, RefusedError, TranscodeError, UnknownInstanceError
from mripacs.core.model import InstanceIdentity, Outgoing, StoredInstance
from mripacs.dicom import encapsulate, pixels, scan, transcode, transfer_syntax
from mripacs.dicom.pixels import PixelDescription
from mripacs.dicom.transcode import MAX_INFLATED_BYTES
from mripacs.retrieve.finishing import Finishing
from mripacs.retrieve.rebuild import decode_frames, rebuild_instance
from mripacs.retrieve.recent import Finished

if TYPE_CHECKING:
    from numpy.typing import NDArray

SLICED_BYTES = (
    1 << 20
)  # of a data set: up to here it is read whole for each frame, 0.3 ms; a larger one is held decoded
CACHE_BYTES = 128 << 20  # of decoded pixels: 1000 slices of 256 x 256; scrolling back costs no decoding

Key = tuple[str, str, str | None]  # UID, digests of what was received and of the decoded pixels


@dataclass(frozen=True, slots=True)
class Image:
    """An instance's pixels, decoded and checked. Colour is by pixel and RGB where the description says so."""

    identity: InstanceIdentity
    description: PixelDescription
    frames: NDArray[Any]  # (frames, rows, columns) or (frames, rows, columns, 3), stored values
    header: bytes  # of the data set they were read from, up to its pixels
    header_syntax: str

    def frame(self, number: int) -> NDArray[Any]:
        """A frame, counted from 1. Raises UnknownInstanceError."""
        if not 1 <= number <= len(self.frames):
            raise UnknownInstanceError(f"{self.identity.sop_instance_uid} has {len(self.frames)} frames, no {number}")
        return self.frames[number - 1]  # type: ignore[no-any-return]

    def native(self, number: int) -> bytes:
        """A frame's samples, little endian, colour by pixel, without pad byte."""
        frame = self.frame(number)
        return frame.astype(frame.dtype.newbyteorder("<"), copy=False).tobytes()

    def stream(self, number: int, syntax: str) -> bytes:
        """A frame as a codestream of a transfer syntax in `encapsulate.STREAM_OF_SYNTAX`. Raises TranscodeError."""
        return stream_of(self.frame(number), syntax)


def stream_of(frame: NDArray[Any], syntax: str) -> bytes:
    """A frame as a codestream of a transfer syntax, decoded again and compared. Raises TranscodeError."""
    from mripacs.codec import streams  # noqa: PLC0415 - imagecodecs loads where pixels are coded

    try:
        return streams.encode_stream(frame, encapsulate.STREAM_OF_SYNTAX[syntax])
    except CodecError as error:
        raise TranscodeError(f"the frame cannot be written in {syntax}: {error}") from error


def in_streams(native: Outgoing, syntax: str) -> Outgoing:
    """An instance in Explicit VR Little Endian with its frames as codestreams of `syntax`. Raises TranscodeError."""
    dataset, native_syntax = native.dataset, native.transfer_syntax
    try:
        dataset_map = scan.scan(dataset, native_syntax)
        description = pixels.describe(dataset, dataset_map, native_syntax)
        frames = pixels.decode_frames(dataset, dataset_map, native_syntax, description)
    except (PixelDataError, RefusedError) as error:
        raise TranscodeError(f"{native.sop_instance_uid} has no pixels to be coded: {error}") from error
    if description.planar_configuration:
        raise TranscodeError(f"{native.sop_instance_uid}: colour by plane is not coded as {syntax}")
    coded = encapsulate.encapsulated(dataset, [stream_of(frame, syntax) for frame in frames])
    return replace(native, transfer_syntax=syntax, dataset=coded)


class Images:
    """Decodes instances and holds the last ones. Thread-safe. Identities are as their rows have just given them."""

    def __init__(
        self,
        finishing: Finishing,
        missed: Callable[[InstanceIdentity], None] = lambda _: None,
        capacity: int = CACHE_BYTES,
    ) -> None:
        """missed : told of each instance of which a frame was asked for that was not at hand."""
        self._finishing = finishing
        self._missed = missed
        self._capacity = capacity
        self._size = 0
        self._held: OrderedDict[Key, Image] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, identity: InstanceIdentity) -> Image:
        """The pixels of an instance.

        Raises UnknownInstanceError, DamagedInstanceError, and TranscodeError where there are no pixels to decode.
        """
        image = self._find(identity)
        if image is None:
            finished = self._finishing.recent.get(identity)
            image = image_of(finished) if finished else decode_image(self._finishing.load(identity))
            self._hold(image)
        return image

    def native(self, identity: InstanceIdentity, number: int) -> bytes:
        """A frame's samples, counted from 1, as `Image.native` gives them. Raises as `open` and `Image.frame` do."""
        recent = self._finishing.recent
        if not recent or identity.certificate.received_bytes > SLICED_BYTES or self._find(identity) is not None:
            return self.open(identity).native(number)  # held decoded: no header is written for it
        finished = recent.get(identity)
        if finished is None:
            self._missed(identity)
            finished = self._finishing.finish(identity)
        frame = finished.frame(number)
        return self.open(identity).native(number) if frame is None else frame

    def at_hand(self, identity: InstanceIdentity, number: int) -> bytes | None:
        """As `native`, of an instance of up to SLICED_BYTES in what was finished last; else None. Waits for nothing."""
        if identity.quarantined or identity.certificate.received_bytes > SLICED_BYTES:
            return None
        finished = self._finishing.recent.get(identity)
        return None if finished is None else finished.frame(number)

    def fragments(self, identity: InstanceIdentity, syntax: str) -> list[bytes]:
        """The codestreams of each frame as they were received in an encapsulated transfer syntax, digest checked."""
        outgoing = self._finishing.finish(identity).outgoing
        uid = identity.sop_instance_uid
        if outgoing.transfer_syntax != syntax:
            raise TranscodeError(f"{uid} is not kept in {syntax}")
        value, frames = _pixel_value(outgoing.dataset, syntax)
        try:
            return encapsulate.fragments_by_frame(value, frames)
        except PixelDataError as error:
            raise TranscodeError(f"{uid}: {error}") from error

    def _find(self, identity: InstanceIdentity) -> Image | None:
        key = _key(identity)
        with self._lock:
            if key not in self._held or identity.quarantined:
                return None
            self._held.move_to_end(key)
            return self._held[key]

    def _hold(self, image: Image) -> None:
        key = _key(image.identity)
        with self._lock:
            if key in self._held or image.frames.nbytes > self._capacity:
                return
            self._held[key] = image
            self._size += image.frames.nbytes
            while self._size > self._capacity:
                _, dropped = self._held.popitem(last=False)
                self._size -= dropped.frames.nbytes


def _key(identity: InstanceIdentity) -> Key:
    """What a replaced instance does not share with the one that it replaced, nor a repaired one."""
    certificate = identity.certificate
    return identity.sop_instance_uid, certificate.received_digest, certificate.decoded_pixel_digest


def decode_image(stored: StoredInstance) -> Image:
    """The pixels of a stored instance, checked against its digests."""
    identity, certificate = stored.identity, stored.identity.certificate
    syntax = identity.transfer_syntax
    _require_decodable(identity)
    try:
        if certificate.codec is not None and stored.pixel_offset is not None:
            frames = decode_frames(stored)
            header_map = scan.scan(stored.header, syntax)
            description = pixels.describe(stored.header, header_map, syntax, max_samples=max(1, frames.size))
            return Image(identity, description, frames, stored.header[: stored.pixel_offset], syntax)
        return _decoded(identity, rebuild_instance(stored))
    except (PixelDataError, RefusedError) as error:
        raise TranscodeError(f"{identity.sop_instance_uid} has no pixels that can be decoded: {error}") from error


def image_of(finished: Finished) -> Image:
    """The pixels of a finished instance. Raises TranscodeError where there are none to decode."""
    _require_decodable(finished.identity)
    try:
        return _decoded(finished.identity, finished.outgoing)
    except (PixelDataError, RefusedError) as error:
        uid = finished.identity.sop_instance_uid
        raise TranscodeError(f"{uid} has no pixels that can be decoded: {error}") from error


def _require_decodable(identity: InstanceIdentity) -> None:
    encapsulated = transfer_syntax.is_encapsulated(identity.transfer_syntax)
    if encapsulated and identity.certificate.source_pixel_digest is None:
        raise TranscodeError(f"{identity.sop_instance_uid}: its pixels could not be decoded when it came")


def _decoded(identity: InstanceIdentity, outgoing: Outgoing) -> Image:
    plain = transfer_syntax.plain(outgoing.dataset, outgoing.transfer_syntax, MAX_INFLATED_BYTES)
    dataset_map = scan.scan(plain, outgoing.transfer_syntax)
    description = pixels.describe(plain, dataset_map, outgoing.transfer_syntax)
    if description.samples == 3 and transfer_syntax.is_encapsulated(outgoing.transfer_syntax):
        frames, description = transcode.decoded_colour(plain, dataset_map, description)
    else:
        frames = pixels.decode_frames(plain, dataset_map, outgoing.transfer_syntax, description)
    start = dataset_map.elements[scan.PIXEL_DATA].header_start
    return Image(identity, description, frames, plain[:start], outgoing.transfer_syntax)


def _pixel_value(dataset: bytes, syntax: str) -> tuple[bytes, int]:
    """The value of encapsulated Pixel Data and its number of frames. Raises TranscodeError."""
    try:
        dataset_map = scan.scan(dataset, syntax)
        description = pixels.describe(dataset, dataset_map, syntax)
    except (PixelDataError, RefusedError) as error:
        raise TranscodeError(f"its pixels cannot be described: {error}") from error
    span = dataset_map.elements[scan.PIXEL_DATA]
    return dataset[span.value_start : span.value_end], description.frames

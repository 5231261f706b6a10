"""References to originals of lossy instances become references to what is served (PS3.3 10.8)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from mripacs.core.errors import RefusedError, TranscodeError
from mripacs.dicom.headers import Buffer
from mripacs.dicom.identity import REFERENCED_SOP_INSTANCE_UID, SOP_INSTANCE_UID
from mripacs.dicom.reencode import Edit, reencode, tokens_of
from mripacs.dicom.scan import DatasetMap, scan
from mripacs.dicom.transcode import MAX_INFLATED_BYTES
from mripacs.dicom.transfer_syntax import deflate, is_deflated, plain
from mripacs.dicom.values import text_value
from mripacs.dicom.walk import Kind, Token

_TAG_BYTES = {False: b"\x08\x00\x55\x11", True: b"\x00\x08\x11\x55"}  # as it stands in the bytes, by big endianness

Alias = Callable[[Iterable[str]], Mapping[str, str]]  # UIDs -> for those that are originals, the UID served instead


def rewrite_references(dataset: bytes, transfer_syntax: str, alias: Alias) -> bytes:
    """The data set with every Referenced SOP Instance UID, at any depth, replaced where `alias` knows another.

    dataset : as it goes over the wire, deflated or not; it comes back in the same syntax. The very same bytes come
    back when nothing is replaced or the data set cannot be understood. An instance that is served instead of another
    keeps its reference to that other one: it names its source on purpose. Group lengths and bytes after the last
    element go when something is replaced.
    """
    try:
        bare = plain(dataset, transfer_syntax, MAX_INFLATED_BYTES)
        dataset_map = scan(bare, transfer_syntax)
        found = set(_references(bare, dataset_map))
        itself = text_value(bare, dataset_map, SOP_INSTANCE_UID)
        served = {uid: other for uid, other in (alias(found) if found else {}).items() if other not in (uid, itself)}
        if not served:
            return dataset
        written = reencode(bare, dataset_map, dataset_map.dialect, {}, _replacer(served))
    except (RefusedError, TranscodeError):
        return dataset
    return deflate(written) if is_deflated(transfer_syntax) else written


def _references(dataset: bytes, dataset_map: DatasetMap) -> Iterator[str]:
    """The UID of each reference; elements whose bytes do not hold the tag are not walked."""
    needle = _TAG_BYTES[dataset_map.dialect.big_endian]
    for span in dataset_map.elements.values():
        if dataset.find(needle, span.header_start, span.end) < 0:
            continue
        for token, value in tokens_of(dataset, dataset_map, span):
            if token.kind is Kind.ELEMENT and token.tag == REFERENCED_SOP_INSTANCE_UID:
                yield _uid(value)


def _replacer(served: Mapping[str, str]) -> Edit:
    def replace(token: Token, value: bytes) -> bytes:
        if token.tag != REFERENCED_SOP_INSTANCE_UID or _uid(value) not in served:
            return value
        uid = served[_uid(value)].encode()
        return uid + b"\0" * (len(uid) % 2)

    return replace


def _uid(value: Buffer) -> str:
    return bytes(value).decode("ascii", "replace").strip(" \0")

"""A DICOM JSON model and its bulk data become an object to store (PS3.18 10.5.1.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from mripacs.core.errors import NotDicomError
from mripacs.core.model import ReceivedObject
from mripacs.dicom.datasets import from_dataset
from mripacs.dicom.transfer_syntax import EXPLICIT_VR_LITTLE_ENDIAN, NATIVE_SYNTAXES, is_encapsulated

_META_GROUP = "0002"  # describes the message, not the object
_PIXEL_DATA = "7FE00010"


@dataclass(frozen=True, slots=True)
class BulkPart:
    """Bulk data that came beside a model. `transfer_syntax` is that of pixels; None for anything else."""

    content: bytes
    transfer_syntax: str | None = None


def object_of(model: Mapping[str, Any], bulk: Mapping[str, BulkPart]) -> ReceivedObject:
    """The object that a model and the bulk data by their URIs describe.

    Pixels are native little endian, or one frame as a codestream of the part's transfer syntax. Raises NotDicomError
    for what is no model and for bulk data that has not come, InvalidIdentityError without UIDs.
    """
    pixels = bulk.get(str(model.get(_PIXEL_DATA, {}).get("BulkDataURI", ""))) if _is_model(model) else None
    syntax = (pixels.transfer_syntax if pixels else None) or EXPLICIT_VR_LITTLE_ENDIAN
    if not is_encapsulated(syntax) and syntax != EXPLICIT_VR_LITTLE_ENDIAN:
        raise NotDicomError(f"native bulk data comes in {EXPLICIT_VR_LITTLE_ENDIAN}, not {syntax}")
    body = {tag: element for tag, element in model.items() if not tag.startswith(_META_GROUP)}
    dataset = _dataset(body, bulk)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    if pixels is not None and syntax not in NATIVE_SYNTAXES:
        dataset.PixelData = encapsulate([pixels.content])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    return from_dataset(dataset)


def _is_model(model: Any) -> bool:
    whole = isinstance(model, Mapping) and all(
        isinstance(tag, str) and isinstance(element, Mapping) and isinstance(element.get("vr"), str)
        for tag, element in model.items()
    )
    if not whole:
        raise NotDicomError("the metadata is no DICOM JSON model: tags of eight hexadecimal digits with vr and Value")
    return True


def _dataset(body: Mapping[str, Any], bulk: Mapping[str, BulkPart]) -> Dataset:
    def find(_tag: str, _vr: str, uri: str) -> bytes:
        if uri not in bulk:
            raise NotDicomError("the metadata names bulk data that is in no part: Content-Location must repeat its URI")
        return bulk[uri].content

    try:
        return Dataset.from_json(dict(body), bulk_data_uri_handler=find)
    except NotDicomError:
        raise
    except Exception as error:  # pydicom raises whatever its readers meet in hostile values
        raise NotDicomError(f"the metadata cannot be read as a data set: {type(error).__name__}") from error

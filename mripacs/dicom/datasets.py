"""pydicom data sets in and out, for callers of the Python API."""

from __future__ import annotations

import copy
import io

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from mripacs.core.errors import InvalidIdentityError, TranscodeError
from mripacs.core.model import ReceivedObject


def from_dataset(dataset: Dataset) -> ReceivedObject:
    """A pydicom data set as an object to store; its file meta information must name the transfer syntax.

    Raises InvalidIdentityError without transfer syntax or UIDs, TranscodeError when pydicom cannot write it.
    """
    syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    missing = [keyword for keyword in ("SOPClassUID", "SOPInstanceUID") if not dataset.get(keyword)]
    if syntax is None or missing:
        raise InvalidIdentityError(f"the data set has no {', '.join(missing) or 'file_meta.TransferSyntaxUID'}")
    written = io.BytesIO()
    try:
        bare = Dataset(dataset)
        pydicom.dcmwrite(written, bare, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError, NotImplementedError) as error:
        raise TranscodeError(f"pydicom cannot write the data set: {error}") from error
    return ReceivedObject(
        dataset=written.getvalue(),
        transfer_syntax=str(syntax),
        sop_class_uid=str(dataset.SOPClassUID).strip(" \0"),
        sop_instance_uid=str(dataset.SOPInstanceUID).strip(" \0"),
        source="api",
    )


def with_new_uids(dataset: Dataset) -> Dataset:
    """A copy with new Study, Series and SOP Instance UIDs, as an anonymiser makes it."""
    renamed = copy.copy(dataset)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(renamed, keyword, generate_uid())
    return renamed

"""Media types and transfer syntaxes of pixel data (PS3.18 Table 8.7.3-5 and what implementers added)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from mripacs.core.errors import TranscodeError
from mripacs.core.model import InstanceIdentity
from mripacs.dicom.encapsulate import HTJ2K_LOSSLESS, JPEG_2000_LOSSLESS, JPEG_LS_LOSSLESS, STREAM_OF_SYNTAX
from mripacs.dicom.transfer_syntax import EXPLICIT_VR_LITTLE_ENDIAN, is_encapsulated
from mripacs.dicomweb.negotiation import MediaRange, places_of
from mripacs.retrieve.fetch import syntaxes_of

OCTETS = "application/octet-stream"
DICOM = "application/dicom"
_PREFIX = "1.2.840.10008.1.2."

# Transfer syntax -> media type of its codestreams.
TYPE_OF_SYNTAX = {
    **{f"{_PREFIX}4.{suffix}": "image/jpeg" for suffix in ("50", "51", "57", "70")},
    **{f"{_PREFIX}4.{suffix}": "image/jls" for suffix in ("80", "81")},
    **{f"{_PREFIX}4.{suffix}": "image/jp2" for suffix in ("90", "91")},
    **{f"{_PREFIX}4.{suffix}": "image/jpx" for suffix in ("92", "93")},
    **{f"{_PREFIX}4.{suffix}": "image/jphc" for suffix in ("201", "202", "203")},
    **{f"{_PREFIX}4.{suffix}": "image/jxl" for suffix in ("110", "111", "112")},
    f"{_PREFIX}5": "image/dicom-rle",
}
# Media type -> the transfer syntax that is meant without the parameter.
DEFAULT_SYNTAX = {
    OCTETS: EXPLICIT_VR_LITTLE_ENDIAN,
    DICOM: EXPLICIT_VR_LITTLE_ENDIAN,
    "image/jls": JPEG_LS_LOSSLESS,
    "image/jp2": JPEG_2000_LOSSLESS,
    "image/jphc": HTJ2K_LOSSLESS,
    "image/jpeg": f"{_PREFIX}4.70",
    "image/dicom-rle": f"{_PREFIX}5",
}


class Form(NamedTuple):
    """A form in which something leaves."""

    media_type: str
    transfer_syntax: str

    @property
    def content_type(self) -> str:
        """The Content-Type of a part or body."""
        return f"{self.media_type}; transfer-syntax={self.transfer_syntax}"


def frame_forms(identity: InstanceIdentity) -> list[Form]:
    """The forms in which frames of an instance leave, natively first, then as they were received."""
    native = [Form(OCTETS, EXPLICIT_VR_LITTLE_ENDIAN)]
    made = [Form(TYPE_OF_SYNTAX[syntax], syntax) for syntax in STREAM_OF_SYNTAX]
    decodable = identity.certificate.source_pixel_digest is not None or not is_encapsulated(identity.transfer_syntax)
    kept = []
    if identity.certificate.restores_received and is_encapsulated(identity.transfer_syntax):
        kept = [Form(TYPE_OF_SYNTAX.get(identity.transfer_syntax, OCTETS), identity.transfer_syntax)]
    return [*native, *kept, *(form for form in made if form not in kept)] if decodable else kept


def dicom_forms(identity: InstanceIdentity) -> tuple[Form, ...]:
    """The forms in which an instance leaves as a Part 10 file, as it is kept first."""
    return _dicom_forms(syntaxes_of(identity), identity.certificate.source_pixel_digest is not None)


@lru_cache(64)
def _dicom_forms(syntaxes: tuple[str, ...], decodable: bool) -> tuple[Form, ...]:
    made = STREAM_OF_SYNTAX if decodable else ()
    return tuple(Form(DICOM, syntax) for syntax in dict.fromkeys((*syntaxes, *made)))


def pick(ranges: Iterable[MediaRange], forms: Iterable[Form]) -> Form:
    """The form that the client likes best. Raises TranscodeError (406) that names what there is."""
    ranges, forms = list(ranges), list(forms)
    places = {form: place for form in forms if (place := _place(ranges, form)) is not None}
    if places:
        return min(places, key=places.__getitem__)
    there = "; ".join(dict.fromkeys(form.content_type for form in forms)) or "nothing: its pixels cannot be decoded"
    raise TranscodeError(f"Accept takes none of the forms that there are: {there}")


def _place(ranges: Sequence[MediaRange], form: Form) -> int | None:
    """Of the first range by which the client takes the form."""
    places = places_of(ranges, form.media_type, form.transfer_syntax)
    return next((place for place in places if _takes(ranges[place], form)), None)


def _takes(media_range: MediaRange, form: Form) -> bool:
    wanted = media_range.transfer_syntax
    if wanted is None:
        return DEFAULT_SYNTAX.get(form.media_type, form.transfer_syntax) == form.transfer_syntax
    return wanted in ("*", form.transfer_syntax)

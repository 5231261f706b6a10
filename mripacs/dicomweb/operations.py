"""Every operation of the services as a table: what the capabilities document and the OpenAPI description say."""

from __future__ import annotations

from dataclasses import dataclass

from mripacs.core.settings import Settings
from mripacs.dicomweb.bodies import JSON_TYPES, XML
from mripacs.dicomweb.frames import INSTANCE
from mripacs.dicomweb.links import ROOT
from mripacs.dicomweb.media import DICOM, OCTETS, TYPE_OF_SYNTAX
from mripacs.dicomweb.retrieve import RESOURCES
from mripacs.dicomweb.search import RESOURCES as SEARCHES
from mripacs.retrieve.rendering import TYPES


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query."""

    name: str
    words: str
    schema: dict[str, object]
    required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one resource."""

    method: str
    path: str  # with {parts}
    name: str  # unique
    words: str
    media_types: tuple[str, ...]  # of answers, the default first
    query: tuple[Parameter, ...] = ()
    body: tuple[str, ...] = ()  # media types of the request
    statuses: tuple[int, ...] = (200, 304)  # of success


_TEXT: dict[str, object] = {"type": "string"}
_NUMBER: dict[str, object] = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
_UID: dict[str, object] = {"type": "string", "pattern": "^[0-9.]{1,64}$"}
ACCEPT = Parameter("accept", "media types, before those of the header (PS3.18 8.3.3.1)", _TEXT)
PAGING = (
    Parameter("limit", "most matches in the answer", _NUMBER),
    Parameter("offset", "matches to leave out", _NUMBER),
    Parameter("includefield", "more attributes by keyword or tag, or all", _TEXT),
    Parameter("fuzzymatching", "match names by the beginnings of their words", {"type": "boolean"}),
)
KEYS = tuple(
    Parameter(keyword, f"matching key: {words}", _TEXT)
    for keyword, words in {
        "PatientName": "with wildcards * and ?, without case",
        "PatientID": "with wildcards",
        "StudyDate": "a date or a range 20200101-20201231",
        "ModalitiesInStudy": "modality of a series",
        "AccessionNumber": "with wildcards",
        "StudyInstanceUID": "one or several, joined by commas",
    }.items()
)
DRAWING = (
    Parameter("window", "center,width,function (linear, linear-exact, sigmoid)", _TEXT),
    Parameter("viewport", "width,height,x,y,width,height of the region", _TEXT),
    Parameter("quality", "of JPEG and WebP", {"type": "integer", "minimum": 1, "maximum": 100}),
)
WADO = (
    Parameter("requestType", "WADO", {"type": "string", "enum": ["WADO"]}, required=True),
    *(Parameter(name, "a UID", _UID, required=True) for name in ("studyUID", "seriesUID", "objectUID")),
    Parameter("contentType", "media types, best first", _TEXT),
    Parameter("transferSyntax", "of a Part 10 file", _TEXT),
    Parameter("frameNumber", "from 1", {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}),
    *(Parameter(name, "pixels", {"type": "integer", "minimum": 1, "maximum": 4096}) for name in ("rows", "columns")),
    *(Parameter(name, "in modality units", {"type": "number"}) for name in ("windowCenter", "windowWidth")),
    Parameter("imageQuality", "1 to 100", {"type": "integer", "minimum": 1, "maximum": 100}),
)
_RELATED = "multipart/related"
_FRAMES = INSTANCE + "/frames/{frames}"
_FULL = tuple(ROOT + path for path in RESOURCES)
_MODELS = (*JSON_TYPES, _RELATED)
_FILES = (_RELATED, DICOM)
_FRAME_TYPES = (_RELATED, OCTETS, *dict.fromkeys(TYPE_OF_SYNTAX.values()))


def operations(settings: Settings) -> list[Operation]:
    """All that this configuration offers."""
    found = [*_searches(), *_retrievals(), *_drawings(), *_of_instances(), *_stores()]
    return found + [_deletion("DELETE", path) for path in _FULL] if settings.web.allow_delete else found


def _deletion(method: str, path: str) -> Operation:
    return Operation(method, path, f"{method.lower()}{_name(path)}", "Take it out of the archive", (), statuses=(204,))


def _searches() -> list[Operation]:
    query = (*KEYS, *PAGING, ACCEPT)
    return [
        Operation(
            "GET", ROOT + path, f"search{_name(path)}", f"Search at level {level.lower()} (QIDO-RS)", _MODELS, query,
            statuses=(200, 204),
        )
        for path, level, _ in SEARCHES
    ]  # fmt: skip


def _retrievals() -> list[Operation]:
    kinds = (("", "retrieve", "Part 10 files (WADO-RS)", _FILES), ("/metadata", "metadata", "Metadata", _MODELS))
    return [
        Operation("GET", path + suffix, verb + _name(path), words, types, (ACCEPT,), statuses=(200, 206, 304))
        for path in _FULL
        for suffix, verb, words, types in kinds
    ]


def _drawings() -> list[Operation]:
    kinds = (("rendered", "As pictures"), ("thumbnail", "One small picture"))
    return [
        Operation("GET", f"{path}/{kind}", kind + _name(path), words, (*TYPES, _RELATED), (*DRAWING, ACCEPT))
        for path in (*_FULL, _FRAMES)
        for kind, words in kinds
    ]


def _of_instances() -> list[Operation]:
    bulk, part = INSTANCE + "/bulkdata/{path}", (200, 206, 304)
    return [
        Operation("GET", _FRAMES, "frames", "Frames by their numbers", _FRAME_TYPES, (ACCEPT,)),
        Operation("GET", bulk, "bulkdata", "The value of an element", (OCTETS, _RELATED), (ACCEPT,), statuses=part),
        Operation("GET", f"{ROOT}/wado", "wado", "One instance (WADO-URI)", (*TYPES, DICOM), WADO),
    ]


def _stores() -> list[Operation]:
    return [
        Operation(
            "POST", ROOT + path, f"store{_name(path)}", "Store instances (STOW-RS)", (*JSON_TYPES, XML), (ACCEPT,),
            _FILES, (200, 202),
        )
        for path in ("/studies", "/studies/{study}")
    ]  # fmt: skip


def _name(path: str) -> str:
    """A path as part of a name: /studies/{study}/series gives "_study_series"."""
    parts = [part.strip("{}") for part in path.removeprefix(ROOT).split("/") if part]
    plural = [
        part for index, part in enumerate(parts) if index + 1 == len(parts) or not parts[index + 1].startswith(part[:4])
    ]
    return "_" + "_".join(plural)

"""Matching keys of an identifier become a Query (PS3.4 C.2.2.2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from mripacs.core.errors import QueryError
from mripacs.core.model import InstanceSelection, Level, Match, Query
from mripacs.dicom.dictionary import vr_of
from mripacs.store.match_forms import require_storable

UNIQUE_KEYS = {
    Level.PATIENT: "PatientID",
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}
WILDCARD_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})  # PS3.4 C.2.2.2.4
RANGE_VRS = frozenset({"DA", "TM", "DT"})  # PS3.4 C.2.2.2.5
CONTROL_KEYWORDS = frozenset({"QueryRetrieveLevel", "SpecificCharacterSet", "TimezoneOffsetFromUTC", "RetrieveAETitle"})
LONGEST_KEY = 65536  # characters; a UID list of a thousand instances fits, an attack does not

_UID = re.compile(r"[0-9.]{1,64}")
_DATE = re.compile(r"\d{8}")
_TIME = re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?")
_DATE_TIME = re.compile(r"\d{4}(\d{2}){0,5}(\.\d{1,6})?([+-]\d{4})?")
_DATE_TIME_RANGE = re.compile(r"(\d{4,14}(?:\.\d{1,6})?(?:[+-]\d{4})?)?-(\d{4,14}(?:\.\d{1,6})?(?:[+-]\d{4})?)?")


def parse_level(text: str) -> Level:
    """The value of Query/Retrieve Level (0008,0052). Raises QueryError for any other."""
    try:
        return Level(text.strip().upper())
    except ValueError as error:
        raise QueryError(f"Query/Retrieve Level {text!r} is not one of {', '.join(Level)}") from error


def parse_query(level: Level, keys: Mapping[str, str], *, limit: int | None = None, offset: int = 0) -> Query:
    """A query from matching keys: keyword to text, values of a list joined by a backslash, empty for universal.

    Keys that control the query are left out; unsupported ones stay, the store ignores them and they return empty.
    Raises QueryError naming the key that is malformed.
    """
    wanted = {keyword: text for keyword, text in keys.items() if keyword not in CONTROL_KEYWORDS}
    matches = tuple(parse_match(keyword, text) for keyword, text in wanted.items())
    return Query(level, tuple(match for match in matches if match.kind != "universal"), tuple(wanted), limit, offset)


def parse_match(keyword: str, text: str) -> Match:
    """One matching key, parsed by the VR of its element."""
    if len(text) > LONGEST_KEY:
        raise QueryError(f"{keyword}: a matching key of {len(text)} characters, {LONGEST_KEY} are allowed")
    text = text.strip(" \0")
    vr = vr_of(keyword)
    if not text or (text == "*" and vr in WILDCARD_VRS):
        return Match(keyword, "universal")
    if vr == "UI":
        return _uid_match(keyword, text)
    if vr in RANGE_VRS:
        return _RANGE_PARSERS[vr](keyword, text)
    fold_case = vr == "PN"
    if vr in WILDCARD_VRS and ("*" in text or "?" in text) and "\\" not in text:
        return Match(keyword, "wildcard", (text,), fold_case)
    values = tuple(value.strip() for value in text.split("\\"))
    return Match(keyword, "single" if len(values) == 1 else "list", values, fold_case)


def _uid_match(keyword: str, text: str) -> Match:
    values = tuple(value.strip(" \0") for value in text.split("\\"))
    for value in values:
        if not _UID.fullmatch(value):
            raise QueryError(f"{keyword}: {value[:64]!r} is no UID")
    return Match(keyword, "single" if len(values) == 1 else "list", values)


def _range_match(keyword: str, text: str, value: re.Pattern[str], example: str) -> Match:
    first, dash, last = text.partition("-")
    ends = [first.strip(), last.strip()] if dash else [text]
    if not any(ends) or any(end and not value.fullmatch(end) for end in ends):
        raise QueryError(f"{keyword}: {text[:64]!r} is neither a value nor a range such as {example}")
    if dash and all(ends) and ends[0] > ends[1]:
        raise QueryError(f"{keyword}: the range {text[:64]!r} ends before it begins")
    return Match(keyword, "range" if dash else "single", tuple(ends))


def _date_match(keyword: str, text: str) -> Match:
    return _range_match(keyword, text.replace(".", ""), _DATE, "20200101-20201231")  # the dots are ACR-NEMA's


def _time_match(keyword: str, text: str) -> Match:
    return _range_match(keyword, text.replace(":", ""), _TIME, "0800-1200")  # the colons are ACR-NEMA's


def _date_time_match(keyword: str, text: str) -> Match:
    """DT is the VR whose values may hold a hyphen themselves, before an offset from UTC."""
    if _DATE_TIME.fullmatch(text):
        return Match(keyword, "single", (text,))
    ends = _DATE_TIME_RANGE.fullmatch(text)
    if ends is None or not any(ends.groups()):
        raise QueryError(f"{keyword}: {text[:64]!r} is neither a date and time nor a range")
    return Match(keyword, "range", (ends[1] or "", ends[2] or ""))


_RANGE_PARSERS: Mapping[str, Callable[[str, str], Match]] = {
    "DA": _date_match,
    "TM": _time_match,
    "DT": _date_time_match,
}


def parse_selection(level: Level, keys: Mapping[str, str]) -> InstanceSelection:
    """The instances that a C-GET or C-MOVE identifier names (PS3.4 C.4.2.1.4, C.4.3.1.3).

    The unique key of the level must be there, with one value or a list; those above it may narrow it down.
    Raises QueryError when it is missing or holds anything but UIDs, or a Patient ID that is no text.
    """
    if not keys.get(UNIQUE_KEYS[level], "").strip(" \0"):
        raise QueryError(f"a retrieve at level {level} needs {UNIQUE_KEYS[level]}")
    levels = list(Level)
    given = {of: _selected(UNIQUE_KEYS[of], keys) for of in levels[: levels.index(level) + 1]}
    return InstanceSelection(
        patient_ids=given[Level.PATIENT],
        study_uids=given.get(Level.STUDY, ()),
        series_uids=given.get(Level.SERIES, ()),
        sop_instance_uids=given.get(Level.IMAGE, ()),
    )


def _selected(keyword: str, keys: Mapping[str, str]) -> tuple[str, ...]:
    text = keys.get(keyword, "").strip(" \0")
    if keyword == "PatientID":
        values = tuple(_nonempty(text.split("\\")))
        require_storable(keyword, values)  # here, too: a C-MOVE's keys are checked before its instances are looked for
        return values
    match = parse_match(keyword, text)
    return match.values


def _nonempty(values: Iterable[str]) -> Iterable[str]:
    return (value.strip() for value in values if value.strip())

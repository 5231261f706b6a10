"""The query of a search (PS3.18 8.3.4, 10.6): matching keys, attributes to return, paging."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from mripacs.core.errors import QueryError
from mripacs.core.model import Level, Match, Query
from mripacs.dicom.dictionary import keyword_of, vr_of
from mripacs.dicom.index import INDEX_KEYWORDS
from mripacs.retrieve.matching import parse_match
from mripacs.store.keys import COMPUTED, KEYS, RANK, Kind

MAX_OFFSET = 2**31 - 1
CONTROLS = ("includefield", "limit", "offset", "fuzzymatching", "accept", "charset")
_TAG = re.compile(r"[0-9A-Fa-f]{8}")

# What an answer holds in any case (PS3.18 Tables 10.6.3-3 to 10.6.3-5), and what viewers cannot do without.
REQUIRED: Mapping[Level, tuple[str, ...]] = {
    Level.STUDY: (
        "StudyDate", "StudyTime", "AccessionNumber", "ModalitiesInStudy", "ReferringPhysicianName", "PatientName",
        "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID", "StudyDescription",
        "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
    ),
    Level.SERIES: (
        "Modality", "SeriesDescription", "SeriesInstanceUID", "SeriesNumber", "NumberOfSeriesRelatedInstances",
        "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime",
    ),
    Level.IMAGE: (
        "SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated", "NumberOfFrames",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Search:
    """A search: the query of the archive, and what could not be used of it."""

    query: Query
    unused: tuple[str, ...]  # keys that the archive does not match by
    fuzzy: bool

    @property
    def keywords(self) -> tuple[str, ...]:
        """Attributes of each match, in this order."""
        return self.query.return_keywords


def parse_search(
    level: Level,
    pairs: Iterable[tuple[str, str]],
    fixed: Mapping[str, str],
    max_results: int,
    *,
    above: Iterable[Level],
) -> Search:
    """A search at a level.

    pairs : names and values of the query string. fixed : UIDs of the path. above : levels whose attributes come along,
    because the path does not name them. One match more than `limit` is asked for, to know whether there are more.
    Raises QueryError naming what is malformed.
    """
    pairs = list(pairs)
    given = _last_values(pairs)
    fuzzy = _boolean(given.get("fuzzymatching", "false"))
    keys = {keyword: text for name, text in pairs if name not in CONTROLS and (keyword := _keyword(name))}
    unused = tuple(keyword for keyword in keys if not _is_matched(keyword, level))
    matches = [
        match
        for keyword, text in (keys | dict(fixed)).items()
        if keyword not in unused
        for match in _matches(keyword, text, fuzzy=fuzzy)
    ]
    levels = (*above, level)
    wanted = [keyword for each in levels for keyword in REQUIRED[each]]
    wanted += [*keys, *fixed, *_included(pairs, levels)]
    limit = min(_number(given, "limit", max_results), max_results)
    query = Query(
        level,
        tuple(match for match in matches if match.kind != "universal"),
        tuple(dict.fromkeys(keyword for keyword in wanted if not keyword.startswith("\0"))),
        limit + 1,
        _number(given, "offset", 0),
    )
    return Search(query, unused, fuzzy)


def _keyword(name: str) -> str:
    """The keyword of an attribute named by keyword or tag; of a path into a sequence the sequence's."""
    first = name.partition(".")[0]
    keyword = keyword_of(int(first, 16)) if _TAG.fullmatch(first) else first
    if not keyword or vr_of(keyword) == "UN":
        raise QueryError(f"{name[:64]!r} is neither an attribute's keyword nor its tag, nor a parameter of searches")
    return keyword


def _is_matched(keyword: str, level: Level) -> bool:
    return keyword in KEYS and RANK[KEYS[keyword].level] <= RANK[level]


def _matches(keyword: str, text: str, *, fuzzy: bool) -> list[Match]:
    """One match, or one for each word of a name that is matched fuzzily."""
    if vr_of(keyword) == "UI":
        text = text.replace(",", "\\")  # PS3.18 8.3.4.2: lists of UIDs are joined by commas
    match = parse_match(keyword, text)
    if not fuzzy or KEYS[keyword].kind is not Kind.NAME or match.kind not in ("single", "wildcard"):
        return [match]
    words = [word for word in re.split(r"[\s^,=*]+", text) if word]
    return [replace(match, kind="wildcard", values=_word_patterns(word)) for word in words]


def _word_patterns(word: str) -> tuple[str, ...]:
    """Names in which some word begins so."""
    return (f"{word}*", *(f"*{before}{word}*" for before in ("^", " ", "-", "'")))


def _included(pairs: Iterable[tuple[str, str]], levels: tuple[Level, ...]) -> list[str]:
    found: list[str] = []
    for name, text in pairs:
        if name == "includefield":
            for field in (field.strip() for field in text.split(",")):
                found += _all(levels) if field.lower() == "all" else [_keyword(field)] if field else []
    return found


def _all(levels: tuple[Level, ...]) -> list[str]:
    """Whatever the index holds of these levels; a study's attributes include its patient's."""
    reached = [*levels, Level.PATIENT] if Level.STUDY in levels else list(levels)
    held = [keyword for level in reached for keyword in INDEX_KEYWORDS[level]]
    return held + [keyword for keyword, (level, _) in COMPUTED.items() if level in levels]


def _last_values(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    return dict(pairs)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise QueryError(f"fuzzymatching is true or false, not {text[:64]!r}")
    return text.lower() == "true"


def _number(given: Mapping[str, str], name: str, absent: int) -> int:
    text = given.get(name, str(absent))
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= MAX_OFFSET):
        raise QueryError(f"{name} is a number from 0 to {MAX_OFFSET}, not {text[:64]!r}")
    return int(text)

"""One matching key as an SQL condition (PS3.4 C.2.2.2), the same on SQLite and PostgreSQL.

Comparison is by code points. Without case: names by Unicode's folding (their columns are folded); any other text by
ASCII's, which is what both databases agree on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Column, ColumnElement, and_, collate, exists, false, func, literal, or_, select, true, union_all

from mripacs.core.errors import QueryError
from mripacs.core.model import Match
from mripacs.store import schema
from mripacs.store.keys import KEYS, Kind, operands
from mripacs.store.match_forms import (
    date_form,
    earliest_time,
    fold,
    latest_time,
    number_form,
    require_storable,
    text_form,
)
from mripacs.store.name_parts import may_match
from mripacs.store.patterns import containing, fixed_prefix, from_literal, from_wildcard, like, matching
from mripacs.store.reading import any_of

MAX_VALUE_LENGTH = 1024  # of a key: far above any VR that is matched; patterns cost time for each star
Operand = ColumnElement[str]
Condition = ColumnElement[bool]
_named = schema.study.alias("named")
_COLLATION = {"sqlite": "BINARY", "postgresql": "C"}


def clause(match: Match, dialect: str) -> Condition:
    """The condition for a match whose keyword is in KEYS and whose kind is not universal; QueryError for bad values."""
    if any(len(value) > MAX_VALUE_LENGTH for value in match.values):
        raise QueryError(f"{match.keyword}: a matching key of more than {MAX_VALUE_LENGTH} characters")
    require_storable(match.keyword, match.values)
    if match.kind == "range" and len(match.values) != 2:
        raise QueryError(f"{match.keyword}: a range has two ends")
    if match.kind == "wildcard" and not all(value.strip("*") for value in match.values):
        return true()  # "*" alone is universal matching
    return _CLAUSES[KEYS[match.keyword].kind](match, dialect)


def _text(match: Match, dialect: str) -> Condition:
    (operand,) = operands(match.keyword)
    return _compare_text(match, operand, dialect)


def _compare_text(match: Match, operand: Operand, dialect: str) -> Condition:
    if match.kind == "range":
        return _between(collate(operand, _COLLATION[dialect]), *match.values)
    if match.kind == "wildcard" and isinstance(operand, Column) and not match.fold_case:
        return or_(false(), *(matching(operand, value, dialect) for value in match.values))
    if match.kind == "wildcard":
        patterns = (from_wildcard(value, dialect) for value in match.values)
        return or_(false(), *(like(operand, pattern, dialect, fold_case=match.fold_case) for pattern in patterns))
    values = [form for value in match.values if (form := text_form(value))]
    if match.fold_case:
        return or_(false(), *(func.lower(operand) == func.lower(value) for value in values))
    return any_of(operand, values)


def _texts(match: Match, dialect: str) -> Condition:
    """Multiple values stand between backslashes; one that matches is enough."""
    (operand,) = operands(match.keyword)
    framed = literal("\\").concat(operand).concat("\\")
    translate = from_wildcard if match.kind == "wildcard" else from_literal
    frame = from_literal("\\", dialect)
    patterns = (containing(f"{frame}{translate(value, dialect)}{frame}", dialect) for value in match.values)
    return or_(false(), *(like(framed, pattern, dialect, fold_case=match.fold_case) for pattern in patterns))


def _name(match: Match, dialect: str) -> Condition:
    """Values with "=" match group by group, the others any group.

    What begins somehow is found in the indexes of the names, the rest by parts of the name; where it has none, as *y*,
    the indexes are read from end to end: 1 ms for 10 000 studies instead of 7 for their rows.
    """
    columns = operands(match.keyword)
    found = [_by_groups(match, columns, value, dialect) for value in match.values if "=" in value]
    in_indexes = []
    for group in (_folded(value) for value in match.values if "=" not in value):
        candidates = may_match(group) if match.keyword == "PatientName" and not _begins(match, group) else None
        if candidates is None:
            in_indexes.append(group)
        else:
            found.append(and_(candidates, or_(*(_one_group(match, column, group, dialect) for column in columns))))
    return or_(false(), *found, *([_in_indexes(match, columns, in_indexes, dialect)] if in_indexes else []))


def _folded(group: str) -> str:
    return fold(group.strip().rstrip("^"))


def _begins(match: Match, group: str) -> bool:
    """Whether it is known how a value begins that matches."""
    return match.kind != "wildcard" or bool(fixed_prefix(group))


def _by_groups(match: Match, columns: tuple[Operand, ...], value: str, dialect: str) -> Condition:
    """Each group that is given matches its own; empty ones match anything."""
    pairs = zip(columns, (_folded(group) for group in value.split("=")), strict=False)
    return and_(true(), *(_one_group(match, column, group, dialect) for column, group in pairs if group.strip("*")))


def _one_group(match: Match, column: Operand, group: str, dialect: str) -> Condition:
    if match.kind == "wildcard" and isinstance(column, Column):
        return matching(column, group, dialect)
    return column == group


def _in_indexes(match: Match, columns: tuple[Operand, ...], groups: Sequence[str], dialect: str) -> Condition:
    """The studies whose names match, by row numbers: the index of each group holds all that this takes."""
    names = [_named.c[column.name] for column in columns if isinstance(column, Column)]
    each = (
        select(_named.c.id).where(
            name.is_not(None), or_(*(_one_group(match, name, group, dialect) for group in groups))
        )
        for name in names
    )
    return schema.study.c.id.in_(union_all(*each))


def _date(match: Match, _dialect: str) -> Condition:
    (operand,) = operands(match.keyword)
    values = [_parsed(match, value, date_form(value)) for value in match.values]
    return _between(operand, *values) if match.kind == "range" else any_of(operand, values)


def _time(match: Match, _dialect: str) -> Condition:
    """A time of lesser precision stands for all instants that begin with it (PS3.5 6.2, TM)."""
    (operand,) = operands(match.keyword)
    ranges = [match.values] if match.kind == "range" else [(value, value) for value in match.values]
    return or_(false(), *(_between(operand, *_instants(match, *ends)) for ends in ranges))


def _instants(match: Match, first: str, last: str) -> tuple[str, str]:
    return _parsed(match, first, earliest_time(first)), _parsed(match, last, latest_time(last))


def _number(match: Match, _dialect: str) -> Condition:
    """Integers; those in JSON compare as their shortest text."""
    (operand,) = operands(match.keyword)
    numbers = [number for value in match.values if (number := number_form(value)) is not None]
    return any_of(operand, numbers if KEYS[match.keyword].column else [str(number) for number in numbers])


def _sop_instance_uid(match: Match, _dialect: str) -> Condition:
    uids = schema.instance_uid.c
    return schema.instance.c.id.in_(select(uids.instance_id).where(any_of(uids.uid, match.values)))


def _modalities(match: Match, dialect: str) -> Condition:
    """Modalities in Study (PS3.4 C.6.2.1.2 note): any series of the study has the modality."""
    member = schema.series.alias("member").c
    same = _compare_text(match, member.modality, dialect)
    return exists().where(member.study_id == schema.study.c.id, same)


def _between(operand: Operand, first: str, last: str) -> Condition:
    """Both ends included; an empty end is open. An absent value is in no range."""
    ends = [operand >= first] if first else []
    return and_(operand.is_not(None), *ends, *([operand <= last] if last else []))


def _parsed(match: Match, value: str, form: str | None) -> str:
    """The form of a date or time; an empty one stays the open end of a range. QueryError for anything else."""
    if form is None and (value.strip() or match.kind != "range"):
        raise QueryError(f"{match.keyword}: {match.kind} matching needs dates (YYYYMMDD) or times (HHMMSS.FFFFFF)")
    return form or ""


_CLAUSES: Mapping[Kind, Callable[[Match, str], Condition]] = {
    Kind.TEXT: _text,
    Kind.TEXTS: _texts,
    Kind.NAME: _name,
    Kind.DATE: _date,
    Kind.TIME: _time,
    Kind.NUMBER: _number,
    Kind.SOP_INSTANCE_UID: _sop_instance_uid,
    Kind.MODALITIES: _modalities,
}

"""Wildcards (PS3.4 C.2.2.2.4) as SQL patterns that compare by code points: GLOB on SQLite, LIKE on PostgreSQL.

SQLite's LIKE ignores ASCII case, its GLOB does not; PostgreSQL's LIKE does not either. PostgreSQL finds the range of a
prefix in an index by itself, since the columns are collated "C"; SQLite does not among alternatives, so it is given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlalchemy import Column, ColumnElement, and_, func

# Characters of a wildcard pattern that SQL would take as something else.
_SPECIAL: Mapping[str, dict[int, str]] = {
    "sqlite": str.maketrans({"[": "[[]"}),
    "postgresql": str.maketrans({"%": "\\%", "_": "\\_", "\\": "\\\\", "*": "%", "?": "_"}),
}
# The same where * and ? are meant as themselves.
_LITERAL: Mapping[str, dict[int, str]] = {
    "sqlite": str.maketrans({"[": "[[]", "*": "[*]", "?": "[?]"}),
    "postgresql": str.maketrans({"%": "\\%", "_": "\\_", "\\": "\\\\"}),
}
_ANY: Mapping[str, str] = {"sqlite": "*", "postgresql": "%"}
_LAST, _BEFORE_SURROGATES, _AFTER_SURROGATES = 0x10FFFF, 0xD7FF, 0xE000  # code points that text can hold


def from_wildcard(pattern: str, dialect: str) -> str:
    """The SQL pattern for a value in which * is any run of characters and ? any one."""
    return re.sub(r"\*+", "*", pattern).translate(_SPECIAL[dialect])


def from_literal(text: str, dialect: str) -> str:
    """The SQL pattern that matches the text only."""
    return text.translate(_LITERAL[dialect])


def containing(pattern: str, dialect: str) -> str:
    """The SQL pattern for anything with the given SQL pattern in it."""
    return f"{_ANY[dialect]}{pattern}{_ANY[dialect]}"


def like(operand: ColumnElement[str], pattern: str, dialect: str, *, fold_case: bool = False) -> ColumnElement[bool]:
    """Whether the operand matches an SQL pattern; `fold_case` ignores the case of ASCII letters."""
    if fold_case:
        return like(func.lower(operand), pattern.lower(), dialect)
    if dialect == "sqlite":
        return operand.op("GLOB", is_comparison=True)(pattern)
    return operand.like(pattern, escape="\\")


def matching(column: Column[str], pattern: str, dialect: str) -> ColumnElement[bool]:
    """Whether a column matches a wildcard pattern; an index on it serves what stands before the first wildcard."""
    whole = like(column, from_wildcard(pattern, dialect), dialect)
    prefix = fixed_prefix(pattern)
    if not prefix or dialect != "sqlite":
        return whole
    end = successor(prefix)
    return and_(column >= prefix, *([column < end] if end else []), whole)


def fixed_prefix(pattern: str) -> str:
    """What stands before the first wildcard."""
    return re.split(r"[*?]", pattern, maxsplit=1)[0]


def successor(prefix: str) -> str:
    """The smallest text, by code points, above all that begin with the prefix; "" where there is none."""
    kept = prefix.rstrip(chr(_LAST))
    if not kept:
        return ""
    last = ord(kept[-1])
    return kept[:-1] + chr(_AFTER_SURROGATES if last == _BEFORE_SURROGATES else last + 1)

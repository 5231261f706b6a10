"""Wildcards (PS3.4 C.2.2.2.4) as SQL patterns that compare by code points: GLOB on SQLite, LIKE on PostgreSQL.

SQLite's LIKE ignores ASCII case, its GLOB does not; PostgreSQL's LIKE does not either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlalchemy import ColumnElement, func

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

"""The error tree: drawn as it is, and every leaf says how each door reports it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import pytest

from mripacs.core import errors
from mripacs.core.errors import MripacsError


def descendants(root: type[MripacsError]) -> Iterator[type[MripacsError]]:
    """All classes below `root` that errors.py defines, parents first."""
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from descendants(child)


TREE = [MripacsError, *descendants(MripacsError)]


def drawn() -> dict[str, str | None]:
    """Each class of the drawing with its parent, read from the branches' depth."""
    parents: list[str] = []
    tree: dict[str, str | None] = {}
    for branch, name in re.findall(r"^    ([│├└─ ]*)(\w+Error)\b", errors.__doc__ or "", re.MULTILINE):
        depth = len(branch) // 4
        parents[depth:] = [name]
        tree[name] = parents[depth - 1] if depth else None
    return tree


def test_the_drawing_is_the_tree() -> None:
    real = {each.__name__: each.__bases__[0].__name__ for each in TREE}
    assert drawn() == {**real, "MripacsError": None}


def test_every_error_of_the_module_is_in_the_tree() -> None:
    defined = {value for _, value in inspect.getmembers(errors, inspect.isclass) if value.__module__ == errors.__name__}
    assert defined == set(TREE)


@pytest.mark.parametrize("error", TREE, ids=lambda error: error.__name__)
def test_every_error_says_how_each_door_reports_it(error: type[MripacsError]) -> None:
    # Failure statuses of PS3.7 Annex C: 01xx, 02xx, Axxx, Cxxx. Warnings (Bxxx) and success acknowledge an object.
    assert error.dimse_status >> 12 in (0xA, 0xC) or error.dimse_status >> 8 in (0x01, 0x02)
    assert 400 <= error.http_status <= 599
    assert 64 <= error.exit_code <= 78  # sysexits.h: EX__BASE to EX_CONFIG
    assert error.__doc__


def test_a_full_disk_and_a_conflict_are_told_apart_at_each_door() -> None:
    doors = {(e.dimse_status, e.http_status) for e in (errors.StoreFullError, errors.ConflictError)}
    assert doors == {(0xA700, 507), (0xC111, 409)}

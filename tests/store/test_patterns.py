"""How a pattern begins."""

from __future__ import annotations

import pytest

from mripacs.store.patterns import fixed_prefix, successor


@pytest.mark.parametrize(
    ("prefix", "end"),
    [("abc", "abd"), ("a\ud7ff", "a\ue000"), ("a\U0010ffff", "b"), ("\U0010ffff", ""), ("é", "ê")],
)
def test_the_end_of_a_prefix(prefix: str, end: str) -> None:
    assert successor(prefix) == end


@pytest.mark.parametrize(("pattern", "prefix"), [("ab*c", "ab"), ("a?", "a"), ("*a", ""), ("abc", "abc")])
def test_what_stands_before_a_wildcard(pattern: str, prefix: str) -> None:
    assert fixed_prefix(pattern) == prefix

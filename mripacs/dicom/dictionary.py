"""The data dictionary of PS3.6, as far as encodings and keywords need it, through pydicom."""

from __future__ import annotations

from functools import lru_cache

from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag, repeater_has_tag, tag_for_keyword

_CACHED = 8192  # twice what PS3.6 lists: an attacker's random tags cannot grow a cache without bound


@lru_cache(_CACHED)
def is_public(tag: int) -> bool:
    """Whether PS3.6 lists the tag (repeating groups included)."""
    return dictionary_has_tag(tag) or repeater_has_tag(tag)


@lru_cache(_CACHED)
def vr_of_tag(tag: int) -> str:
    """The VR of an element that was written without one; "UN" when nobody knows.

    Ambiguous VRs come back as PS3.6 writes them ("US or SS", "OB or OW"). Private elements are UN except private
    creators (LO); group lengths are UL (PS3.5 7.2, 7.8.1).
    """
    group, element = tag >> 16, tag & 0xFFFF
    if element == 0:
        return "UL"
    if group % 2:
        return "LO" if 0x10 <= element <= 0xFF else "UN"
    return dictionary_VR(tag) if is_public(tag) else "UN"


@lru_cache(_CACHED)
def vr_of(keyword: str) -> str:
    """The VR of the element with this keyword, as PS3.6 writes it; "UN" for keywords that it does not list."""
    tag = tag_for_keyword(keyword)
    return "UN" if tag is None else vr_of_tag(tag)


@lru_cache(_CACHED)
def keyword_of(tag: int) -> str:
    """The keyword; "" for private and unknown tags."""
    return keyword_for_tag(tag)


def tag_of(keyword: str) -> int:
    """The tag of a keyword that PS3.6 lists; KeyError for others."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return tag

"""What objects look like when they leave: lossy results, private terms, character sets, and the configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydicom.charset import python_encoding

from mripacs.conformance.document import Cell, Section, Table
from mripacs.core.refusal import allowed
from mripacs.core.section import Section as SettingsSection
from mripacs.core.settings import SECTIONS, Settings
from mripacs.dicom import identity
from mripacs.ingest.policy import Policy

Row = tuple[Cell, ...]
SECRET = re.compile(r"token|secret|password|key")  # settings whose values are not shown
CREDENTIALS = re.compile(r"//[^@/]*@")  # in URLs


def character_sets() -> Section:
    """Specific Character Set on the way in and out."""
    rows = tuple((term,) for term in sorted(term for term in python_encoding if term))
    return Section(
        "Character Sets",
        (
            "Data sets keep the character set they came in. Values are decoded for the index by these terms of "
            "Specific Character Set (0008,0005), with code extensions; unknown terms are read as ISO 8859-1. Query "
            "responses and DICOM JSON are in UTF-8.",
        ),
        (Table("Character Sets", ("Defined Term",), rows),),
    )


def lossy_results(settings: Settings) -> Section:
    """How a lossy instance is marked and named, and which objects become one."""
    derived = settings.archive.identity == "derive"
    uid = "2.25. and a UUID of version 5 over original UID, codec and target" if derived else "that of the original"
    marks = (
        ("SOP Instance UID", "(0008,0018)", uid),
        ("Image Type", "(0008,0008)", "value 1 becomes DERIVED, also in functional groups"),
        ("Lossy Image Compression", "(0028,2110)", "01"),
        ("Lossy Image Compression Ratio", "(0028,2112)", "appended: pixel bytes to payload bytes"),
        ("Lossy Image Compression Method", "(0028,2114)", f"appended: {identity.METHOD_TERM}"),
        ("Derivation Description", "(0008,2111)", "codec, target and measured error appended"),
        ("Derivation Code Sequence", "(0008,9215)", "113040, DCM, Lossy Compression"),
        ("Source Image Sequence", "(0008,2112)", "the original, purpose 121320" if derived else "not changed"),
        (
            "Smallest Image Pixel Value",
            _tag(identity.SMALLEST_IMAGE_PIXEL_VALUE),
            "of these pixels, where it was there",
        ),
        ("Largest Image Pixel Value", _tag(identity.LARGEST_IMAGE_PIXEL_VALUE), "of these pixels, where it was there"),
        *(
            (f"Extreme value in plane, {extreme}imum", _tag(tag), "of these pixels, where it was there")
            for tag, extreme in identity.PLANE_EXTREMES.items()
        ),
        (
            "MAC, signatures, histograms",
            ", ".join(map(_tag, identity.VOID_TAGS)),
            "removed",
        ),
    )
    methods = ((identity.METHOD_TERM, "private", "K-wavelet codec of this product"), *_standard_methods())
    rules = tuple(
        (rule.name, rule.keep, str(rule.target or ""), _conditions(rule.when))
        for rule in Policy.from_settings(settings.policy).rules
    )
    return Section(
        "Lossy Compression and Identity",
        (
            "The first rule that holds decides how an object is kept: kwavelet within the stated bound of each frame, "
            "measured on stored integers; lossless and verbatim so that the received bytes come back. A result without "
            "any error keeps its UID and bears no marks. A lossy result that is stored again, here or in another node, "
            "keeps every pixel and is not marked again.",
        ),
        (
            Table("Rules in force, in order", ("Rule", "Kept", "Bound", "Conditions"), rules),
            Table("Attributes of lossy results", ("Attribute", "Tag", "Value"), marks),
            Table("Lossy Image Compression Methods", ("Term", "Kind", "Meaning"), methods),
        ),
    )


def _tag(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _standard_methods() -> Iterator[Row]:
    for term in sorted(set(identity.METHOD_OF_SYNTAX.values())):
        yield term, "defined term", "an earlier step that the object came with, unnamed, in a lossy transfer syntax"
    yield identity.UNKNOWN_METHOD, "private", "an earlier step that left a ratio without naming its method"


def _conditions(when: SettingsSection) -> str:
    given = when.model_dump(exclude_defaults=True)
    words = (f"{name}: {', '.join(value) if isinstance(value, tuple) else value}" for name, value in given.items())
    return "; ".join(words) or "always"


def private_elements() -> Section:
    """Private data elements: none are written."""
    return Section(
        "Private Attributes",
        ("No private data elements are created and no private creator is reserved; received ones stay as they are.",),
    )


def configuration(settings: Settings) -> Section:
    """Every key of the configuration with the value in force."""
    rows = tuple(_setting_rows(settings))
    return Section(
        "Configuration",
        ("Values come from a TOML file, environment variables and flags. Secrets are not shown.",),
        (Table("Settings in force", ("Key", "Value", "Allowed", "Meaning"), rows),),
    )


def _setting_rows(settings: Settings) -> Iterator[Row]:
    for table in SECTIONS:
        yield from _table_rows((table,), getattr(settings, table))


def _table_rows(location: tuple[str, ...], table: SettingsSection) -> Iterator[Row]:
    for key, field in type(table).model_fields.items():
        value, place = getattr(table, key), (*location, key)
        if isinstance(value, SettingsSection):
            yield from _table_rows(place, value)
        else:
            yield ".".join(place), _shown(key, value), allowed(type(table), (key,)), field.description or ""


def _shown(key: str, value: Any) -> str:
    """A value in words, without credentials. Tables and lists of tables are told by their number."""
    if value is None:
        return "unset"
    if SECRET.search(key):
        return "set, not shown" if value else "unset"
    if isinstance(value, tuple) and all(isinstance(each, str) for each in value):
        return ", ".join(value) or "none"
    if isinstance(value, tuple | dict):
        return f"{len(value)} entries" if value else "none"
    return CREDENTIALS.sub("//***@", str(value))

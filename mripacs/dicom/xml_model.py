"""The Native DICOM Model (PS3.19 A.1) from the DICOM JSON model and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element, ParseError, SubElement, fromstring, tostring

from pydicom.datadict import keyword_for_tag

from mripacs.core.errors import NotDicomError

NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
MAX_DEPTH = 32  # of sequences in a document that somebody sends
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")


def to_xml(model: Mapping[str, Any]) -> bytes:
    """A document of one data set, UTF-8. Characters that XML cannot hold become U+FFFD."""
    root = Element("NativeDicomModel", {"xmlns": NAMESPACE, "xml:space": "preserve"})
    _add_elements(root, model)
    written: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _add_elements(parent: Element, model: Mapping[str, Any]) -> None:
    creators = {key: _first_text(model[key]) for key in model if int(key[:4], 16) % 2 and key.startswith("00", 4)}
    for tag, element in sorted(model.items()):
        attributes = {"tag": tag, "vr": element["vr"]}
        if int(tag[:4], 16) % 2:
            creator = creators.get(f"{tag[:4]}00{tag[4:6]}", "")
            attributes |= {"privateCreator": clean(creator)} if creator else {}
        elif keyword := keyword_for_tag(int(tag, 16)):
            attributes["keyword"] = keyword
        _add_values(SubElement(parent, "DicomAttribute", attributes), element)


def _add_values(attribute: Element, element: Mapping[str, Any]) -> None:
    if "BulkDataURI" in element:
        SubElement(attribute, "BulkData", uri=element["BulkDataURI"])
    elif "InlineBinary" in element:
        SubElement(attribute, "InlineBinary").text = element["InlineBinary"]
    for number, value in enumerate(element.get("Value", ()), 1):
        if element["vr"] == "SQ":
            _add_elements(SubElement(attribute, "Item", number=str(number)), value)
        elif element["vr"] == "PN":
            _add_name(SubElement(attribute, "PersonName", number=str(number)), value or {})
        else:
            SubElement(attribute, "Value", number=str(number)).text = "" if value is None else clean(str(value))


def _add_name(person: Element, name: Mapping[str, str]) -> None:
    for group in _GROUPS:
        if group in name:
            parts = SubElement(person, group)
            for component, text in zip(_COMPONENTS, name[group].split("^"), strict=False):
                if text:
                    SubElement(parts, component).text = clean(text)


def _first_text(element: Mapping[str, Any]) -> str:
    values = element.get("Value") or [""]
    return str(values[0] or "")


def clean(text: str) -> str:
    """Without what XML 1.0 has no way to write (2.2): most control characters, surrogates, two non-characters."""
    return "".join(char if _is_xml(ord(char)) else "\ufffd" for char in text)


def _is_xml(code: int) -> bool:
    return code in (0x9, 0xA, 0xD) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000


def from_xml(document: bytes) -> dict[str, Any]:
    """The DICOM JSON model of a document. Raises NotDicomError for anything but a Native DICOM Model.

    A document type is refused: entities in it could grow without bound or name files.
    """
    if b"<!DOCTYPE" in document.upper() or b"\0" in document:
        raise NotDicomError("XML metadata must be UTF-8 and have no document type")
    try:
        root = fromstring(document)  # noqa: S314 - no document type, hence no entities
    except ParseError as error:
        raise NotDicomError(f"the XML cannot be read: {error}") from error
    if _local(root) != "NativeDicomModel":
        raise NotDicomError("the XML is no NativeDicomModel")
    return _read_elements(root, 0)


def _read_elements(parent: Element, depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise NotDicomError(f"the XML nests sequences deeper than {MAX_DEPTH}")
    return {
        attribute.get("tag", "").upper(): _read_element(attribute, depth)
        for attribute in parent
        if _local(attribute) == "DicomAttribute"
    }


def _read_element(attribute: Element, depth: int) -> dict[str, Any]:
    element: dict[str, Any] = {"vr": attribute.get("vr", "UN")}
    values: list[Any] = []
    for child in attribute:
        match _local(child):
            case "Value":
                values.append(child.text or None)
            case "PersonName":
                values.append({_local(group): _joined_name(group) for group in child})
            case "Item":
                values.append(_read_elements(child, depth + 1))
            case "InlineBinary":
                element["InlineBinary"] = "".join((child.text or "").split())
            case "BulkData":
                element["BulkDataURI"] = child.get("uri") or child.get("uuid") or ""
    return element | ({"Value": values} if values else {})


def _joined_name(group: Element) -> str:
    texts = {_local(part): part.text or "" for part in group}
    return "^".join(texts.get(component, "") for component in _COMPONENTS).rstrip("^")


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]

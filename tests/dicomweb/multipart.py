"""Multipart bodies as the standard library writes and reads them: not our own code."""

from __future__ import annotations

import email.parser
import email.policy
from dataclasses import dataclass


@dataclass
class Part:
    headers: dict[str, str]
    content: bytes


def parts_of(response) -> list[Part]:
    """The parts of a multipart/related answer."""
    head = f"Content-Type: {response.headers['content-type']}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + response.content)
    assert message.get_content_type() == "multipart/related"
    assert message.defects == []
    return [
        Part({name.lower(): value for name, value in part.items()}, part.get_payload(decode=True))
        for part in message.iter_parts()
    ]


def body_of(*parts: tuple[dict[str, str], bytes], boundary: str = "limit") -> bytes:
    """A body of parts, each its headers and its content."""
    lines = b""
    for headers, content in parts:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        lines += f"--{boundary}\r\n{head}\r\n".encode() + content + b"\r\n"
    return lines + f"--{boundary}--\r\n".encode()


DICOM_PART = {"Content-Type": "application/dicom"}


def related(part_type: str = "application/dicom", boundary: str = "limit") -> dict[str, str]:
    """Headers of a request with such a body."""
    return {"Content-Type": f'multipart/related; type="{part_type}"; boundary={boundary}'}

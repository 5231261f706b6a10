"""Bytes in several parts, sent in as few system calls as they take, and without being copied together."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence

MAX_PARTS = 512  # of one system call; Linux takes 1024


def send_all(connection: socket.socket, parts: Sequence[bytes | memoryview]) -> None:
    """Send every part in order. Raises OSError when the connection ends, or takes nothing for its timeout."""
    if isinstance(connection, ssl.SSLSocket):
        connection.sendall(b"".join(parts))
        return
    for start in range(0, len(parts), MAX_PARTS):
        chunk = [memoryview(part) for part in parts[start : start + MAX_PARTS]]
        while chunk:
            chunk = _left(chunk, connection.sendmsg(chunk))


def _left(parts: list[memoryview], sent: int) -> list[memoryview]:
    """What is left of the parts after their first `sent` bytes."""
    for index, part in enumerate(parts):
        if sent < len(part):
            return [part[sent:], *parts[index + 1 :]]
        sent -= len(part)
    return []

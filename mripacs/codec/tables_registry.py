"""Tables of the `small` coder that do not ship with the package: payloads name them by the start of their SHA-256.

A process knows the tables that were added to it, and asks its sources (an archive's database) for others, so that
tables that were added elsewhere meanwhile are found. Nothing here is loaded or parsed before a payload needs it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from mripacs.core.errors import UnknownTablesError

NAME_BYTES = 8  # of the SHA-256, in a payload: 4 * 10^9 tables until two of them are likely to share a name

Source = Callable[[bytes], bytes | None]  # the file's bytes by name; None for unknown ones

_known: dict[bytes, bytes] = {}
_sources: list[Source] = []


def name_of(content: bytes) -> bytes:
    """The name of a table file in payloads."""
    return hashlib.sha256(content).digest()[:NAME_BYTES]


def parse_name(digest: str) -> bytes:
    """The name in a SHA-256 of hexadecimal digits, of which the first 16 are enough. Raises UnknownTablesError."""
    try:
        name = bytes.fromhex(digest)[:NAME_BYTES]
    except ValueError:
        name = b""
    if len(name) < NAME_BYTES:
        raise UnknownTablesError(f"{digest!r} does not begin with {2 * NAME_BYTES} hexadecimal digits of a SHA-256")
    return name


def add(content: bytes) -> bytes:
    """Make a table file known to this process; gives its name."""
    name = name_of(content)
    _known[name] = content
    return name


def add_source(source: Source) -> None:
    """Ask `source` for tables that this process does not know."""
    _sources.append(source)


def remove_source(source: Source) -> None:
    """Ask it no longer."""
    _sources.remove(source)


def find(name: bytes) -> bytes:
    """The table file of that name, its digest checked. Raises UnknownTablesError, which names what is missing."""
    if name not in _known:
        for source in tuple(_sources):
            content = source(name)
            if content is not None and name_of(content) == name:
                _known[name] = content
                break
    if name not in _known:
        raise UnknownTablesError(
            f"the payload was coded with tables whose SHA-256 begins with {name.hex()}, and they are not known here: "
            "add their file with `mripacs admin codec add`"
        )
    return _known[name]

"""mripacs: a storage node for MR images.

    import mripacs
    with mripacs.Archive.open("archive-folder") as archive:
        archive.store("slice.dcm")

`Archive` is the whole Python API; `evt_handlers(archive)` plugs it into somebody else's pynetdicom application entity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mripacs.core.errors import MripacsError
from mripacs.core.settings import Settings, load_settings

if TYPE_CHECKING:
    from mripacs.archive import Archive as Archive
    from mripacs.dimse import evt_handlers as evt_handlers

__version__ = "0.1.0"
__all__ = ["Archive", "MripacsError", "Settings", "__version__", "evt_handlers", "load_settings"]

_LAZY = {"Archive": "mripacs.archive", "evt_handlers": "mripacs.dimse"}


def __getattr__(name: str) -> Any:
    """Load the rooms behind the public names only when they are used: `mripacs --help` needs none of them."""
    if name not in _LAZY:
        raise AttributeError(f"module 'mripacs' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only here

    return getattr(import_module(_LAZY[name]), name)

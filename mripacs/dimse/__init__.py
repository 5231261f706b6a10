"""The DICOM network side: the only room that imports pynetdicom.

`evt_handlers(archive)` plugs an archive into any pynetdicom application entity; `DicomServer` is the node's own one.
"""

from mripacs.dimse.handlers import evt_handlers
from mripacs.dimse.server import DicomServer

__all__ = ["DicomServer", "evt_handlers"]

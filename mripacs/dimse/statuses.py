"""Our errors as DIMSE statuses with an Error Comment, and the one place where a handler's defects end."""

from __future__ import annotations

import logging

from pydicom.dataset import Dataset

from mripacs.core.errors import MripacsError, StoreError

log = logging.getLogger(__name__)

SUCCESS = 0x0000
CANCEL = 0xFE00
PENDING = 0xFF00
PENDING_UNSUPPORTED_KEYS = 0xFF01  # PS3.4 C.4.1.1.4: optional keys were not supported for matching
OUT_OF_RESOURCES = 0xA700
UNABLE_TO_PROCESS = 0xC000
COMMENT_LENGTH = 64  # Error Comment (0000,0902) is LO


def failure(error: Exception, about: str = "a request") -> Dataset:
    """The status of an error of ours; anything else is a defect: logged by its type only, its text may hold data.

    about : what failed, for the log; a UID, no patient data.
    """
    if isinstance(error, StoreError):
        log.error("%s failed: %s", about, error)
    if isinstance(error, MripacsError):
        return _status(error.dimse_status, str(error))
    if isinstance(error, MemoryError):
        log.error("%s failed: out of memory at %s", about, _place(error))
        return _status(OUT_OF_RESOURCES, "out of memory")
    log.error("a handler failed: %s at %s", type(error).__name__, _place(error))
    return _status(UNABLE_TO_PROCESS, "internal error")


def _status(code: int, comment: str) -> Dataset:
    status = Dataset()
    status.Status = code
    status.ErrorComment = "".join(char if " " <= char <= "~" and char != "\\" else "?" for char in comment)[
        :COMMENT_LENGTH
    ]
    return status


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "unknown place"

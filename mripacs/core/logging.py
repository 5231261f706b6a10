"""Logging set-up. Messages name objects by UID, sizes and reasons; patient data never reaches a log line.

Exceptions of other packages quote values of the data set in their messages (pydicom's do), so a logged exception is
written as its class and the places it came through; only errors of our own tree speak for themselves.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime

from mripacs.core.errors import MripacsError
from mripacs.core.settings import LogSettings

LOGGER_NAME = "mripacs"

# What a peer sends (titles, UIDs) may hold control characters; escaped, one record stays one line.
# Unicode has more that end a line or turn its direction.
CONTROL_CHARACTERS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    code: f"\\u{code:04x}" for code in (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}


def configure_logging(settings: LogSettings) -> None:
    """Send the records of `mripacs` and, from errors up, of the libraries to standard error, replacing other handlers.

    pynetdicom logs the identifiers of queries (patient names) below WARNING, so its level never goes under that.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if settings.json_lines else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(LOGGER_NAME).setLevel(settings.level)
    for library in ("pynetdicom", "pydicom", "sqlalchemy"):
        logging.getLogger(library).setLevel(logging.ERROR)


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and an exception's words and places if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        return json.dumps(_fields(record))


class TextLines(logging.Formatter):
    """The same fields for people, on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line without control characters."""
        fields = _fields(record)
        line = f"{fields['time']} {fields['level']:7} {fields['logger']}: {fields['message']}"
        if "exception" in fields:
            line += f" [{fields['exception']}; {fields['places']}]"
        return line.translate(CONTROL_CHARACTERS)


def _fields(record: logging.LogRecord) -> dict[str, str]:
    fields = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname,
        "logger": record.name,
        "message": record.getMessage(),
    }
    if record.exc_info and (error := record.exc_info[1]):
        frames = traceback.extract_tb(error.__traceback__)
        fields["exception"] = _words(error)
        fields["places"] = " > ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames)
    return fields


def _words(error: BaseException) -> str:
    """Class and message of our own errors, the class alone of others."""
    return f"{type(error).__name__}: {error}" if isinstance(error, MripacsError) else type(error).__name__

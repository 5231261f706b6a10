"""Logging set-up. Messages name objects by UID, sizes and reasons; patient data never reaches a log record."""

from __future__ import annotations

import json
import logging
import sys

from mripacs.core.settings import LogSettings

LOGGER_NAME = "mripacs"


def configure_logging(settings: LogSettings) -> None:
    """Send the records of `mripacs` and, from warnings up, of the libraries to standard error.

    pynetdicom logs the identifiers of queries (patient names) below WARNING, so its level never goes under that.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if settings.json_lines else _text_format())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(LOGGER_NAME).setLevel(settings.level)
    for library in ("pynetdicom", "pydicom", "sqlalchemy"):
        logging.getLogger(library).setLevel(logging.ERROR)


def _text_format() -> logging.Formatter:
    return logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the exception's class if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0]:
            fields["exception"] = record.exc_info[0].__name__
        return json.dumps(fields)

"""One record is one line, without what other packages quote of a data set."""

from __future__ import annotations

import json
import logging

import pytest

from mripacs.core.errors import ConflictError
from mripacs.core.logging import configure_logging
from mripacs.core.settings import LogSettings


@pytest.fixture
def stderr_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Configure logging for the test and return what it wrote; the handlers of before come back."""
    root = logging.getLogger()
    before = root.handlers[:]
    levels = {name: logging.getLogger(name).level for name in (None, "mripacs", "pynetdicom", "pydicom", "sqlalchemy")}

    def configure(**settings) -> None:
        configure_logging(LogSettings(**settings))

    def lines() -> list[str]:
        return capsys.readouterr().err.splitlines()

    yield configure, lines
    root.handlers[:] = before
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def fail(error: Exception) -> None:
    try:
        raise error
    except type(error):
        logging.getLogger("mripacs.test").exception("object %s refused", "1.2.3")


def test_json_lines_can_be_read_by_a_machine(stderr_lines) -> None:
    configure, lines = stderr_lines
    configure(json_lines=True)
    fail(ConflictError("stored already"))
    (line,) = lines()
    fields = json.loads(line)
    assert list(fields) == ["time", "level", "logger", "message", "exception", "places"]
    assert fields["time"].endswith("+00:00")
    assert (fields["level"], fields["logger"], fields["message"]) == ("ERROR", "mripacs.test", "object 1.2.3 refused")
    assert fields["exception"] == "ConflictError: stored already"
    assert "test_logging.py" in fields["places"]


@pytest.mark.parametrize("json_lines", [True, False])
def test_messages_of_other_packages_are_not_quoted(stderr_lines, json_lines: bool) -> None:
    configure, lines = stderr_lines
    configure(json_lines=json_lines)
    fail(ValueError("invalid value for PN: Doe^Jane"))
    (line,) = lines()
    assert "ValueError" in line
    assert "Doe" not in line


@pytest.mark.parametrize("json_lines", [True, False])
def test_a_record_stays_one_line_whatever_a_peer_sends(stderr_lines, json_lines: bool) -> None:
    configure, lines = stderr_lines
    configure(json_lines=json_lines)
    logging.getLogger("mripacs").info("association with %s", "EVIL\n2030-01-01 INFO all is well\r\x1b[2J\x85")
    (line,) = lines()
    assert line.isprintable()


@pytest.mark.parametrize(
    ("logger", "level", "written"),
    [("mripacs.node", "INFO", True), ("mripacs.node", "DEBUG", False), ("pynetdicom.acse", "WARNING", False),
     ("pydicom", "WARNING", False), ("sqlalchemy.engine", "ERROR", True), ("elsewhere", "INFO", False)],
)  # fmt: skip
def test_libraries_speak_only_of_errors(stderr_lines, logger: str, level: str, written: bool) -> None:
    configure, lines = stderr_lines
    configure(level="INFO")
    logging.getLogger(logger).log(logging.getLevelNamesMapping()[level], "something")
    assert len(lines()) == written

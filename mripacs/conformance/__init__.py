"""The DICOM conformance statement, generated from what the code does and from the configuration in force."""

from mripacs.conformance.statement import FORMATS, statement

__all__ = ["FORMATS", "statement"]

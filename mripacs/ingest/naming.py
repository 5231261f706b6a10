"""The UID under which an instance is served."""

from __future__ import annotations

from dataclasses import dataclass

from mripacs.core.model import Certificate
from mripacs.dicom import identity


@dataclass(frozen=True, slots=True)
class Naming:
    """The names that an object came with, and whether a lossy result gets one of its own."""

    sop_class_uid: str
    sop_instance_uid: str
    derives: bool

    def served_uid(self, certificate: Certificate) -> str:
        """The derived UID of a lossy result; an effort that chooses pixels of its own has UIDs of its own."""
        if not (certificate.lossy and self.derives):
            return self.sop_instance_uid
        target = str(certificate.target) if certificate.effort is None else f"{certificate.target} {certificate.effort}"
        return identity.derived_uid(self.sop_instance_uid, str(certificate.codec), target)

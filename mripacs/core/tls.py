"""TLS as both doors are told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from mripacs.core.section import Section


class TlsSettings(Section):
    """TLS (PS3.15 B.12: BCP 195): whom peers find here, and whom they must be. All files are PEM."""

    certificate: Path | None = Field(None, description="the node's certificate chain; unset: no TLS")
    key: Path | None = Field(None, description="its private key; unset: in the certificate's file")
    client_ca: Path | None = Field(None, description="authorities, one of which must have signed a peer's certificate")

    @model_validator(mode="after")
    def _belongs_to_a_certificate(self) -> Self:
        if self.certificate is None and (self.key or self.client_ca):
            raise ValueError("key and client_ca need a certificate")
        return self

"""TLS as both doors are told of it, and as the node uses it when it calls others."""

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


class ClientTlsSettings(Section):
    """TLS to C-MOVE destinations, to who asked for a storage commitment, and to the syslog server. Files are PEM."""

    ca: Path | None = Field(None, description="authorities, one of which must have signed the other side's certificate")
    certificate: Path | None = Field(None, description="shown when asked for; unset: the node's own, if it has one")
    key: Path | None = Field(None, description="its private key; unset: in the certificate's file")
    check_name: bool = Field(True, description="the certificate must name the host")

    @model_validator(mode="after")
    def _belongs_to_a_certificate(self) -> Self:
        if self.certificate is None and self.key:
            raise ValueError("key needs a certificate")
        return self

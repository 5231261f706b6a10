"""A certificate authority made for a test, with OpenSSL's own program."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key, PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """Signs certificates for 127.0.0.1."""

    folder: Path
    name: str

    @property
    def certificate(self) -> Path:
        """What peers must be given to believe it."""
        return self.folder / f"{self.name}.crt"

    def found(self) -> Authority:
        """Make its key and its own certificate."""
        _openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 2, "-subj", f"/CN={self.name}",
            "-keyout", self.folder / f"{self.name}.key", "-out", self.certificate,
        )  # fmt: skip
        return self

    def identify(self, name: str) -> Identity:
        """A certificate for whoever listens on, or calls from, 127.0.0.1."""
        made = Identity(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text("subjectAltName=IP:127.0.0.1\n", encoding="ascii")
        _openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", made.key, "-out", request)
        _openssl(
            "x509", "-req", "-in", request, "-days", 2, "-extfile", extensions, "-CAcreateserial",
            "-CA", self.certificate, "-CAkey", self.folder / f"{self.name}.key", "-out", made.certificate,
        )  # fmt: skip
        return made

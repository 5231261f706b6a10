"""DICOM TLS as PS3.15 B.12 (BCP 195) asks for: TLS 1.2 or later, with the ciphers that Python holds to be safe."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from mripacs.core.errors import SettingsError
from mripacs.core.tls import ClientTlsSettings, TlsSettings

REASONS = {  # OpenSSL's, where they say little to people
    "KEY_VALUES_MISMATCH": "the key is not the certificate's",
    "NO_CERTIFICATE_OR_CRL_FOUND": "no certificate",
    "BAD_DECRYPT": "the key has a pass phrase",
}


def server_context(settings: TlsSettings) -> ssl.SSLContext | None:
    """What the node's sockets are wrapped with; None where no certificate is configured.

    Raises SettingsError naming the file and what is wrong with it.
    """
    if settings.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_certificate(context, settings.certificate, settings.key)
    if settings.client_ca is not None:
        _load_authorities(context, settings.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@dataclass(frozen=True, slots=True)
class ClientTls:
    """Whom a client of ours believes, and what it shows. Files are PEM.

    authorities : who may have signed the peer's certificate; the system's where it is None.
    certificate, key : shown to peers that ask for one; the key may be in the certificate's file.
    check_name : whether the certificate must name the host. Sites whose certificates name titles turn it off.
    """

    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    check_name: bool = True

    def context(self) -> ssl.SSLContext:
        """What the client's socket is wrapped with. Raises SettingsError naming the file that is wrong."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = self.check_name
        if self.authorities is None:
            context.load_default_certs()
        else:
            _load_authorities(context, self.authorities)
        if self.certificate is not None:
            _load_certificate(context, self.certificate, self.key)
        return context


def client_tls(settings: ClientTlsSettings, own: TlsSettings) -> ClientTls:
    """What the settings say; the node's own certificate is shown where they name none."""
    certificate, key = settings.certificate, settings.key
    if certificate is None:
        certificate, key = own.certificate, own.key
    return ClientTls(settings.ca, certificate, key, settings.check_name)


def _load_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    for path in (certificate, key):
        if path is not None:
            _require_readable(path)
    try:
        context.load_cert_chain(certificate, key, password=_no_pass_phrase)
    except ssl.SSLError as error:
        where = f"certificate {certificate}" + (f" and key {key}" if key else "")
        raise SettingsError(f"TLS {where}: {_words(error)}") from error


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    _require_readable(path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise SettingsError(f"TLS authorities {path}: {_words(error)}") from error


def _require_readable(path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise SettingsError(f"TLS file {path}: {error.strerror}") from error


def _no_pass_phrase() -> str:
    """A key with a pass phrase fails to load; without this OpenSSL would ask on the terminal."""
    return ""


def _words(error: ssl.SSLError) -> str:
    """OpenSSL's reason; it gives none for a file that holds no PEM at all."""
    if not error.reason:
        return "no PEM, or a key with a pass phrase"
    return REASONS.get(error.reason, error.reason.lower().replace("_", " "))

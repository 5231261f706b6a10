"""Security profiles, audit, and who may associate, as configured."""

from __future__ import annotations

from mripacs.conformance.document import Section, Table
from mripacs.core.settings import Settings
from mripacs.dimse.capabilities import AuditEvent


def security(settings: Settings) -> Section:
    """Transport, access and audit."""
    return Section("Security", sections=(_transport(settings), _access(settings), _audit(settings)))


def _transport(settings: Settings) -> Section:
    tls = settings.dimse.tls
    return Section(
        "Secure Transport",
        ("BCP 195 TLS Secure Transport Connection Profile (PS3.15 B.12), where a certificate is configured.",),
        (
            Table(
                "Secure Transport of the DICOM port",
                ("Property", "Value"),
                (
                    ("Configured", tls.certificate is not None),
                    ("Lowest version", "TLS 1.2"),
                    ("Peers must show a certificate", tls.client_ca is not None),
                ),
            ),
        ),
    )


def _access(settings: Settings) -> Section:
    dimse = settings.dimse
    rows = (
        ("Called titles", ", ".join((dimse.ae_title, *dimse.called_ae_titles)) if dimse.require_called_ae else "any"),
        ("Calling titles", ", ".join(dimse.calling_ae_titles) or "any"),
        ("Networks", ", ".join(map(str, dimse.networks)) or "any"),
    )
    return Section(
        "Association Level Security",
        ("Titles are patterns of the shell. A title is no proof of who calls: use TLS with certificates of peers.",),
        (Table("Who may associate", ("Property", "Value"), rows),),
    )


def _audit(settings: Settings) -> Section:
    log = settings.log
    where = f"RFC 5424 syslog over {log.syslog_transport.upper()} to {log.syslog}" if log.syslog else "not configured"
    events = tuple(
        (each.name.replace("_", " ").lower(), each.value[0], each.value[1], each.value[2]) for each in AuditEvent
    )
    return Section(
        "Audit Trail",
        (
            f"Audit Trail Message Format Profile (PS3.15 A.5). Messages: {where}. Stores, deletions, queries and "
            "retrieves are also events of the database. No message names a patient.",
        ),
        (Table("Audit Events", ("Event", "Event ID", "Meaning", "Action"), events),),
    )

"""The DICOMweb side: services with their parameters, media types and statuses, as the door itself describes them."""

from __future__ import annotations

from http import HTTPStatus

from mripacs.conformance.document import Cell, Section, Table
from mripacs.core.errors import MripacsError
from mripacs.core.settings import Settings
from mripacs.dicomweb.capabilities import REFUSALS
from mripacs.dicomweb.links import ROOT
from mripacs.dicomweb.media import TYPE_OF_SYNTAX
from mripacs.dicomweb.operations import Operation, operations
from mripacs.dimse import capabilities

Row = tuple[Cell, ...]
ACCESS = {"none": "nothing", "read": "search and retrieve", "write": "search, retrieve, store and delete"}


def web(settings: Settings) -> Section:
    """Services of PS3.18 as origin server; this node is no user agent."""
    if not settings.web.enabled:
        return Section("DICOMweb", ("Switched off in this configuration (web.enabled).",))
    found = operations(settings)
    return Section(
        "DICOMweb",
        (
            f"Origin server for the Studies Service and WADO-URI at {ROOT}; no user agent. The same description for "
            f"machines: OPTIONS {ROOT} (WADL) and {ROOT}/openapi.json. Matching attributes are those of C-FIND; an "
            "original's UID finds the instance that is served for it.",
        ),
        (
            Table("DICOMweb Services", ("Method", "Resource", "Transaction", "Success"), tuple(map(_operation, found))),
            Table(
                "DICOMweb Media Types",
                ("Method", "Resource", "Request", "Answer, default first"),
                tuple((each.method, each.path, ", ".join(each.body), ", ".join(each.media_types)) for each in found),
            ),
            Table("DICOMweb Query Parameters", ("Resource", "Parameter", "Meaning"), _parameters(found)),
            Table(
                "DICOMweb Codestreams of Frames",
                ("Transfer Syntax", "UID", "Media type"),
                tuple((capabilities.uid_name(uid), uid, media) for uid, media in TYPE_OF_SYNTAX.items()),
            ),
            Table("DICOMweb Refusals", ("Status", "Meaning"), tuple(map(_refusal, REFUSALS))),
            Table("DICOMweb Statuses of Errors", ("Status", "Error", "Meaning"), _errors()),
            Table("DICOMweb Access", ("Property", "Value"), _access(settings)),
        ),
    )


def _operation(each: Operation) -> Row:
    return each.method, each.path, each.words, ", ".join(map(str, each.statuses))


def _parameters(found: list[Operation]) -> tuple[Row, ...]:
    rows = ((each.path, parameter.name, parameter.words) for each in found for parameter in each.query)
    return tuple(dict.fromkeys(rows))


def _refusal(status: int) -> Row:
    return status, HTTPStatus(status).phrase


def _errors() -> tuple[Row, ...]:
    """Every leaf of the error tree with the status that a web client gets."""
    leaves = (error for error in capabilities.errors_below(MripacsError) if error.__module__ == MripacsError.__module__)
    return tuple(sorted((error.http_status, error.__name__, capabilities.summary(error)) for error in leaves))


def _access(settings: Settings) -> tuple[Row, ...]:
    web_settings = settings.web
    return (
        ("HTTPS", "TLS 1.2 or later" if web_settings.tls.certificate else "not configured"),
        ("Clients must show a certificate", web_settings.tls.client_ca is not None),
        ("Bearer tokens (RFC 6750)", f"{len(web_settings.tokens)} known by their digests"),
        ("OpenID Connect access tokens", web_settings.oidc.issuer or "not configured"),
        ("Without a token", ACCESS[web_settings.anonymous_access]),
        ("Cross-origin requests", ", ".join(web_settings.cors_origins) or "from no other origin"),
    )

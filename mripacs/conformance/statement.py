"""The statement: PS3.2's sections in PS3.2's order (Annex N), filled from the code and from the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mripacs import __version__
from mripacs.conformance import annexes, network, security, web
from mripacs.conformance.document import Document, Section, Table, to_html, to_json, to_markdown
from mripacs.core.settings import Settings
from mripacs.dimse import capabilities

FORMATS: Mapping[str, Callable[[Document], str]] = {"md": to_markdown, "html": to_html, "json": to_json}


def statement(settings: Settings) -> Document:
    """The conformance statement of a node that runs with these settings."""
    return Document(
        f"DICOM Conformance Statement: mripacs {__version__}",
        (
            _overview(settings),
            _introduction(),
            network.implementation_model(settings),
            network.services(),
            web.web(settings),
            annexes.configuration(settings),
            network.communication(settings),
            security.security(settings),
            annexes.character_sets(),
            Section("Annexes", sections=(annexes.lossy_results(settings), annexes.private_elements())),
        ),
    )


def _overview(settings: Settings) -> Section:
    classes = [*capabilities.service_classes(), *capabilities.storage_classes()]
    stored = len(capabilities.storage_classes())
    rows = tuple((each.name, each.uid, each.scu, each.scp) for each in classes[:-stored])
    return Section(
        "Conformance Statement Overview",
        (
            f"mripacs is a storage node for MR images. The application entity {settings.dimse.ae_title} stores all "
            f"{stored} storage SOP classes of the standard and private ones, answers queries, and gives instances out.",
        ),
        (
            Table(
                "Overview of Network Services",
                network.SOP_CLASS_COLUMNS,
                (*rows, (f"Storage, {stored} SOP classes and private ones", "see Storage SOP Classes", True, True)),
            ),
        ),
    )


def _introduction() -> Section:
    return Section(
        "Introduction",
        (
            "For those who connect systems: it is to be read with the DICOM standard. Conformance alone does not "
            "guarantee that two systems work together as their users expect; test the connection.",
            "Every table is generated from the running code and configuration by `mripacs admin conformance`.",
        ),
        (Table("Product", ("Property", "Value"), (("Name", "mripacs"), ("Version", __version__))),),
    )

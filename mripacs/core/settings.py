"""The configuration: one frozen tree, read from a TOML file, then MRIPACS_* environment variables, then flags.

Each field's description says what it means and in what unit; `config/mripacs.toml` documents the same keys for people,
and a test keeps the two together. Environment names join section and key by two underscores: MRIPACS_DIMSE__PORT=104;
lists and tables are JSON there: MRIPACS_DIMSE__DESTINATIONS='{"VIEWER": {"host": "10.0.0.7", "port": 104}}'.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

from pydantic import Field, IPvAnyNetwork, ValidationError, WithJsonSchema
from pydantic.fields import FieldInfo

from mripacs.core.errors import SettingsError
from mripacs.core.previews import PreviewSettings
from mripacs.core.refusal import ALLOWED, explain, known_keys
from mripacs.core.rules import PolicySettings
from mripacs.core.section import Section
from mripacs.core.tls import ClientTlsSettings, TlsSettings
from mripacs.core.web import WebSettings

ENV_PREFIX = "MRIPACS_"

AE_TITLE_WORDS = "1 to 16 printable ASCII characters, no backslash, no space at either end"
AeTitle = Annotated[
    str,  # PS3.5 6.2, VR AE; outer spaces mean nothing in DICOM, so two titles that differ only there would be one
    Field(pattern=r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$", json_schema_extra={ALLOWED: AE_TITLE_WORDS}),
]

Network = Annotated[
    IPvAnyNetwork,
    WithJsonSchema({"type": "string", ALLOWED: "network in CIDR notation, its host bits zero: 10.1.0.0/16"}),
]


class ArchiveSettings(Section):
    """Where instances are kept and under which identity."""

    directory: Path = Field(Path("mripacs-data"), description="folder of the embedded database")
    database_url: str | None = Field(
        None,
        pattern=r"^(sqlite|postgresql)(\+[a-z0-9_]+)?://",
        json_schema_extra={ALLOWED: "URL that begins with sqlite:// or postgresql://"},
        description="SQLAlchemy URL; unset: SQLite at <directory>/mripacs.db",
    )
    identity: Literal["derive", "keep"] = Field(
        "derive", description="UID of a lossy result: a derived one or the original"
    )
    on_conflict: Literal["refuse", "keep", "replace"] = Field(
        "refuse", description="what happens when another object comes under a stored UID"
    )
    scrub_interval_hours: float = Field(
        0, ge=0, le=87600, description="hours from one verification by the node itself to the next; 0: never"
    )
    scrub_rate: float = Field(20, gt=0, le=100000, description="instances a second that it reads at most")
    rewrite_references: bool = Field(False, description="objects that refer to lossy instances leave with derived UIDs")
    recent_bytes: int = Field(
        128 << 20, ge=0, le=1 << 40, description="memory for the instances stored and read last, in bytes; 0: none"
    )
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=0, le=256, description="codec processes; 0 codes in the caller"
    )
    acknowledge: Literal["received", "compressed"] = Field(
        "received", description="a sender's answer comes once the received bytes are durable, or once compressed"
    )
    backlog_objects: int = Field(
        512, ge=0, le=1_000_000, description="objects that may wait to be compressed; beyond, senders wait"
    )
    backlog_bytes: int = Field(
        64 << 20, ge=0, le=1 << 40, description="bytes of the objects that may wait; beyond, senders wait"
    )


class Destination(Section):
    """An application entity that C-MOVE may send to."""

    host: str = Field(min_length=1, description="name or address")
    port: int = Field(ge=1, le=65535, description="TCP port")
    tls: ClientTlsSettings | None = Field(None, description="DICOM TLS to it; unset: plain DICOM")


class DimseSettings(Section):
    """The DICOM side of the node."""

    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(11112, ge=0, le=65535, description="TCP port; 0 lets the system choose")
    ae_title: AeTitle = Field("MRIPACS", description="our application entity title")
    require_called_ae: bool = Field(False, description="refuse associations that call another title")
    called_ae_titles: tuple[str, ...] = Field(
        (), description="titles that may be called beside ours when require_called_ae is set, shell patterns"
    )
    calling_ae_titles: tuple[str, ...] = Field((), description="titles that may associate, shell patterns; empty: all")
    networks: tuple[Network, ...] = Field((), description="networks that may associate; empty: all")
    max_associations: int = Field(32, ge=1, le=1000, description="associations served at once")
    max_associations_per_peer: int = Field(32, ge=1, le=1000, description="associations of one address served at once")
    associations_per_minute_per_peer: int = Field(
        0, ge=0, le=100000, description="associations that one address may request in a minute; 0: any number"
    )
    requests_per_minute_per_peer: int = Field(
        0, ge=0, le=1000000, description="requests of one address answered in a minute, more wait; 0: any number"
    )
    max_pdu_bytes: int = Field(131072, ge=4096, le=16777216, description="largest PDU that we receive, in bytes")
    idle_timeout_s: float = Field(60, gt=0, le=86400, description="seconds without traffic before an association ends")
    negotiation_timeout_s: float = Field(
        30,
        gt=0,
        le=3600,
        description="seconds that a peer has for the TLS handshake, and for requesting an association",
    )
    max_association_s: float = Field(86400, gt=0, le=2592000, description="seconds that an association may last")
    destinations: Mapping[AeTitle, Destination] = Field(
        default_factory=dict, description="C-MOVE destinations by AE title"
    )
    tls: TlsSettings = Field(TlsSettings(), description="DICOM TLS")


# A row takes 900,000,000 bytes (mripacs.store.adding); what does not compress grows by 0.4 % at most on its way there.
LARGEST_OBJECT_BYTES = 880_000_000


class LimitSettings(Section):
    """What a single object may cost."""

    max_object_bytes: int = Field(
        LARGEST_OBJECT_BYTES, ge=1024, le=LARGEST_OBJECT_BYTES, description="largest data set taken, in bytes"
    )
    max_samples: int = Field(2**28, ge=1, description="most samples of an image that are decoded; larger: verbatim")
    min_free_bytes: int = Field(2**30, ge=0, description="free bytes of the disk below which the node is not ready")


class LogSettings(Section):
    """What the node says while it runs; never patient data."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least severe level written")
    json_lines: bool = Field(False, description="one JSON object a line instead of text")
    syslog: str | None = Field(
        None,
        pattern=r"^(\[[0-9A-Fa-f:.]+\]|[^:\[\]\s]+):[0-9]{1,5}$",
        json_schema_extra={ALLOWED: "host:port"},
        description="receiver of DICOM audit messages; unset: none are sent",
    )
    syslog_transport: Literal["udp", "tcp", "tls"] = Field("udp", description="how syslog is reached")
    syslog_tls: ClientTlsSettings = Field(ClientTlsSettings(), description="whom to believe with tls")


class Settings(Section):
    """The whole configuration."""

    archive: ArchiveSettings = ArchiveSettings()
    dimse: DimseSettings = DimseSettings()
    web: WebSettings = WebSettings()
    preview: PreviewSettings = PreviewSettings()
    limits: LimitSettings = LimitSettings()
    log: LogSettings = LogSettings()
    policy: PolicySettings = PolicySettings()

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL in force. A bare `postgresql://` means psycopg 3, the driver that the extra installs."""
        url = self.archive.database_url or f"sqlite:///{self.archive.directory / 'mripacs.db'}"
        scheme, _, rest = url.partition("://")
        return f"postgresql+psycopg://{rest}" if scheme == "postgresql" else url


SECTIONS: Mapping[str, type[Section]] = {name: type(field.default) for name, field in Settings.model_fields.items()}


def load_settings(
    path: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Merge file, environment and flags, later ones winning key by key.

    path : a TOML file; None reads none. flags : nested mapping, None values are ignored.
    environment : defaults to the process's; only names that begin with MRIPACS_ are looked at.
    Raises SettingsError naming the key, the value and what is allowed.
    """
    merged = _read_toml(path) if path else {}
    _merge(merged, _read_environment(os.environ if environment is None else environment))
    _merge(merged, flags or {})
    try:
        return Settings(**merged)
    except ValidationError as error:
        raise SettingsError(explain(error, Settings, f"settings ({path})" if path else "settings")) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"settings file {path} does not exist") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"settings file {path} cannot be read: {error}") from error


def _read_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Nested values of the MRIPACS_SECTION__KEY variables, still text where a key takes a single value."""
    nested: dict[str, Any] = {}
    for name, text in environment.items():
        if not name.upper().startswith(ENV_PREFIX):
            continue
        section, _, key = name[len(ENV_PREFIX) :].lower().partition("__")
        table = SECTIONS.get(section)
        if table is None:
            raise SettingsError(f"environment variable {name}: unknown section; known: {known_keys(Settings)}")
        if key not in table.model_fields:
            raise SettingsError(f"environment variable {name}: unknown key; known here: {known_keys(table)}")
        nested.setdefault(section, {})[key] = _from_text(name, text, table.model_fields[key])
    return nested


def _from_text(name: str, text: str, field: FieldInfo) -> Any:
    is_table = isinstance(field.annotation, type) and issubclass(field.annotation, Section)
    if not is_table and get_origin(field.annotation) not in (tuple, Mapping):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise SettingsError(f"environment variable {name} = {text!r}: allowed is JSON ({error})") from error


def _merge(into: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping):
            existing = into.setdefault(key, {})
            if isinstance(existing, dict):  # if not, the wrong value stays in place and is refused with its key
                _merge(existing, value)
        elif value is not None:
            into[key] = value

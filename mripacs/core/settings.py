"""The configuration: one frozen tree, read from a TOML file, then MRIPACS_* environment variables, then flags.

Each field's description says what it means and in what unit; `config/mripacs.toml` documents the same keys for people,
and a test keeps the two together. Environment names join section and key by two underscores: MRIPACS_DIMSE__PORT=104.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from mripacs.core.errors import SettingsError
from mripacs.core.rules import PolicySettings

ENV_PREFIX = "MRIPACS_"
AE_TITLE = r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$"  # PS3.5 6.2, VR AE: 16 characters, no backslash or control, no outer spaces


class Section(BaseModel):
    """A table of the configuration: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ArchiveSettings(Section):
    """Where instances are kept and under which identity."""

    directory: Path = Field(Path("mripacs-data"), description="folder of the embedded database")
    database_url: str | None = Field(
        None, description="SQLAlchemy URL; unset: SQLite at <directory>/mripacs.db", pattern=r"^(sqlite|postgresql)"
    )
    identity: Literal["derive", "keep"] = Field("derive", description="UID of a lossy result: a derived one or the original")
    on_conflict: Literal["refuse"] = Field("refuse", description="what happens to another object under a stored UID")
    rewrite_references: bool = Field(False, description="objects that refer to lossy instances leave with derived UIDs")
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=0, le=256, description="codec processes; 0 codes in the caller"
    )


class Destination(Section):
    """An application entity that C-MOVE may send to."""

    host: str = Field(min_length=1, description="name or address")
    port: int = Field(ge=1, le=65535)


class DimseSettings(Section):
    """The DICOM side of the node."""

    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(11112, ge=0, le=65535, description="TCP port; 0 lets the system choose")
    ae_title: str = Field("MRIPACS", pattern=AE_TITLE, description="our application entity title")
    require_called_ae: bool = Field(False, description="refuse associations that call another title")
    max_associations: int = Field(32, ge=1, le=1000, description="associations served at once")
    max_pdu_bytes: int = Field(131072, ge=4096, le=16777216, description="largest PDU that we receive, in bytes")
    idle_timeout_s: float = Field(60, gt=0, le=86400, description="seconds without traffic before an association ends")
    destinations: Mapping[str, Destination] = Field(default_factory=dict, description="C-MOVE destinations by AE title")


class LimitSettings(Section):
    """What a single object may cost."""

    max_object_bytes: int = Field(2**31, ge=1024, description="largest data set taken, in bytes")
    max_samples: int = Field(2**28, ge=1, description="most samples of an image that are decoded; larger: verbatim")


class LogSettings(Section):
    """What the node says while it runs; never patient data."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least severe level written")
    json_lines: bool = Field(False, description="one JSON object a line instead of text")


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=ENV_PREFIX, env_nested_delimiter="__", nested_model_default_partial_update=True
    )

    archive: ArchiveSettings = ArchiveSettings()
    dimse: DimseSettings = DimseSettings()
    limits: LimitSettings = LimitSettings()
    log: LogSettings = LogSettings()
    policy: PolicySettings = PolicySettings()

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.archive.database_url or f"sqlite:///{self.archive.directory / 'mripacs.db'}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load_settings` merges: nothing is read behind the caller's back."""
        return (init_settings,)


def load_settings(
    path: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Merge file, environment and flags, later ones winning key by key.

    path : a TOML file; None reads none. flags : nested mapping, None values are ignored.
    environment : defaults to the process's. Raises SettingsError naming the key, the value and what is allowed.
    """
    merged = _read_toml(path) if path else {}
    _merge(merged, _read_environment(os.environ if environment is None else environment))
    _merge(merged, flags or {})
    try:
        return Settings(**merged)
    except ValidationError as error:
        raise SettingsError(_explain(error, path)) from error


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"settings file {path} does not exist") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"settings file {path} cannot be read: {error}") from error


def _read_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Nested values of the MRIPACS_SECTION__KEY variables; JSON for lists and tables."""
    ours = {name: value for name, value in environment.items() if name.upper().startswith(ENV_PREFIX)}
    for name in ours:
        section, _, key = name.upper().removeprefix(ENV_PREFIX).partition("__")
        if section.lower() not in Settings.model_fields or not key:
            known = ", ".join(f"{ENV_PREFIX}{field.upper()}__..." for field in Settings.model_fields)
            raise SettingsError(f"environment variable {name} names no setting; known: {known}")
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): value for name, value in ours.items()}
    try:
        return source()
    except Exception as error:  # pydantic-settings raises its own SettingsError for values that are no JSON
        raise SettingsError(f"environment: {error}") from error


def _merge(into: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping):
            existing = into.setdefault(key, {})
            if isinstance(existing, dict):
                _merge(existing, value)
                continue
        if value is not None:
            into[key] = value


def _explain(error: ValidationError, path: Path | None) -> str:
    problems = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            problems.append(f"{key}: unknown key")
        else:
            problems.append(f"{key} = {problem['input']!r}: {problem['msg']}")
    where = f"settings ({path})" if path else "settings"
    return f"{where}: " + "; ".join(problems)

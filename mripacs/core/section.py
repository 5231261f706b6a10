"""What every table of the configuration has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the configuration: unknown keys are errors, values never change once read.

    Field names are keys of the TOML file; a field's description says meaning and unit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

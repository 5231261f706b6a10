"""The `[preview]` table: which instances get a small picture, by which codec, and how fast."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mripacs.core.section import Section


class PreviewSettings(Section):
    """Small pictures for lists; made after an instance was acknowledged, never instead of it."""

    codec: Literal["off", "sae", "kwavelet", "auto"] = Field(
        "off", description="what makes them; auto tries both and takes the better for each slice; off: none are made"
    )
    max_bytes: int = Field(400, ge=48, le=4000, description="bytes of a preview at most")
    modalities: tuple[str, ...] = Field(("MR",), description="modalities that get one; empty: all")
    rate: float = Field(
        20, gt=0, le=100000, description="a second at most, of instances that were there before a model was activated"
    )

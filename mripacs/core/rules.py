"""Policy rules as they are written in the configuration: conditions on DICOM attributes, and what follows."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from mripacs.core.model import Effort, Target, TargetKind
from mripacs.core.section import Section

Patterns = tuple[str, ...]  # shell patterns (*, ?), matched without case; any of them may hold


class Conditions(Section):
    """All conditions that are given must hold; a rule without conditions always holds."""

    sop_class: Patterns = Field((), description="SOP Class UID")
    modality: Patterns = Field((), description="Modality (0008,0060)")
    image_type: Patterns = Field((), description="any value of Image Type (0008,0008), Frame Type or complex component")
    series_description: Patterns = Field((), description="Series Description (0008,103E)")
    manufacturer: Patterns = Field((), description="Manufacturer (0008,0070)")
    calling_ae: Patterns = Field((), description="title of the sender")
    has: Patterns = Field((), description="keyword of an element that has a value, or one of the derived words")
    lacks: Patterns = Field((), description="keyword of an element that is absent or empty, or a derived word")
    bits_allocated_max: int | None = Field(None, ge=1, le=64, description="Bits Allocated at most")
    bits_stored_min: int | None = Field(None, ge=1, le=64, description="Bits Stored at least")
    bits_stored_max: int | None = Field(None, ge=1, le=64, description="Bits Stored at most")
    samples_per_pixel_min: int | None = Field(None, ge=1, le=4, description="Samples per Pixel at least")
    signed: bool | None = Field(None, description="Pixel Representation is signed")


class Rule(Section):
    """A name, conditions, and how an object that meets them is kept."""

    name: str = Field(min_length=1, max_length=64)
    when: Conditions = Conditions()
    keep: Literal["kwavelet", "lossless", "verbatim"]
    rel_error: float | None = Field(None, gt=0, le=0.5, description="kwavelet: relative Frobenius error of each frame")
    max_error: int | None = Field(None, ge=1, le=65535, description="kwavelet: largest error of a pixel, stored units")
    k: int | None = Field(None, ge=1, description="kwavelet: most coefficients kept in a frame")
    noise: float | None = Field(
        None, gt=0, le=4, description="kwavelet: error energy of a frame over the energy of its own noise"
    )
    effort: Effort | None = Field(None, description="kwavelet: fast or small; the policy's own if unset")

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        given = [kind for kind in TargetKind if getattr(self, kind) is not None]
        if len(given) != (1 if self.keep == "kwavelet" else 0):
            raise ValueError("keep = 'kwavelet' takes exactly one of rel_error, max_error, k, noise; other tiers none")
        return self

    @property
    def target(self) -> Target | None:
        """The codec's target; None for tiers without loss."""
        return next(
            (Target(kind, float(value)) for kind in TargetKind if (value := getattr(self, kind)) is not None), None
        )


class PolicySettings(Section):
    """Ordered rules; the first that holds decides. The shipped ones follow the site's own unless switched off."""

    rules: tuple[Rule, ...] = Field((), description="the site's own rules, first match wins, before the shipped ones")
    use_shipped_rules: bool = Field(True, description="append the rules that mripacs ships (ingest/shipped_rules.py)")
    rel_error: float = Field(0.05, gt=0, le=0.5, description="ε of the shipped rule for MR images")
    effort: Effort = Field(Effort.FAST, description="kwavelet: fast for ingest, small for fewer bytes in more time")

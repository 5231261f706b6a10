"""Which rule takes an object, and why."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import Any

from mripacs.core.model import Decision, Effort, PolicyFacts, Tier
from mripacs.core.rules import Conditions, PolicySettings, Rule
from mripacs.ingest.shipped_rules import shipped_rules


@dataclass(frozen=True, slots=True)
class Policy:
    """Ordered rules; the first whose conditions all hold decides. The last one always holds."""

    rules: tuple[Rule, ...]
    effort: Effort = Effort.FAST  # of rules that name none

    @classmethod
    def from_settings(cls, settings: PolicySettings) -> Policy:
        """The site's rules, then the shipped ones; without those, everything unmatched is kept without loss."""
        tail = (
            shipped_rules(settings.rel_error)
            if settings.use_shipped_rules
            else (Rule(name="no rule", keep="lossless"),)
        )
        return cls(settings.rules + tail, settings.effort)

    def decide(self, facts: PolicyFacts) -> Decision:
        """The tier and target for an object with these facts."""
        for rule in self.rules:
            met = conditions_met(rule.when, facts)
            if met is not None:
                reason = "; ".join(met) or "always"
                return Decision(Tier(rule.keep), rule.target, rule.name, reason, rule.effort or self.effort)
        return Decision(Tier.LOSSLESS, None, "no rule", "no rule holds")


def conditions_met(conditions: Conditions, facts: PolicyFacts) -> list[str] | None:
    """One phrase for each condition if all hold, None if any does not."""
    met = []
    for name, wanted in conditions:
        if wanted in ((), None):
            continue
        phrase = _CHECKS[name](wanted, facts)
        if phrase is None:
            return None
        met.append(phrase)
    return met


def _any_like(patterns: tuple[str, ...], values: tuple[str, ...]) -> str | None:
    """The first of `values` that any shell pattern matches, without case."""
    matches = _matcher(patterns)
    return next((value for value in values if matches(value.upper())), None)


@lru_cache(maxsize=1024)  # a policy's lists; one expression for all patterns of one takes a quarter of the time
def _matcher(patterns: tuple[str, ...]) -> Callable[[str], object]:
    return re.compile("|".join(translate(pattern.upper()) for pattern in patterns)).match


def _like(label: str, values: Callable[[PolicyFacts], tuple[str, ...]]) -> _Check:
    def check(patterns: tuple[str, ...], facts: PolicyFacts) -> str | None:
        value = _any_like(patterns, values(facts))
        return None if value is None else f"{label} {value or '(empty)'}"

    return check


def _has(keywords: tuple[str, ...], facts: PolicyFacts) -> str | None:
    found = _any_like(keywords, tuple(sorted(facts.present)))
    return None if found is None else f"has {found}"


def _lacks(keywords: tuple[str, ...], facts: PolicyFacts) -> str | None:
    missing = [keyword for keyword in keywords if _any_like((keyword,), tuple(facts.present)) is None]
    return f"has no {missing[0]}" if missing else None


def _bound(label: str, value: Callable[[PolicyFacts], int | None], *, upper: bool) -> _Check:
    def check(limit: int, facts: PolicyFacts) -> str | None:
        actual = value(facts)
        if actual is None or (actual > limit if upper else actual < limit):
            return None
        return f"{label} {actual}"

    return check


def _signed(wanted: bool, facts: PolicyFacts) -> str | None:
    return f"{'signed' if wanted else 'unsigned'} pixels" if facts.signed is wanted else None


_Check = Callable[[Any, PolicyFacts], str | None]
_CHECKS: Mapping[str, _Check] = {
    "sop_class": _like("SOP class", lambda facts: (facts.sop_class_uid,)),
    "modality": _like("modality", lambda facts: (facts.modality,)),
    "image_type": _like("image type", lambda facts: facts.image_type),
    "series_description": _like("series description", lambda facts: (facts.series_description,)),
    "manufacturer": _like("manufacturer", lambda facts: (facts.manufacturer,)),
    "calling_ae": _like("calling AE", lambda facts: (facts.calling_ae,)),
    "has": _has,
    "lacks": _lacks,
    "bits_allocated_max": _bound("bits allocated", lambda facts: facts.bits_allocated, upper=True),
    "bits_stored_min": _bound("bits stored", lambda facts: facts.bits_stored, upper=False),
    "bits_stored_max": _bound("bits stored", lambda facts: facts.bits_stored, upper=True),
    "samples_per_pixel_min": _bound("samples per pixel", lambda facts: facts.samples_per_pixel, upper=False),
    "signed": _signed,
}

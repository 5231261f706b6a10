"""The policy: which rule takes an object, and that whatever is a measurement is kept without loss."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mripacs.core.model import Effort, PolicyFacts, Target, TargetKind, Tier
from mripacs.core.rules import Conditions, PolicySettings, Rule
from mripacs.ingest.policy import Policy, conditions_met

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
MAGNITUDE = PolicyFacts(
    sop_class_uid=MR_IMAGE,
    modality="MR",
    image_type=("ORIGINAL", "PRIMARY", "M", "ND"),
    series_description="t1_mprage_sag",
    manufacturer="SIEMENS",
    calling_ae="SCANNER1",
    bits_allocated=16,
    bits_stored=12,
    samples_per_pixel=1,
    signed=False,
    present=frozenset({"PixelData", "Rows"}),
)
SHIPPED = Policy.from_settings(PolicySettings())


def test_a_magnitude_image_is_compressed_to_the_default_bound() -> None:
    decision = SHIPPED.decide(MAGNITUDE)
    assert (decision.tier, decision.target) == (Tier.KWAVELET, Target(TargetKind.REL_ERROR, 0.05))
    assert decision.rule == "MR image"
    assert MR_IMAGE in decision.reason


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"image_type": ("ORIGINAL", "PRIMARY", "P", "ND")}, "measurement by image type"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE")}, "measurement by image type"),
        ({"image_type": ("DERIVED", "PRIMARY", "DIFFUSION", "ADC", "ND")}, "measurement by image type"),
        ({"image_type": ("DERIVED", "PRIMARY", "DIFFUSION", "FA", "ND")}, "measurement by image type"),
        ({"image_type": ("DERIVED", "PRIMARY", "T1 MAP", "T1", "UNSPECIFIED")}, "measurement by image type"),
        ({"image_type": ("DERIVED", "PRIMARY", "T2_STAR MAP")}, "measurement by image type"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "VELOCITY MAP")}, "measurement by image type"),
        ({"image_type": ("DERIVED", "PRIMARY", "QUANTITY"), "signed": True}, "measurement by image type"),
        ({"series_description": "ep2d_diff_3scan_trace_ADC"}, "measurement by description"),
        ({"present": MAGNITUDE.present | {"RealWorldValueMapping"}}, "real world values"),
        ({"present": MAGNITUDE.present | {"OverlayInPixelData"}}, "overlay in high bits"),
        ({"present": MAGNITUDE.present | {"PixelPaddingInUse"}}, "pixel padding"),
        ({"samples_per_pixel": 3, "bits_allocated": 8, "bits_stored": 8}, "colour"),
        ({"bits_allocated": 8, "bits_stored": 8}, "eight bits"),
        ({"modality": "CT", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2"}, "everything else"),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7"}, "everything else"),
    ],
)
def test_what_may_be_a_measurement_is_kept_without_loss(change: dict[str, object], rule: str) -> None:
    decision = SHIPPED.decide(replace(MAGNITUDE, **change))
    assert (decision.rule, decision.tier, decision.target) == (rule, Tier.LOSSLESS, None)


def test_an_object_without_pixels_is_kept_verbatim() -> None:
    decision = SHIPPED.decide(replace(MAGNITUDE, present=frozenset({"ContentSequence"})))
    assert (decision.rule, decision.tier) == ("no pixels", Tier.VERBATIM)
    assert decision.reason == "has no PixelData"


@pytest.mark.parametrize("image_type", ["M", "ND", "NORM", "MOSAIC", "M_SE", "DIFFUSION", "TRACEW", "FMRI", "OTHER"])
def test_magnitude_words_are_not_taken_for_measurements(image_type: str) -> None:
    assert SHIPPED.decide(replace(MAGNITUDE, image_type=("ORIGINAL", "PRIMARY", image_type))).tier is Tier.KWAVELET


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({}, True),
        ({"modality": ("mr",)}, True),
        ({"modality": ("CT", "PT")}, False),
        ({"calling_ae": ("SCANNER?",)}, True),
        ({"calling_ae": ("SCANNER?",), "modality": ("CT",)}, False),
        ({"series_description": ("*MPRAGE*",)}, True),
        ({"has": ("Rows",)}, True),
        ({"has": ("Overlay*",)}, False),
        ({"lacks": ("RescaleSlope",)}, True),
        ({"lacks": ("Rows",)}, False),
        ({"bits_stored_min": 12, "bits_stored_max": 12}, True),
        ({"bits_stored_min": 13}, False),
        ({"bits_allocated_max": 8}, False),
        ({"samples_per_pixel_min": 2}, False),
        ({"signed": False}, True),
        ({"signed": True}, False),
        ({"sop_class": (MR_IMAGE,)}, True),
        ({"manufacturer": ("GE*", "siemens*")}, True),
    ],
)
def test_conditions_hold_together_and_patterns_ignore_case(conditions: dict[str, object], holds: bool) -> None:
    assert (conditions_met(Conditions(**conditions), MAGNITUDE) is not None) is holds


def test_a_bound_on_a_value_that_is_absent_does_not_hold() -> None:
    assert conditions_met(Conditions(bits_stored_max=16), replace(MAGNITUDE, bits_stored=None)) is None


def test_the_sites_rules_come_first_and_in_order() -> None:
    settings = PolicySettings(
        rules=(
            Rule(name="research", when=Conditions(calling_ae=("RESEARCH*",)), keep="lossless"),
            Rule(name="survey", when=Conditions(series_description=("*loc*",)), keep="kwavelet", max_error=20),
            Rule(name="rest", when=Conditions(modality=("MR",)), keep="kwavelet", k=3000),
        ),
    )
    policy = Policy.from_settings(settings)
    assert policy.decide(replace(MAGNITUDE, calling_ae="RESEARCH2")).tier is Tier.LOSSLESS
    assert policy.decide(replace(MAGNITUDE, series_description="AAHead_Localizer")).target == Target(
        TargetKind.MAX_ERROR, 20
    )
    assert policy.decide(MAGNITUDE).target == Target(TargetKind.K, 3000)
    assert policy.decide(replace(MAGNITUDE, modality="CT")).rule == "everything else"


def test_without_the_shipped_rules_the_unmatched_is_kept_without_loss() -> None:
    assert Policy.from_settings(PolicySettings(use_shipped_rules=False)).decide(MAGNITUDE).tier is Tier.LOSSLESS


def test_noise_targets_and_efforts_come_from_rules_and_policy() -> None:
    rules = (
        Rule(name="noise", when=Conditions(calling_ae=("A",)), keep="kwavelet", noise=0.5, effort="small"),
        Rule(name="plain", when=Conditions(calling_ae=("B",)), keep="kwavelet", max_error=3),
    )
    policy = Policy.from_settings(PolicySettings(rules=rules))
    noise, plain = (policy.decide(replace(MAGNITUDE, calling_ae=title)) for title in ("A", "B"))
    assert (noise.target, noise.effort) == (Target(TargetKind.NOISE, 0.5), Effort.SMALL)
    assert (plain.target, plain.effort) == (Target(TargetKind.MAX_ERROR, 3), Effort.FAST)
    slow = Policy.from_settings(PolicySettings(rules=rules, effort="small"))
    assert slow.decide(replace(MAGNITUDE, calling_ae="B")).effort is Effort.SMALL
    assert slow.decide(MAGNITUDE).effort is Effort.SMALL

"""The rules that mripacs ships. First match wins; a site's own rules come before them.

Whatever is a measurement, or could be, is kept without loss: a phase, a diffusion coefficient or a relaxation time is
read as a number, and five per cent of it matter. What is left, magnitude images of MR, is what the codec is made for.
"""

from __future__ import annotations

from mripacs.core.rules import Conditions, Rule

MR_STORAGE = (
    "1.2.840.10008.5.1.4.1.1.4",  # MR Image
    "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR Image
    "1.2.840.10008.5.1.4.1.1.4.4",  # Legacy Converted Enhanced MR Image
)

# Values of Image Type or Frame Type that name a measurement. PS3.3 C.8.13.3.1.1 (enhanced) and what vendors write.
MEASUREMENT_TYPES = (
    "P", "PHASE*", "*PHASE_MAP*", "R", "REAL", "I", "IMAGINARY", "MIXED", "VELOCITY*", "*VELOCITY", "QUANTITY",
    "ADC*", "EADC*", "*_ADC", "FA", "FA_*", "*FRACTIONAL_ANISO*", "*ANISOTROPY*", "TENSOR*", "DIFFUSION_ANISO*",
    "T1", "T2", "R1", "R2", "R2_*", "R2*", "T2_STAR*", "B0*", "B1*", "FIELDMAP*", "*_MAP", "* MAP",
    "*T1 MAP*", "*T2 MAP*", "CBF*", "CBV*", "MTT*", "TTP*", "TMAX*", "PERFUSION_*",
    "SPECTROSCOPY*", "PROTON_DENSITY", "FAT_FRACTION*", "ELASTOGRAPHY", "STIFFNESS*", "TEMPERATURE*",
)  # fmt: skip

MEASUREMENT_DESCRIPTIONS = ("*_ADC", "* ADC", "ADC", "ADC *", "*_FA", "*_T1MAP*", "*_T2MAP*", "*T1 MAP*", "*T2 MAP*")


def shipped_rules(rel_error: float) -> tuple[Rule, ...]:
    """The rules in order; `rel_error` is the bound of the last one, for MR magnitude images."""
    return (
        Rule(name="no pixels", when=Conditions(lacks=("PixelData",)), keep="verbatim"),
        Rule(name="colour", when=Conditions(samples_per_pixel_min=2), keep="lossless"),
        Rule(name="eight bits", when=Conditions(bits_allocated_max=8), keep="lossless"),
        Rule(name="overlay in high bits", when=Conditions(has=("OverlayInPixelData",)), keep="lossless"),
        Rule(name="real world values", when=Conditions(has=("RealWorldValueMapping",)), keep="lossless"),
        Rule(name="pixel padding", when=Conditions(has=("PixelPaddingInUse",)), keep="lossless"),
        Rule(name="measurement by image type", when=Conditions(image_type=MEASUREMENT_TYPES), keep="lossless"),
        Rule(
            name="measurement by description",
            when=Conditions(series_description=MEASUREMENT_DESCRIPTIONS),
            keep="lossless",
        ),
        Rule(
            name="MR image",
            when=Conditions(sop_class=MR_STORAGE, modality=("MR",)),
            keep="kwavelet",
            rel_error=rel_error,
        ),
        Rule(name="everything else", keep="lossless"),
    )

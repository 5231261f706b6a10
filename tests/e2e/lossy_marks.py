"""The marks that a lossy result must bear (PS3.3 C.7.6.1.1.5, C.7.6.1.1.2, C.12.4.1)."""

from __future__ import annotations

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

# What a lossy result may have other values of than its original; all else must stay.
DERIVATION_KEYWORDS = (
    "SOPInstanceUID",
    "ImageType",
    "DerivationDescription",
    "DerivationCodeSequence",
    "SourceImageSequence",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "SharedFunctionalGroupsSequence",  # Frame Type in them follows Image Type, and there the derivation is told
    "PerFrameFunctionalGroupsSequence",
    "SourceImageEvidenceSequence",
)
DERIVATION_TAGS = [int(tag_for_keyword(keyword) or 0) for keyword in DERIVATION_KEYWORDS]


def check_marks(original: Dataset, derived: Dataset) -> None:
    """Assert that `derived` is an honest lossy result of `original`, one step behind it."""
    assert derived.SOPInstanceUID.startswith("2.25.")
    assert derived.SOPInstanceUID != original.SOPInstanceUID
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID"):
        assert derived[keyword].value == original[keyword].value
    assert derived.ImageType[0] == "DERIVED"
    assert list(derived.ImageType[1:]) == list(original.get("ImageType", [])[1:])
    assert derived.LossyImageCompression == "01"
    ratios, methods = (
        values_of(derived, "LossyImageCompressionRatio"),
        values_of(derived, "LossyImageCompressionMethod"),
    )
    assert len(ratios) == len(methods) == 1 + len(values_of(original, "LossyImageCompressionRatio"))
    assert float(ratios[-1]) > 1
    assert methods[-1] == "MRIPACS_KWAVELET"
    for derivation in derivations(derived):
        assert "kwavelet" in derivation.DerivationDescription
        assert code_values(derivation.DerivationCodeSequence)[-1] == "113040"
        source = derivation.SourceImageSequence[-1]
        assert source.ReferencedSOPInstanceUID == original.SOPInstanceUID
        assert source.ReferencedSOPClassUID == original.SOPClassUID
        assert code_values(source.PurposeOfReferenceCodeSequence) == ["121320"]


def derivations(dataset: Dataset) -> list[Dataset]:
    """Where a data set tells its derivation: itself, or an enhanced object's Derivation Image macro."""
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        groups = dataset.get(keyword) or []
        if any("DerivationImageSequence" in group for group in groups):
            return [group.DerivationImageSequence[-1] for group in groups]
    return [dataset]


def values_of(dataset: Dataset, keyword: str) -> list[str]:
    """The values of a text or number element as a list."""
    value = dataset.get(keyword)
    if value in (None, ""):
        return []
    return [str(each) for each in value] if hasattr(value, "__iter__") and not isinstance(value, str) else [str(value)]


def code_values(items: list[Dataset]) -> list[str]:
    """Code Values of the items of a code sequence."""
    return [str(item.CodeValue) for item in items]

"""What the study says, what was measured here, and whether it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mripacs.quality.paper.k_wavelet import equation_7_bytes
from mripacs.quality.paper.recursion import Recursion
from mripacs.quality.paper.report import Claim

if TYPE_CHECKING:
    from mripacs.quality.paper.learning import Learned

PAPER_K, PAPER_ERROR = 3000, 0.05
FOUND_K = 2896  # what the study's own search gave
NOISE = 0.5  # an error from which on nothing is recognisable; the study's JPEG ends at about 0.6


def recursion_claims(recursions: Sequence[Recursion], k: Mapping[str, int]) -> list[Claim]:
    """Sections IV.A to IV.C, on the images prepared as the study has them. k : for 5 % mean error, by preparation."""
    by_name = {each.system: each for each in recursions}
    return [
        _pure_noise(by_name),
        _drift(by_name),
        _jpeg2000(by_name["jpeg2000"], by_name["jpeg2000 rate"]),
        _smallest_k(by_name["paper-kwavelet"], k),
        _one_loss(by_name["paper-kwavelet float"], by_name["paper-kwavelet"], by_name["kwavelet"]),
        _size(by_name["kwavelet"]),
    ]


def learned_claims(learned: Sequence[Learned]) -> list[Claim]:
    """Sections V.B to V.D."""
    errors = {each.system: each.mean_error for each in learned}
    images = sorted((each.latent, each.mean_error) for each in learned if each.figure == "12 to 14")
    shallow, cnn = errors["shallow on wavelets, K = 363"], errors["cnn on wavelets, no latent layer"]
    (smallest, worst), (largest, best) = images[0], images[-1]
    same_size = dict(images)[363]
    return [
        Claim(
            "V.C: a CNN on wavelet coefficients does even worse than the shallow network, without a latent layer",
            f"cnn {cnn:.1%}, shallow {shallow:.1%}",
            cnn > shallow,
        ),
        Claim(
            "V.D: a CNN on images is much better than one on wavelets",
            f"K = 363: images {same_size:.1%}, wavelets (hybrid) {errors['hybrid: wavelets and cnn, K = 363']:.1%}",
            same_size < errors["hybrid: wavelets and cnn, K = 363"],
        ),
        Claim(
            "V.D, Figure 12: the error grows as the latent layer shrinks, towards 0.6",
            ", ".join(f"K = {latent}: {error:.1%}" for latent, error in images),
            worst > best,
        ),
        Claim(
            "VI: K = 99 takes 0.396 KB and still bears resemblance",
            f"{4 * smallest} bytes as float32 at {worst:.1%}; K = {largest}, {4 * largest} bytes, at {best:.1%}",
            worst < NOISE,
        ),
    ]


def _pure_noise(by_name: Mapping[str, Recursion]) -> Claim:
    last = {name: each.mean_errors[-1] for name, each in by_name.items() if _is_jpeg(name)}
    count = len(by_name["kwavelet"].mean_errors)
    return Claim(
        "IV.A, Figure 4: recursive JPEG reduces an image to pure noise after a few iterations",
        f"after {count}: " + ", ".join(f"{name} {error:.1%}" for name, error in last.items()),
        max(last.values()) > NOISE,
    )


def _drift(by_name: Mapping[str, Recursion]) -> Claim:
    jpeg = {name: each for name, each in by_name.items() if _is_jpeg(name)}
    drift = max(each.mean_errors[-1] / each.mean_errors[0] for each in jpeg.values())
    return Claim(
        "Figure 8: the error of JPEG drifts further with each generation",
        f"last over first error at most {drift:.2f}; unchanged from generation "
        + ", ".join(f"{each.unchanged_from or 'never'} ({name})" for name, each in jpeg.items()),
        drift > 1.5,
    )


def _jpeg2000(setting: Recursion, rate: Recursion) -> Claim:
    return Claim(
        "IV.A: JPEG 2000 is not immune",
        f"constant PSNR {_spread(setting)}, constant bytes {_spread(rate)}",
        max(each.mean_errors[-1] / each.mean_errors[0] for each in (setting, rate)) > 1.2,
    )


def _smallest_k(paper: Recursion, k: Mapping[str, int]) -> Claim:
    found = ", ".join(f"{number} {preparation}" for preparation, number in k.items())
    return Claim(
        f"IV.B: K = {FOUND_K} gives 5 % mean error",
        f"K = {found}; K = {PAPER_K} gives {paper.mean_errors[0]:.1%}",
        abs(next(iter(k.values())) / FOUND_K - 1) < 0.2,
    )


def _one_loss(floats: Recursion, stored: Recursion, ours: Recursion) -> Claim:
    return Claim(
        "IV.C: only the first compression loses, every later one is lossless",
        f"floats: {_spread(floats)}, unchanged from generation {floats.unchanged_from or 'never'}; rounded to stored "
        f"integers: {_spread(stored)}, {stored.unchanged_from or 'never'}; ours: {ours.unchanged_from or 'never'}",
        stored.unchanged_from == 1,
    )


def _size(ours: Recursion) -> Claim:
    return Claim(
        "IV.C: each compression takes 14.4 KB",
        f"equation 7: {equation_7_bytes(PAPER_K):.0f} bytes; ours at {PAPER_ERROR:.0%}: {ours.mean_bytes:.0f} bytes",
        abs(equation_7_bytes(PAPER_K) / 14400 - 1) < 0.05,
    )


def _is_jpeg(name: str) -> bool:
    return name.startswith("jpeg ")


def _spread(each: Recursion) -> str:
    return f"error {each.mean_errors[0]:.3%} to {each.mean_errors[-1]:.3%}"

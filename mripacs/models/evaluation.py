"""Previews judged: coders at equal bytes on slices that the model never saw, compared at each slice's own size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mripacs.core.errors import CodecError, ModelError
from mripacs.models import codec
from mripacs.models.model import PreviewModel
from mripacs.models.similarity import relative_error, ssim
from mripacs.models.slices import LabelledSlice
from mripacs.models.threads import single_threaded

OURS = "sae"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a coder makes of a slice."""

    pixels: NDArray[Any]  # (rows, columns), stored values
    bytes: int
    encode_seconds: float = 0.0  # processor time, one core
    decode_seconds: float = 0.0


# A coder within a budget of bytes; None where it cannot. The best that it has is wanted: it may try and choose.
PreviewCoder = Callable[[NDArray[Any], int], Shown | None]


@dataclass(frozen=True, slots=True)
class Score:
    """A coder at a budget over slices: means."""

    coder: str
    budget: int  # bytes
    slices: int  # of those that the coder could do
    missed: int  # of those that it could not
    error: float  # relative, Frobenius
    ssim: float
    bytes: float
    wins: int  # slices on which no other coder has a higher SSIM
    encode_ms: float  # processor time
    decode_ms: float


def sae_coder(model: PreviewModel) -> PreviewCoder:
    """The preview codec with a model."""

    def run(pixels: NDArray[Any], budget: int) -> Shown | None:
        with single_threaded():
            start = process_time()
            payload = codec.encode(pixels, model, budget)
            middle = process_time()
            decoded = codec.decode(payload, model)
            end = process_time()
        return Shown(decoded.values(*pixels.shape), len(payload), middle - start, end - middle)

    return run


def held_out(slices: Iterable[LabelledSlice], *models: PreviewModel) -> list[LabelledSlice]:
    """The slices of series that none of the models was trained on. Raises ModelError when nothing is left."""
    trained = {series for model in models for series in model.card.get("trained_series", ())}
    kept = [each for each in slices if each.series not in trained]
    if not kept:
        raise ModelError(
            "every slice is of a series that the model was trained on, or there are none: nothing to judge"
        )
    return kept


def spread(slices: Iterable[LabelledSlice], per_series: int) -> list[LabelledSlice]:
    """Up to `per_series` slices of each series, spread over its middle half."""
    series: dict[str, list[LabelledSlice]] = defaultdict(list)
    for each in slices:
        series[each.series].append(each)
    chosen: list[LabelledSlice] = []
    for group in series.values():
        count = min(per_series, len(group))
        places = np.linspace(len(group) / 4, len(group) * 3 / 4, count).astype(int) if count < len(group) else None
        chosen += group if places is None else [group[place] for place in places]
    return chosen


def judge(
    slices: Sequence[LabelledSlice],
    coders: Mapping[str, PreviewCoder],
    budgets: Sequence[int],
    tick: Callable[[], None],
) -> list[Score]:
    """Every coder at every budget on every slice. A coder that raises CodecError misses that slice."""
    found: dict[tuple[int, str], list[tuple[float, float, Shown, bool]]] = defaultdict(list)
    for each in slices:
        for budget in budgets:
            _judge_slice(each.pixels, coders, budget, found)
        tick()
    return [_score(name, budget, found[budget, name], len(slices)) for budget in budgets for name in coders]


def _judge_slice(
    pixels: NDArray[Any], coders: Mapping[str, PreviewCoder], budget: int, found: dict[tuple[int, str], list[Any]]
) -> None:
    shown = {name: run_or_none(coder, pixels, budget) for name, coder in coders.items()}
    alike = {name: ssim(pixels, each.pixels) for name, each in shown.items() if each is not None}
    best = max(alike.values(), default=0.0)
    for name, each in shown.items():
        if each is not None:
            error = relative_error(pixels, each.pixels)
            found[budget, name].append((error, alike[name], each, alike[name] >= best))


def run_or_none(coder: PreviewCoder, pixels: NDArray[Any], budget: int) -> Shown | None:
    """What a coder makes of a slice; None where it cannot."""
    try:
        return coder(pixels, budget)
    except CodecError:
        return None


def _score(name: str, budget: int, rows: list[tuple[float, float, Shown, bool]], slices: int) -> Score:
    def mean(values: Iterable[float]) -> float:
        values = list(values)
        return float(np.mean(values)) if values else float("nan")

    return Score(
        coder=name,
        budget=budget,
        slices=len(rows),
        missed=slices - len(rows),
        error=mean(row[0] for row in rows),
        ssim=mean(row[1] for row in rows),
        bytes=mean(row[2].bytes for row in rows),
        wins=sum(row[3] for row in rows),
        encode_ms=1e3 * mean(row[2].encode_seconds for row in rows),
        decode_ms=1e3 * mean(row[2].decode_seconds for row in rows),
    )

"""The picture: rate-distortion curves, error maps and generation curves, drawn by matplotlib (extra `bench`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mripacs.core.errors import SettingsError
from mripacs.quality.curves import CurvePoint
from mripacs.quality.generations import Chain, Control

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

OURS = "kwavelet"
# Colours of Okabe and Ito, which colour-blind readers tell apart; ours are solid, peers dashed.
_COLOURS = ("#D55E00", "#E69F00", "#0072B2", "#56B4E9", "#009E73", "#CC79A7", "#000000")
_DASHES = ("--", ":")
_DPI = 110
_GROUPS_A_ROW = 4


def draw_curves(curves: Mapping[str, Sequence[CurvePoint]], file: Path) -> None:
    """For each group ("all" and each vendor) relative error, and PSNR below it, against bits a pixel."""
    columns = min(_GROUPS_A_ROW, len(curves))
    figure, axes = new_figure(2 * math.ceil(len(curves) / columns), columns, 3.6, 3.0)
    for unused in axes.flat:
        unused.set_visible(False)
    for place, (group, points) in enumerate(curves.items()):
        row, column = divmod(place, columns)
        above, below = axes[2 * row, column], axes[2 * row + 1, column]
        _draw_group(above, points, lambda point: 100 * point.target)
        _draw_group(below, points, lambda point: point.psnr)
        above.set(title=group, yscale="log")
        _plain_ticks(above.yaxis, [100 * point.target for point in points])
        below.set_xlabel("bits a pixel")
        if column == 0:
            above.set_ylabel("relative error, %")
            below.set_ylabel("PSNR, dB")
    axes[0, 0].legend(fontsize=7)
    save(figure, file)


def draw_error_maps(
    title: str, image: NDArray[Any], decoded: Mapping[str, tuple[NDArray[Any], str]], file: Path
) -> None:
    """The image, and beside it each coder's |x - y| on one scale, with a line about each.

    decoded : by coder, the pixels (rows, columns) and a caption.
    """
    maps = {name: np.abs(image.astype(np.int32) - pixels) for name, (pixels, _) in decoded.items()}
    largest = max(float(np.percentile(gap, 99.5)) for gap in maps.values()) or 1.0
    figure, axes = new_figure(1, 1 + len(maps), 2.6, 3.0)
    axes[0, 0].imshow(image, cmap="gray", vmin=np.percentile(image, 1), vmax=np.percentile(image, 99.5))
    axes[0, 0].set_title(title, fontsize=8)
    shown = None
    for column, (name, gap) in enumerate(maps.items(), start=1):
        shown = axes[0, column].imshow(gap, cmap="inferno", vmin=0, vmax=largest)
        axes[0, column].set_title(f"{name}\n{decoded[name][1]}", fontsize=8)
    for each in axes.flat:
        each.set_axis_off()
    if shown is not None:
        figure.colorbar(shown, ax=list(axes.flat), shrink=0.7, label="|x - y|, grey levels")
    save(figure, file)


def draw_generations(chains: Sequence[Chain], file: Path) -> None:
    """Error against the original, generation by generation, one panel a control."""
    figure, axes = new_figure(1, len(Control), 4.6, 3.4)
    names = list(dict.fromkeys(each.coder for each in chains))
    for column, control in enumerate(Control):
        for each in chains:
            if each.control is control:
                numbers = range(1, len(each.errors) + 1)
                errors = [100 * error for error in each.errors]
                axes[0, column].plot(numbers, errors, label=each.coder, **series_style(each.coder, names))
        axes[0, column].set(title=str(control), xlabel="generation")
        axes[0, column].grid(visible=True, alpha=0.25)
    axes[0, 0].set_ylabel("relative error against the original, %")
    axes[0, 0].legend(fontsize=7)
    save(figure, file)


def _draw_group(axes: Axes, points: Sequence[CurvePoint], value: Callable[[CurvePoint], float]) -> None:
    axes.set_visible(True)
    names = list(dict.fromkeys(point.coder for point in points))
    for name in names:
        mine = [point for point in points if point.coder == name]
        bits, values = [point.bits_per_pixel for point in mine], [value(point) for point in mine]
        axes.plot(bits, values, marker="o", markersize=3, label=name, **series_style(name, names))
    axes.grid(visible=True, alpha=0.25)
    axes.set_xscale("log", base=2)
    _plain_ticks(axes.xaxis)


def _plain_ticks(axis: Axis, places: Sequence[float] | None = None) -> None:
    """Numbers as people write them, not as powers; at these places only, where they are given."""
    from matplotlib.ticker import FormatStrFormatter, NullFormatter  # noqa: PLC0415 - as above

    if places is not None:
        axis.set_ticks(sorted(set(places)))
    axis.set_major_formatter(FormatStrFormatter("%g"))
    axis.set_minor_formatter(NullFormatter())


def series_style(name: str, names: Sequence[str]) -> dict[str, Any]:
    """How one of several named lines is drawn, wherever it appears."""
    ours = name.startswith(OURS)
    return {
        "color": _COLOURS[names.index(name) % len(_COLOURS)],
        "linestyle": "-" if ours else _DASHES[names.index(name) // len(_COLOURS)],
        "linewidth": 2.0 if ours else 1.2,
    }


def new_figure(rows: int, columns: int, width: float, height: float) -> tuple[Figure, NDArray[Any]]:
    """A figure that belongs to no window: matplotlib's object interface keeps no global state."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra, loaded where something is drawn
    except ImportError as error:
        raise SettingsError("figures need matplotlib: pip install 'mripacs[bench]'") from error
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def save(figure: Figure, file: Path) -> None:
    """Write a PNG file. Raises SettingsError where that cannot be."""
    try:
        figure.savefig(file, dpi=_DPI)
    except OSError as error:
        raise SettingsError(f"{file} cannot be written: {error.strerror}") from error

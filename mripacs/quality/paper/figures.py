"""The study's figures 4 to 8, drawn again from what was measured here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mripacs.quality.figures import new_figure, save, series_style
from mripacs.quality.paper.recursion import Recursion

if TYPE_CHECKING:
    from mripacs.quality.paper.learning import Learned


def draw_shown(recursions: Sequence[Recursion], file: Path) -> None:
    """Figures 4 and 5: one slice after so many generations, a row for each system."""
    numbers = sorted(recursions[0].shown)
    figure, axes = new_figure(len(recursions), len(numbers), 1.9, 2.1)
    for row, each in enumerate(recursions):
        largest = max(1.0, float(np.percentile(each.shown[numbers[0]], 99.5)))
        for column, number in enumerate(numbers):
            panel = axes[row, column]
            panel.imshow(each.shown[number], cmap="gray", vmin=0, vmax=largest)
            panel.set_title(f"{each.system}, {number}: {each.mean_errors[number - 1]:.1%}", fontsize=6)
            panel.set_axis_off()
    save(figure, file)


def draw_learned(original: NDArray[Any], learned: Sequence[Learned], file: Path) -> None:
    """Figures 9 to 11, 13 and 14: a slice of the held-out subject, and what each network makes of it."""
    columns = 4
    figure, axes = new_figure(-(-(1 + len(learned)) // columns), columns, 2.4, 2.7)
    for panel in axes.flat:
        panel.set_axis_off()
    captioned = [("original", original)]
    captioned += [(f"{each.system}\nmean error {each.mean_error:.1%}", each.shown) for each in learned]
    for panel, (caption, image) in zip(axes.flat, captioned, strict=False):
        panel.imshow(image, cmap="gray", vmin=0, vmax=np.percentile(original, 99.5))
        panel.set_title(caption, fontsize=7)
    save(figure, file)


def draw_latents(learned: Sequence[Learned], file: Path) -> None:
    """Figure 12: error of the networks on images against the size of the latent layer."""
    found = sorted((each.latent, 100 * each.mean_error) for each in learned if each.figure == "12 to 14")
    figure, axes = new_figure(1, 1, 4.8, 3.4)
    axes[0, 0].plot(*zip(*found, strict=True), "o-", color="#0072B2")
    axes[0, 0].set(xscale="log", xlabel="K", ylabel="mean relative error, %")
    axes[0, 0].grid(visible=True, which="both", alpha=0.25)
    save(figure, file)


def draw_trajectories(recursions: Sequence[Recursion], file: Path) -> None:
    """Figures 6 and 7: where each generation lies, in the plane of the two directions of most spread."""
    columns = 3
    figure, axes = new_figure(-(-len(recursions) // columns), columns, 3.0, 2.8)
    for panel in axes.flat:
        panel.set_visible(False)
    for panel, each in zip(axes.flat, recursions, strict=False):
        panel.set_visible(True)
        x, y = zip(*each.trajectories, strict=True)
        panel.plot(x, y, "-", color="0.7", linewidth=0.8)
        panel.scatter(x[1:], y[1:], c=range(1, len(x)), s=8, cmap="viridis")
        panel.plot(x[0], y[0], "k*", markersize=9)
        panel.set_aspect("equal", adjustable="datalim")  # else a drift of nothing fills the panel
        panel.set_title(each.system, fontsize=8)
        panel.tick_params(labelsize=6)
    save(figure, file)


def draw_errors(settings: Mapping[str, Sequence[Recursion]], file: Path) -> None:
    """Figure 8: mean error against the original by generation, one panel a preparation of the images."""
    figure, axes = new_figure(1, len(settings), 4.8, 3.6)
    for panel, (title, recursions) in zip(axes.flat, settings.items(), strict=True):
        names = [each.system for each in recursions]
        for each in recursions:
            numbers = range(1, len(each.mean_errors) + 1)
            panel.plot(
                numbers,
                [100 * error for error in each.mean_errors],
                label=each.system,
                **series_style(each.system, names),
            )
        panel.set(title=title, xlabel="generation", yscale="log")
        panel.grid(visible=True, which="both", alpha=0.25)
    axes[0, 0].set_ylabel("mean relative error, %")
    axes[0, 0].legend(fontsize=6)
    save(figure, file)

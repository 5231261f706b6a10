"""`mripacs admin models evaluate` and `compare`: previews beside other coders' at equal bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mripacs.cli.context import AsJson, open_archive, print_json, print_table
from mripacs.cli.files import find_items
from mripacs.cli.local import progress_bar
from mripacs.core.errors import MripacsError, SettingsError
from mripacs.core.settings import LimitSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mripacs.archive import Archive
    from mripacs.models.evaluation import PreviewCoder, Score, Shown
    from mripacs.models.model import PreviewModel
    from mripacs.models.slices import LabelledSlice

COLUMNS = ("coder", "budget", "slices", "missed", "relative error", "SSIM", "bytes", "best SSIM", "enc ms", "dec ms")
Folders = Annotated[list[Path] | None, typer.Argument(help="DICOM or NIfTI; none: the archive itself.")]
PerSeries = Annotated[int, typer.Option(min=1, help="Slices of each series.")]
Budgets = Annotated[str, typer.Option(help="Bytes, by commas.")]
SHEET_ROWS = 12


def evaluate(
    ctx: typer.Context,
    folders: Folders = None,
    version: Annotated[int | None, typer.Option(help="Version in the archive; none: the shipped model.")] = None,
    file: Annotated[Path | None, typer.Option(help="A model's file, instead.")] = None,
    budgets: Budgets = "120,400",
    per_series: PerSeries = 3,
    peers: Annotated[bool, typer.Option(help="kwavelet, JPEG XL and WebP beside it.")] = True,
    sheet: Annotated[Path | None, typer.Option(help="Draw a contact sheet, a PNG.")] = None,
    as_json: AsJson = False,
) -> None:
    """Judge a model on series that it was not trained on, beside other coders at the same bytes.

    Errors and SSIM are those of the slice's own size. A coder may make the slice smaller first, and its best try
    counts; a slice that it cannot do in the budget is missed.
    """
    model = _model(ctx, version, file)
    coders: dict[str, PreviewCoder] = {"sae": _sae(model)}
    if peers:
        coders |= _peers()
    _judge(ctx, folders, [model], coders, _numbers(budgets), per_series, sheet, as_json=as_json)


def compare(
    ctx: typer.Context,
    first: Annotated[int, typer.Argument(help="Version.")],
    second: Annotated[int, typer.Argument(help="Another version.")],
    folders: Folders = None,
    budgets: Budgets = "120,400",
    per_series: PerSeries = 3,
    sheet: Annotated[Path | None, typer.Option(help="Draw a contact sheet, a PNG.")] = None,
    as_json: AsJson = False,
) -> None:
    """Judge two models side by side on series that neither was trained on."""
    if first == second:
        raise SettingsError("give two different versions")
    models = [_model(ctx, version, None) for version in (first, second)]
    coders = {f"model {version}": _sae(model) for version, model in zip((first, second), models, strict=True)}
    _judge(ctx, folders, models, coders, _numbers(budgets), per_series, sheet, as_json=as_json)


def slices_of_folders(folders: list[Path]) -> Iterator[LabelledSlice]:
    """Every usable frame below the folders."""
    from mripacs.models.slices import from_files  # noqa: PLC0415 - numpy

    items = find_items(folders, LimitSettings().max_object_bytes)
    return from_files((label, item) for label, item in items if isinstance(item, Path))


def slices_of_archive(archive: Archive) -> Iterator[LabelledSlice]:
    """Every usable grey frame of the archive's MR instances."""
    from mripacs.models.slices import LabelledSlice, is_usable, series_key  # noqa: PLC0415 - numpy

    series = {str(row["SeriesInstanceUID"]) for row in archive.find("SERIES", Modality="MR", SeriesInstanceUID="")}
    for identity in archive:
        if identity.series_instance_uid not in series:
            continue
        try:
            frames = archive.image(identity.sop_instance_uid).frames
        except MripacsError:
            continue  # no pixels, or damaged: `admin verify` says so
        for number, frame in enumerate(frames, 1):
            if is_usable(frame):
                label = f"{identity.sop_instance_uid} {number}"
                yield LabelledSlice(frame, label, series_key(identity.series_instance_uid))


def _judge(
    ctx: typer.Context, folders: list[Path] | None, models: Sequence[PreviewModel],
    coders: Mapping[str, PreviewCoder], budgets: Sequence[int], per_series: int, sheet: Path | None, *, as_json: bool,
) -> None:  # fmt: skip
    from mripacs.models import contact_sheet, evaluation  # noqa: PLC0415 - numba

    slices = evaluation.spread(evaluation.held_out(_slices(ctx, folders), *models), per_series)
    with progress_bar(hidden=as_json) as bar:
        task = bar.add_task("judging", total=len(slices))
        scores = evaluation.judge(slices, coders, budgets, lambda: bar.advance(task))
        if sheet is not None:
            chosen = slices[:: -(-len(slices) // SHEET_ROWS)]
            contact_sheet.draw(chosen, coders, budgets, sheet)
    if as_json:
        print_json([asdict(score) for score in scores])
    else:
        print_table(f"Previews of {len(slices)} slices", COLUMNS, [_row(score) for score in scores])


def _slices(ctx: typer.Context, folders: list[Path] | None) -> Iterable[LabelledSlice]:
    if folders:
        return slices_of_folders(folders)
    with open_archive(ctx) as archive:
        return list(slices_of_archive(archive))


def _row(score: Score) -> list[object]:
    own = score.encode_ms > 0
    return [
        score.coder, score.budget, score.slices, score.missed, f"{score.error:.4f}", f"{score.ssim:.4f}",
        f"{score.bytes:.0f}", score.wins, f"{score.encode_ms:.1f}" if own else "-",
        f"{score.decode_ms:.1f}" if own else "-",
    ]  # fmt: skip


def _model(ctx: typer.Context, version: int | None, file: Path | None) -> PreviewModel:
    from mripacs.models import model_file  # noqa: PLC0415 - numba

    if version is not None and file is not None:
        raise SettingsError("give --version or --file, not both")
    if file is not None:
        return model_file.read(file)
    if version is None:
        return model_file.default()
    with open_archive(ctx) as archive:
        return model_file.from_bytes(archive.models.model_data(version))


def _sae(model: PreviewModel) -> PreviewCoder:
    from mripacs.models.evaluation import sae_coder  # noqa: PLC0415 - numba

    return sae_coder(model)


def _peers() -> dict[str, PreviewCoder]:
    from mripacs.models.evaluation import Shown  # noqa: PLC0415 - numba
    from mripacs.models.square import resize  # noqa: PLC0415
    from mripacs.quality import preview_peers  # noqa: PLC0415 - imagecodecs

    def peer(name: str) -> PreviewCoder:
        def run(pixels: NDArray[Any], budget: int) -> Shown | None:
            found = preview_peers.within(name, pixels, budget, resize)
            return None if found is None else Shown(*found)

        return run

    return {name: peer(name) for name in preview_peers.PEERS}


def _numbers(text: str) -> list[int]:
    try:
        budgets = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise SettingsError(f"--budgets {text!r} is no list of whole numbers by commas") from error
    if min(budgets) < 1:
        raise SettingsError(f"--budgets {text!r}: bytes are positive")
    return budgets

"""`mripacs bench codecs`: our codec beside the others on real slices, as curves, error maps and generations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mripacs.cli.context import AsJson, print_json, print_table
from mripacs.cli.files import find_items
from mripacs.cli.local import progress_bar
from mripacs.core.errors import SettingsError
from mripacs.core.settings import LimitSettings

COLUMNS = ("coder", "target", "slices", "bits a pixel", "PSNR", "encode MPx/s", "decode MPx/s")


def codecs(
    folders: Annotated[list[Path], typer.Argument(help="Folders of DICOM files.")],
    out: Annotated[Path, typer.Option(help="Folder for the page, the figures and the numbers.")],
    per_series: Annotated[int, typer.Option(min=1, help="Slices of each series.")] = 3,
    targets: Annotated[str, typer.Option(help="Relative errors, by commas.")] = "0.1,0.07,0.05,0.035,0.02,0.014,0.01",
    generations: Annotated[int, typer.Option(min=1, help="Generations of the chains.")] = 100,
    av1: Annotated[bool, typer.Option("--av1", help="AV1 intra too, through ffmpeg; slow.")] = False,
    as_json: AsJson = False,
) -> None:
    """Draw bytes against error for every codec on single-frame MR images: PNG figures, an HTML page, and the JSON.

    Each codec's quality is searched for the smallest payload that meets the target.
    """
    from mripacs.quality import coders, comparison, slices  # noqa: PLC0415 - numba and matplotlib

    errors = _targets(targets)
    found = slices.load_slices(find_items(folders, LimitSettings().max_object_bytes), per_series)
    if not found:
        raise SettingsError("no single-frame grey MR image in " + ", ".join(map(str, folders)))
    chosen = [*coders.our_coders(), *coders.peer_coders(av1=av1)]
    with progress_bar(hidden=as_json) as bar:
        task = bar.add_task("measuring", total=comparison.parts(found, chosen))
        measured = comparison.compare(found, chosen, errors, generations, lambda: bar.advance(task))
        command = f"mripacs bench codecs --per-series {per_series} --targets {targets} --generations {generations}"
        files = comparison.write(measured, found, chosen, out, command, lambda: bar.advance(task))
    if as_json:
        print_json(measured.as_json()["curves"])
        return
    rows = [
        (
            point.coder, f"{point.target:.1%}", point.slices, f"{point.bits_per_pixel:.3f}", f"{point.psnr:.2f}",
            f"{point.encode_megapixels_per_second:.2f}", f"{point.decode_megapixels_per_second:.2f}",
        )
        for point in measured.curves["all"]
    ]  # fmt: skip
    print_table("All slices, geometric means over series", COLUMNS, rows)
    typer.echo(f"{files[0]} shows it")


def _targets(text: str) -> list[float]:
    try:
        errors = sorted((float(part) for part in text.split(",")), reverse=True)
    except ValueError as error:
        raise SettingsError(f"--targets {text!r} is no list of numbers by commas") from error
    if not all(0 < each < 1 for each in errors):
        raise SettingsError(f"--targets {text!r}: relative errors lie between 0 and 1")
    return errors

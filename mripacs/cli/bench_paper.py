"""`mripacs bench paper`: the experiments of the study that this project grew from, on your images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mripacs.cli.context import AsJson, print_json, print_table
from mripacs.cli.files import find_items
from mripacs.cli.local import progress_bar
from mripacs.core.errors import SettingsError
from mripacs.core.settings import LimitSettings

QUICK_GENERATIONS, QUICK_SLICES = 10, 2
COLUMNS = ("the study", "measured here", "holds")


def paper(
    data: Annotated[list[Path], typer.Option(help="Folder of DICOM files; may be given again.")],
    out: Annotated[Path, typer.Option(help="Folder for the report, the figures and the numbers.")],
    generations: Annotated[int, typer.Option(min=2, help="Generations of the recursive experiments.")] = 100,
    per_series: Annotated[int, typer.Option(min=1, help="Slices of each series.")] = 2,
    quick: Annotated[bool, typer.Option("--quick", help="Two slices, ten generations.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the study's recursive compression (Figures 4 to 8) and put its claims beside what was measured.

    On slices resized to 256 x 256, as the study has them, and at native size.
    """
    from mripacs.quality.paper import study  # noqa: PLC0415 - numba and matplotlib
    from mripacs.quality.slices import load_slices  # noqa: PLC0415 - as above

    slices = load_slices(find_items(data, LimitSettings().max_object_bytes), per_series)
    slices, generations = (slices[:QUICK_SLICES], QUICK_GENERATIONS) if quick else (slices, generations)
    if not slices:
        raise SettingsError("no single-frame grey MR image in " + ", ".join(map(str, data)))
    with progress_bar(hidden=as_json) as bar:
        task = bar.add_task("measuring", total=study.parts(slices))
        measured = study.run(slices, generations, lambda: bar.advance(task))
    arguments = "--quick" if quick else f"--generations {generations} --per-series {per_series}"
    files = study.write(measured, slices, out, f"mripacs bench paper {arguments}")
    if as_json:
        print_json(measured.as_json())
    else:
        print_table("Claims", COLUMNS, [claim.cells() for claim in study.claims(measured)])
        typer.echo(f"{files[0]} shows it")

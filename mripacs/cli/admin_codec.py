"""`mripacs admin codec`: tables of the `small` coder, trained on a site's own images."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mripacs.cli.context import AsJson, open_archive, print_json, print_table
from mripacs.cli.files import find_items

if TYPE_CHECKING:
    from mripacs.quality.slices import Slice

app = typer.Typer(help="Tables of the entropy coder for small payloads.", no_args_is_help=True)

PER_SERIES = 75  # slices; more of one series are much alike
HELD_OUT = 12  # one slice in so many of each series, its last ones, is not trained on but measured
LEAST_HELD_OUT = 4
MAX_FILE_BYTES = 1 << 28


@app.callback()
def group() -> None:
    """Tables of the entropy coder for small payloads."""


@app.command()
def train(
    folders: Annotated[list[Path], typer.Argument(help="Folders of DICOM files: single-frame grey MR images count.")],
    out: Annotated[Path, typer.Option(help="File to write the tables to.")],
    start: Annotated[
        Path | None, typer.Option(help="Tables to go on from, with one more round.", exists=True, dir_okay=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn at random.")] = 1,
    scale: Annotated[float, typer.Option(min=0.01, max=10, help="Share of the usual work, for a quick try.")] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Train tables and measure them on slices that were held out, against the tables that ship.

    Takes 20 to 40 minutes of one processor for 500 slices, 4 GB of memory, and PyTorch (`pip install 'mripacs[sae]'`).
    """
    from mripacs.codec.kwavelet import small_tables, small_train  # noqa: PLC0415 - loads numba
    from mripacs.quality.slices import load_slices  # noqa: PLC0415

    slices = load_slices(find_items(folders, MAX_FILE_BYTES), PER_SERIES)
    trained_on, held_out = _split(slices)
    plan = small_train.Plan(seed=seed).scaled(scale)
    before = None if start is None else small_tables.SmallTables.from_bytes(start.read_bytes())
    images = [each.pixels for each in trained_on]
    tables = small_train.train(images, plan, lambda line: typer.echo(line, err=True), before)
    content = tables.to_bytes()
    out.write_bytes(content)
    measured = small_train.measure(
        [each.pixels for each in held_out], {"these": tables, "shipped": small_tables.shipped()}
    )
    result = {
        "file": out,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "trained_on": len(trained_on),
        "held_out": len(held_out),
        "held_out_bytes": measured,
    }
    if as_json:
        print_json(result)
        return
    typer.echo(f"{out}: {len(content)} bytes, SHA-256 {result['sha256']}, from {len(trained_on)} slices")
    for name, sizes in measured.items():
        typer.echo(f"{len(held_out)} held-out slices with {name} tables: {sizes}")


@app.command()
def add(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="Tables that `train` wrote.", exists=True, dir_okay=False)],
) -> None:
    """Keep tables in the archive, so that `admin repack --tables` can use them. They stay for ever."""
    with open_archive(ctx) as archive:
        typer.echo(archive.add_codec_tables(file.read_bytes()))


@app.command(name="list")
def list_tables(ctx: typer.Context, as_json: AsJson = False) -> None:
    """The tables that were added."""
    with open_archive(ctx) as archive:
        found = archive.codec_tables()
    if as_json:
        print_json([dict(zip(("sha256", "bytes", "added_at"), each, strict=True)) for each in found])
        return
    print_table("Tables", ("SHA-256", "bytes", "added"), found)


def _split(slices: list[Slice]) -> tuple[list[Slice], list[Slice]]:
    """Slices to train on and slices to measure on, of every series some."""
    by_series: dict[str, list[Slice]] = {}
    for each in slices:
        by_series.setdefault(each.series_instance_uid, []).append(each)
    held_out = [
        each for series in by_series.values() for each in series[-max(LEAST_HELD_OUT, len(series) // HELD_OUT) :]
    ]
    labels = {each.label for each in held_out}
    return [each for each in slices if each.label not in labels], held_out

"""`mripacs import-kspace`: raw k-space of fastMRI files, reconstructed and stored as MR series."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mripacs.cli.context import AsJson, open_archive, print_json, print_table
from mripacs.cli.local import progress_bar
from mripacs.core.errors import MripacsError, RefusedError

if TYPE_CHECKING:
    from rich.progress import Progress

    from mripacs.archive import Archive

COLUMNS = ("file", "slices", "coils", "matrix", "stored", "duplicates", "series")


def register(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command(name="import-kspace")(import_kspace)


def import_kspace(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="fastMRI HDF5 files, single-coil or multi-coil.")],
    as_json: AsJson = False,
) -> None:
    """Reconstruct fastMRI files (inverse FFT, root sum of squares) and store each as a series of MR images.

    The same file gives the same UIDs, so a second import stores nothing. A file that cannot be used is named, the
    others are imported, exit code 65.
    """
    rows: list[dict[str, Any]] = []
    refused: dict[str, MripacsError] = {}
    with open_archive(ctx) as archive, progress_bar(hidden=as_json) as bar:
        for file in files:
            try:
                rows.append(_import_file(archive, file, bar))
            except RefusedError as error:
                refused[str(file)] = error
    if as_json:
        print_json({"imported": rows, "refused": {name: str(error) for name, error in refused.items()}})
    else:
        print_table("Imported", COLUMNS, [[row[column] for column in COLUMNS] for row in rows])
        for reason in refused.values():
            typer.secho(str(reason), err=True, fg=typer.colors.RED)
    if refused:
        raise typer.Exit(next(iter(refused.values())).exit_code)


def _import_file(archive: Archive, file: Path, bar: Progress) -> dict[str, Any]:
    from mripacs.kspace.reader import open_acquisition  # noqa: PLC0415 - h5py and torch, extras
    from mripacs.kspace.series import series_of  # noqa: PLC0415 - as above

    with open_acquisition(file) as acquisition:
        task = bar.add_task(file.name, total=acquisition.slices)
        receipts = []
        for received in series_of(acquisition):
            receipts.append(archive.store(received))
            bar.advance(task)
        x, y, _ = acquisition.header.reconstructed.matrix
        new = sum(receipt.disposition == "stored" for receipt in receipts)
        return {
            "file": str(file),
            "slices": acquisition.slices,
            "coils": acquisition.coils,
            "matrix": f"{x}x{y}",
            "stored": new,
            "duplicates": len(receipts) - new,
            "series": archive.identify(receipts[0].sop_instance_uid).series_instance_uid,
        }

"""`mripacs bench`: measurements, each made by one command."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mripacs.cli import bench_codecs, bench_index, bench_node, bench_paper, bench_web
from mripacs.cli.context import AsJson, print_json, print_table
from mripacs.cli.files import find_items
from mripacs.cli.local import progress_bar
from mripacs.core.logging import configure_logging
from mripacs.core.settings import LogSettings, load_settings

if TYPE_CHECKING:
    from mripacs.archive import Archive

app = typer.Typer(help="Measurements.", no_args_is_help=True)
for command in (bench_codecs.codecs, bench_index.index, bench_node.node, bench_paper.paper, bench_web.web):
    app.command()(command)


@dataclass(slots=True)
class VendorSizes:
    """Sums over the instances of one vendor, in bytes."""

    instances: int = 0
    received_header: int = 0
    received_pixels: int = 0
    kept_header: int = 0
    kept_pixels: int = 0

    def row(self) -> list[object]:
        """Means per instance, and the ratio of all that was received to all that is kept."""
        count = max(1, self.instances)
        means = (self.received_header, self.received_pixels, self.kept_header, self.kept_pixels)
        kept = max(1, self.kept_header + self.kept_pixels)
        ratio = (self.received_header + self.received_pixels) / kept
        return [self.instances, *(f"{total / count:.0f}" for total in means), f"{ratio:.1f}"]


COLUMNS = ("vendor", "instances", "header in", "pixels in", "header kept", "pixels kept", "ratio")


@app.callback()
def group() -> None:
    """Measurements."""


@app.command()
def sizes(
    folders: Annotated[list[Path], typer.Argument(help="Folders of DICOM files.")],
    lossless: Annotated[bool, typer.Option("--lossless", help="Keep everything without loss.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="A table for a README.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bytes received and kept per instance, by vendor, header and pixels apart, in a throw-away archive.

    "header kept" counts the compressed header and the instance's share of the references of its series.
    """
    policy = {"rules": [{"name": "lossless", "keep": "lossless"}]} if lossless else {}
    from mripacs.archive import Archive  # noqa: PLC0415 - `mripacs --help` stays light

    configure_logging(LogSettings(level="ERROR"))
    with tempfile.TemporaryDirectory(prefix="mripacs-sizes-") as folder:
        settings = load_settings(flags={"archive": {"directory": folder}, "policy": policy}, environment={})
        items = list(find_items(folders, settings.limits.max_object_bytes))
        with Archive.open(settings=settings, workers=settings.archive.workers) as archive:
            with progress_bar(hidden=as_json) as bar:
                for _ in bar.track(archive.store_many(items), total=len(items), description="storing"):
                    pass
            vendors = _by_vendor(archive)
            disk = sum(file.stat().st_size for file in Path(folder).iterdir())
    rows = [[name, *sums.row()] for name, sums in sorted(vendors.items())]
    if as_json:
        print_json([dict(zip(COLUMNS, row, strict=True)) for row in rows] + [{"bytes_on_disk": disk}])
    elif markdown:
        _print_markdown(COLUMNS, rows)
    else:
        print_table("Bytes per instance", COLUMNS, rows)
        typer.echo(f"{disk} bytes on disk, database and all")


def _by_vendor(archive: Archive) -> dict[str, VendorSizes]:
    rows = archive.find("SERIES", SeriesInstanceUID="", Manufacturer="")
    vendor_of = {row["SeriesInstanceUID"]: _short_name(str(row.get("Manufacturer", ""))) for row in rows}
    vendors: dict[str, VendorSizes] = defaultdict(VendorSizes)
    for identity in archive:
        certificate = identity.certificate
        for name in (vendor_of[identity.series_instance_uid], "~ all"):
            sums = vendors[name]
            sums.instances += 1
            sums.received_header += certificate.received_bytes - certificate.received_pixel_bytes
            sums.received_pixels += certificate.received_pixel_bytes
            sums.kept_header += identity.header_bytes
            sums.kept_pixels += identity.payload_bytes
    for series, count in archive.reference_bytes().items():
        for name in (vendor_of[series], "~ all"):
            vendors[name].kept_header += count
    return vendors


def _short_name(manufacturer: str) -> str:
    """One word for the many ways in which a vendor writes its name."""
    return manufacturer.replace("_", " ").split(" ")[0].upper() or "(none)"


def _print_markdown(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    columns = list(columns)
    typer.echo("| " + " | ".join(columns) + " |")
    typer.echo("|" + "---|" * len(columns))
    for row in rows:
        typer.echo("| " + " | ".join(str(cell) for cell in row) + " |")

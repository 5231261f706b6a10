"""`mripacs serve`: the node, until it is told to end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from mripacs.cli.context import options_of


def register(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command()(serve)


def serve(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="TCP port to listen on; 0 lets the system choose.")] = None,
    ae_title: Annotated[str | None, typer.Option(help="Our application entity title.")] = None,
    workers: Annotated[int | None, typer.Option(help="Codec processes.")] = None,
    web: Annotated[bool | None, typer.Option("--web/--no-web", help="Serve DICOMweb, too.")] = None,
    web_host: Annotated[str | None, typer.Option(help="Address that DICOMweb listens on.")] = None,
    web_port: Annotated[
        int | None, typer.Option(help="Its TCP port (implies --web); 0 lets the system choose.")
    ] = None,
    viewer: Annotated[
        bool | None, typer.Option("--viewer/--no-viewer", help="Serve the OHIF viewer, too; fetched once from npm.")
    ] = None,
    port_file: Annotated[Path | None, typer.Option(help="Write the port that is listened on into this file.")] = None,
    web_port_file: Annotated[Path | None, typer.Option(help="The same for DICOMweb's port.")] = None,
) -> None:
    """Run the node: C-ECHO, C-STORE, C-FIND, C-GET, C-MOVE and DICOMweb, until SIGINT or SIGTERM."""
    wanted = True if web is None and (web_port is not None or viewer) else web
    flags: Mapping[str, Mapping[str, object]] = {
        "dimse": {"host": host, "port": port, "ae_title": ae_title},
        "web": {"enabled": wanted, "host": web_host, "port": web_port, "viewer": viewer},
        "archive": {"workers": workers},
    }
    settings = options_of(ctx).settings(flags)
    if settings.web.viewer and settings.web.enabled:
        from mripacs.dicomweb import viewer_build  # noqa: PLC0415 - as below

        viewer_build.ensure()
    from mripacs.ingest.workers import load_codec, start_workers  # noqa: PLC0415 - `mripacs --help` stays light

    codec_workers = start_workers(settings.archive.workers, load_codec)  # they load beside what follows, not after it
    try:
        from mripacs.node import run_until_signal  # noqa: PLC0415 - as above

        run_until_signal(settings, port_file, web_port_file, codec_workers)
    finally:
        codec_workers.close()

"""`mripacs echo|send|find|get`: small clients for any DICOM application entity."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mripacs.cli.context import AsJson, print_json, print_table
from mripacs.cli.files import find_items
from mripacs.cli.local import progress_bar
from mripacs.core.errors import NotDicomError, QueryError, SettingsError
from mripacs.core.settings import LimitSettings

if TYPE_CHECKING:
    from mripacs.core.tls_contexts import ClientTls
    from mripacs.dimse.client import Peer

Host = Annotated[str, typer.Argument(help="Name or address of the peer.")]
Port = Annotated[int, typer.Argument(help="Its TCP port.", min=1, max=65535)]
Called = Annotated[str, typer.Option("--aec", help="The title to call.")]
Calling = Annotated[str, typer.Option("--aet", help="Our own title.")]
Tls = Annotated[bool, typer.Option("--tls", help="DICOM TLS.")]
Authorities = Annotated[Path | None, typer.Option("--ca", help="With --tls: who signs peers' certificates (PEM).")]
Certificate = Annotated[Path | None, typer.Option("--cert", help="With --tls: our certificate (PEM).")]
PrivateKey = Annotated[Path | None, typer.Option("--cert-key", help="Its key, if it is not in the same file.")]
AnyName = Annotated[bool, typer.Option("--any-name", help="With --tls: the certificate need not name HOST.")]
LevelOption = Annotated[str, typer.Option("--level", "-l", help="PATIENT, STUDY, SERIES or IMAGE.")]
Keys = Annotated[list[str] | None, typer.Option("--key", "-k", help="KEYWORD=VALUE, or KEYWORD to have it returned.")]

DEFAULT_KEYS = {
    "PATIENT": ("PatientID", "PatientName"),
    "STUDY": ("StudyInstanceUID", "PatientID", "StudyDate", "StudyDescription", "NumberOfStudyRelatedInstances"),
    "SERIES": ("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "NumberOfSeriesRelatedInstances"),
    "IMAGE": ("SOPInstanceUID", "SOPClassUID", "InstanceNumber"),
}


def register(app: typer.Typer) -> None:
    """Add the commands to the tree."""
    for command in (echo, send, find, get):
        app.command()(command)


def _peer(host: str, port: int, called: str, calling: str, tls: ClientTls | None) -> Peer:
    from mripacs.dimse.client import Peer  # noqa: PLC0415 - `mripacs --help` stays light

    return Peer(host, port, called, calling, tls=tls)


def _tls(
    wanted: bool, authorities: Path | None, certificate: Path | None, key: Path | None, any_name: bool
) -> ClientTls | None:
    from mripacs.core.tls_contexts import ClientTls  # noqa: PLC0415 - as above

    if not wanted and (authorities or certificate or key or any_name):
        raise SettingsError("--ca, --cert, --cert-key and --any-name need --tls")
    return ClientTls(authorities, certificate, key, check_name=not any_name) if wanted else None


def _parse_keys(keys: list[str] | None, level: str) -> dict[str, str]:
    pairs = (item.partition("=") for item in keys or ())
    given = {keyword.strip(): value for keyword, _, value in pairs}
    if level.upper() not in DEFAULT_KEYS:
        raise QueryError(f"level {level!r} is not one of {', '.join(DEFAULT_KEYS)}")
    return {**dict.fromkeys(DEFAULT_KEYS[level.upper()], ""), **given}


def echo(
    host: Host,
    port: Port,
    aec: Called = "MRIPACS",
    aet: Calling = "MRIPACS-SCU",
    tls: Tls = False,
    ca: Authorities = None,
    cert: Certificate = None,
    cert_key: PrivateKey = None,
    any_name: AnyName = False,
) -> None:
    """C-ECHO: is a DICOM application entity there? Exit code 69 if not."""
    from mripacs.dimse import client  # noqa: PLC0415 - as above

    client.echo(_peer(host, port, aec, aet, _tls(tls, ca, cert, cert_key, any_name)))
    typer.echo(f"{aec} at {host}:{port} answers")


def send(
    host: Host,
    port: Port,
    paths: Annotated[list[Path], typer.Argument(help="Files, folders or zip archives.")],
    aec: Called = "MRIPACS",
    aet: Calling = "MRIPACS-SCU",
    tls: Tls = False,
    ca: Authorities = None,
    cert: Certificate = None,
    cert_key: PrivateKey = None,
    any_name: AnyName = False,
    as_json: AsJson = False,
) -> None:
    """C-STORE files as they are, in their own transfer syntax. Exit code 69 if any was not taken."""
    from mripacs.dicom.part10 import read_part10  # noqa: PLC0415 - as above
    from mripacs.dimse import client  # noqa: PLC0415 - as above

    objects, skipped = [], 0
    for _, content in find_items(paths, LimitSettings().max_object_bytes):
        try:
            objects.append(read_part10(content))
        except NotDicomError:
            skipped += 1
    with progress_bar(hidden=as_json) as bar:
        answers = client.send(_peer(host, port, aec, aet, _tls(tls, ca, cert, cert_key, any_name)), objects)
        results = list(bar.track(answers, total=len(objects), description="sending"))
    rejected = [result for result in results if not result.accepted]
    if as_json:
        print_json(
            {"sent": len(results) - len(rejected), "not_dicom": skipped, "rejected": [_as_dict(r) for r in rejected]}
        )
    else:
        typer.echo(f"{len(results) - len(rejected)} of {len(objects)} taken, {skipped} files are no DICOM")
        for result in rejected:
            status = "no status" if result.status is None else f"0x{result.status:04X}"
            typer.echo(f"not taken {result.sop_instance_uid}: {status} {result.comment}", err=True)
    if rejected:
        raise typer.Exit(69)


def _as_dict(result: object) -> dict[str, object]:
    return {name: getattr(result, name) for name in ("sop_instance_uid", "status", "comment")}


def find(
    host: Host,
    port: Port,
    level: LevelOption = "STUDY",
    key: Keys = None,
    aec: Called = "MRIPACS",
    aet: Calling = "MRIPACS-SCU",
    tls: Tls = False,
    ca: Authorities = None,
    cert: Certificate = None,
    cert_key: PrivateKey = None,
    any_name: AnyName = False,
    as_json: AsJson = False,
) -> None:
    """C-FIND: list what matches, for instance `mripacs find HOST PORT -k "PatientName=DOE*" -k StudyDate=2020-`."""
    from mripacs.dimse import client  # noqa: PLC0415 - as above

    keys = _parse_keys(key, level)
    rows = list(client.find(_peer(host, port, aec, aet, _tls(tls, ca, cert, cert_key, any_name)), level.upper(), keys))
    if as_json:
        print_json(rows)
    else:
        print_table(f"{len(rows)} matches", tuple(keys), [[row.get(keyword, "") for keyword in keys] for row in rows])


def get(
    host: Host,
    port: Port,
    out: Annotated[Path, typer.Argument(help="Folder for the files.")],
    level: LevelOption = "STUDY",
    key: Keys = None,
    aec: Called = "MRIPACS",
    aet: Calling = "MRIPACS-SCU",
    tls: Tls = False,
    ca: Authorities = None,
    cert: Certificate = None,
    cert_key: PrivateKey = None,
    any_name: AnyName = False,
    as_json: AsJson = False,
) -> None:
    """C-GET: fetch what the keys name, for instance `-l STUDY -k StudyInstanceUID=1.2.3`, as files."""
    from mripacs.cli.fetching import get_files  # noqa: PLC0415 - as above

    keys = {keyword: value for keyword, value in _parse_keys(key, level).items() if value}
    counts = get_files(_peer(host, port, aec, aet, _tls(tls, ca, cert, cert_key, any_name)), level.upper(), keys, out)
    if as_json:
        print_json({**counts, "folder": out})
    else:
        typer.echo(f"{counts['completed'] + counts['warning']} files in {out}, {counts['failed']} failed")
    if counts["failed"]:
        raise typer.Exit(69)

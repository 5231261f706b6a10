"""`mripacs bench web`: the DICOMweb services timed, and beside them Orthanc's, request by request in turn."""

from __future__ import annotations

import http.client
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from mripacs.cli.context import AsJson, print_json, print_table
from mripacs.cli.files import find_items
from mripacs.cli.local import progress_bar
from mripacs.cli.web_peers import ROOT, OrthancServer, OurServer, WebServer, connection, get, post
from mripacs.core.errors import NotDicomError, SettingsError
from mripacs.core.logging import configure_logging
from mripacs.core.settings import LimitSettings, LogSettings, load_settings

DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
FRAMES = 'multipart/related; type="application/octet-stream"'
SMALLEST_SERIES = 2


@dataclass(slots=True)
class Series:
    """A series as one server knows it: its UIDs, and those of its instances."""

    study: str
    series: str
    instances: list[str]

    @property
    def path(self) -> str:
        """Its resource."""
        return f"{ROOT}/studies/{self.study}/series/{self.series}"


Times = dict[str, dict[str, list[float]]]  # request -> server -> seconds
Request = Callable[[http.client.HTTPConnection, Series, int], object]

# What is asked for in each round; the number of the round chooses the instance.
REQUESTS: Mapping[str, Request] = {
    "QIDO studies": lambda asked, _, __: get(asked, f"{ROOT}/studies"),
    "QIDO series of a study": lambda asked, one, _: get(asked, f"{ROOT}/studies/{one.study}/series"),
    "QIDO 100 instances": lambda asked, _, __: get(asked, f"{ROOT}/instances?limit=100"),
    "series metadata": lambda asked, one, _: get(asked, f"{one.path}/metadata"),
    "instance metadata": lambda asked, one, n: get(asked, f"{one.path}/instances/{_nth(one, n)}/metadata"),
    "WADO-RS series": lambda asked, one, _: get(asked, one.path, DICOM),
    "single frame": lambda asked, one, n: get(asked, f"{one.path}/instances/{_nth(one, n)}/frames/1", FRAMES),
}


def web(
    folders: Annotated[list[Path], typer.Argument(help="Folders of DICOM files; the largest series is asked for.")],
    peer: Annotated[Literal["orthanc"] | None, typer.Option(help="Another server, in turn with ours.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Times that each request is made.")] = 15,
    lossless: Annotated[bool, typer.Option("--lossless", help="Keep everything without loss.")] = False,
    as_json: AsJson = False,
) -> None:
    """Time STOW, QIDO, metadata, WADO-RS and frames in throw-away archives: medians in ms, and ratios to the peer.

    "first" is the first time that something is asked for, "again" the median of later times (caches are warm then). A
    ratio above 1 says how many times faster ours is.
    """
    configure_logging(LogSettings(level="ERROR"))
    files = [content for _, content in find_items(folders, LimitSettings().max_object_bytes)]
    with tempfile.TemporaryDirectory(prefix="mripacs-web-") as folder, ExitStack() as open_servers:
        servers = [open_servers.enter_context(server) for server in _servers(Path(folder), peer, lossless)]
        with progress_bar(hidden=as_json) as bar:
            times = _measure(servers, files, rounds, lambda items: bar.track(items, description="storing"))
    rows = _rows(times, [server.name for server in servers])
    if as_json:
        print_json(rows)
    else:
        columns = list(rows[0])
        print_table("Milliseconds", columns, [[_cell(row[column]) for column in columns] for row in rows])


def _servers(folder: Path, peer: str | None, lossless: bool) -> list[WebServer]:
    policy = {"rules": [{"name": "lossless", "keep": "lossless"}]} if lossless else {}
    flags = {"archive": {"directory": folder / "archive"}, "web": {"port": 0}, "policy": policy,
             "log": {"level": "ERROR"}}  # fmt: skip
    ours: list[WebServer] = [OurServer(load_settings(flags=flags, environment={}))]
    return [*ours, OrthancServer(folder / "orthanc")] if peer else ours


@dataclass(slots=True)
class _Asked:
    """A server, a connection to it, and the series that it is asked for."""

    name: str
    connection: http.client.HTTPConnection
    series: Series = field(default_factory=lambda: Series("", "", []))


def _measure(
    servers: Sequence[WebServer],
    files: Sequence[Path | bytes],
    rounds: int,
    track: Callable[[Sequence[bytes]], Iterable[bytes]],
) -> Times:
    times: Times = {}
    with ExitStack() as connections:
        asked = [_Asked(server.name, connections.enter_context(connection(server.port))) for server in servers]
        for content in track(_dicom_only(files)):
            for one in asked:
                _timed(times, "STOW one instance", one.name, partial(post, one.connection, f"{ROOT}/studies", content))
        for one in asked:
            one.series = _largest_series(one.connection)
        for number in range(rounds):
            for name, request in REQUESTS.items():
                for one in asked:
                    _timed(times, name, one.name, partial(request, one.connection, one.series, number))
    return times


def _timed(times: Times, request: str, server: str, call: Callable[[], object]) -> None:
    began = time.perf_counter()
    call()
    times.setdefault(request, {}).setdefault(server, []).append(time.perf_counter() - began)


def _dicom_only(files: Sequence[Path | bytes]) -> list[bytes]:
    """The contents of those that are Part 10 files, which is what every server takes."""
    contents = [file if isinstance(file, bytes) else file.read_bytes() for file in files]
    found = [content for content in contents if content[128:132] == b"DICM"]
    if not found:
        raise NotDicomError("there is no Part 10 file")
    return found


def _largest_series(asked: http.client.HTTPConnection) -> Series:
    rows = json.loads(get(asked, f"{ROOT}/instances?limit=5000&includefield=StudyInstanceUID,SeriesInstanceUID"))
    series: dict[tuple[str, str], Series] = {}
    for row in rows:
        study, of_series, instance = (row[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018"))
        series.setdefault((study, of_series), Series(study, of_series, [])).instances.append(instance)
    largest = max(series.values(), key=lambda each: len(each.instances))
    if len(largest.instances) < SMALLEST_SERIES:
        raise SettingsError(f"no series has {SMALLEST_SERIES} instances")
    return largest


def _nth(series: Series, number: int) -> str:
    return series.instances[number % len(series.instances)]


def _rows(times: Times, names: Sequence[str]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for request, by_server in times.items():
        row: dict[str, object] = {"request": request}
        for name in names:
            first, *more = (1000 * seconds for seconds in by_server[name])
            row[f"{name} first"], row[f"{name} again"] = first, statistics.median(more or [first])
        if len(names) > 1:
            ours, theirs = names
            for when in ("first", "again"):
                row[f"ratio {when}"] = float(str(row[f"{theirs} {when}"])) / float(str(row[f"{ours} {when}"]))
        rows.append(row)
    return rows


def _cell(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)

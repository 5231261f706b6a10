"""`mripacs bench index`: the index with a million instances beside one with ten thousand."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from mripacs.cli.context import AsJson, print_json, print_table
from mripacs.cli.local import progress_bar
from mripacs.core.errors import SettingsError
from mripacs.core.logging import configure_logging
from mripacs.core.settings import LogSettings

SMALL_SHARE = 100  # the large archive has as many times the studies of the small one
QUICK_STUDIES, QUICK_OF_STUDY = 200, 10


def index(
    instances: Annotated[int, typer.Option(min=1, help="Instances of the large archive.")] = 1_000_000,
    studies: Annotated[int, typer.Option(min=1, help="Its studies.")] = 10_000,
    database: Annotated[
        str | None,
        typer.Option(help="URL of a PostgreSQL server where databases may be made and dropped; else SQLite files."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="2000 instances, no node is started: does it run?")] = False,
    as_json: AsJson = False,
) -> None:
    """Fill throw-away archives with made-up studies, ask them what viewers ask, add to them, open them, weigh them.

    Every question brings as many rows from the small archive, a hundredth of the large one, so that the times compare;
    both are asked in turn. Those without a bound skip more the larger the archive is.
    """
    configure_logging(LogSettings(level="ERROR"))
    from mripacs.cli.index_bench import report, trial  # noqa: PLC0415 - `mripacs --help` stays light

    if quick:
        large = small = trial.Size(QUICK_STUDIES, QUICK_STUDIES * QUICK_OF_STUDY)
    else:
        large = trial.Size(studies, instances)
        small = trial.Size(studies // SMALL_SHARE, instances // SMALL_SHARE)
    if small.studies < trial.LEAST_STUDIES or large.of_study < 1:
        raise SettingsError(f"{SMALL_SHARE * trial.LEAST_STUDIES} studies and an instance in each are the least")
    with tempfile.TemporaryDirectory(prefix="mripacs-index-") as folder, progress_bar(hidden=as_json) as bar:

        def track(numbers: Iterable[int], what: str) -> Iterable[int]:
            return bar.track(list(numbers), description=what)

        found = trial.run(small, large, database, Path(folder), serve=not quick, track=track)
    result = report.as_json(found, small, large, "postgresql" if database else "sqlite")
    if as_json:
        print_json(result)
        return
    print_table(
        f"{large.instances} instances beside {small.instances}", report.QUESTION_COLUMNS, report.question_cells(result)
    )
    print_table("The rest", report.FIGURE_COLUMNS, report.figure_cells(result))
    print_table("Where the bytes are", ("table or index", "bytes an instance"), report.part_cells(result))

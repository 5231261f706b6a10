"""Commands that walk through the archive: a bar, an end that can be resumed from, exit codes for scripts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import typer

from mripacs.cli.local import interruptible

if TYPE_CHECKING:
    import threading

    from rich.progress import Progress

FOUND, INTERRUPTED = 74, 75  # EX_IOERR, EX_TEMPFAIL: exit codes


class Walk(Protocol):
    """A resumable pass over instances, one at a time."""

    ended: threading.Event
    progress: Any  # checked, findings, finished_at

    def __iter__(self) -> Iterator[Any]:
        """Do the next instance."""


def follow(walk: Walk, bar: Progress, doing: str, total: int | None) -> None:
    """Go through with it, or until the user ends it."""
    task = bar.add_task(doing, total=total)
    with interruptible(walk.ended):
        for _ in walk:
            bar.update(task, completed=walk.progress.checked)


def leave(walk: Walk) -> None:
    """Raises typer.Exit(INTERRUPTED) for an interrupted walk, typer.Exit(FOUND) for one that found damage."""
    if walk.progress.finished_at is None:
        raise typer.Exit(INTERRUPTED)
    if walk.progress.findings:
        raise typer.Exit(FOUND)

"""`mripacs bench paper`: the experiments of the study that this project grew from, on your images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mripacs.cli.context import AsJson, print_json, print_table
from mripacs.cli.files import find_items
from mripacs.cli.local import progress_bar
from mripacs.core.errors import SettingsError
from mripacs.core.settings import LimitSettings

if TYPE_CHECKING:
    from rich.progress import Progress

    from mripacs.quality.paper.learning import Learned
    from mripacs.quality.slices import Slice

QUICK_GENERATIONS, QUICK_EPOCHS, QUICK_SLICES, QUICK_TRAINING = 10, 2, 2, 6
SUBJECT_SLICES = 20  # of each of its series, spread over the middle half
COLUMNS = ("the study", "measured here", "holds")


def paper(
    data: Annotated[list[Path], typer.Option(help="Folder of DICOM files; may be given again.")],
    out: Annotated[Path, typer.Option(help="Folder for the report, the figures and the numbers.")],
    train: Annotated[
        list[Path] | None, typer.Option(help="Folder to train the networks on; else all but one study of --data.")
    ] = None,
    generations: Annotated[int, typer.Option(min=2, help="Generations of the recursive experiments.")] = 100,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of the networks.")] = 250,
    per_series: Annotated[int, typer.Option(min=1, help="Slices of each series.")] = 2,
    train_per_series: Annotated[int, typer.Option(min=1, help="Slices of each series to train on.")] = 20,
    subject: Annotated[
        Path | None, typer.Option(help="Folder of the subject that judges networks trained with --train; else --data.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the networks' first weights and of their batches.")] = 1,
    learned: Annotated[bool, typer.Option(help="Train the networks, which needs torch.")] = True,
    quick: Annotated[bool, typer.Option("--quick", help="Few slices, ten generations, two epochs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the study's experiments (Figures 4 to 14) and put its claims beside what was measured.

    Recursive compression on slices resized to 256 x 256, as the study has them, and at native size; its networks on a
    subject that they were not trained on.
    """
    from mripacs.quality.paper import study, subjects  # noqa: PLC0415 - numba and matplotlib

    slices = _slices(data, per_series)
    training: list[Slice] = []
    held_out: list[Slice] = []
    if learned:
        _require_torch()
        several = _slices(train or data, train_per_series)
        judges = _slices([subject], SUBJECT_SLICES) if subject else slices
        training, held_out = (several, judges) if train else subjects.split(several)
        training = training[:QUICK_TRAINING] if quick else training
    if quick:
        slices, generations, epochs = slices[:QUICK_SLICES], QUICK_GENERATIONS, QUICK_EPOCHS
    with progress_bar(hidden=as_json) as bar:
        elsewhere = slices if train else []  # else they are of the training's subjects
        networks = list(_learn(training, held_out, elsewhere, epochs, seed, bar)) if learned else []
        task = bar.add_task("recursions", total=study.recursion_parts(slices))
        measured = study.measure(slices, generations, lambda: bar.advance(task), networks)
    how = "--quick" if quick else f"--generations {generations} --epochs {epochs} --train-per-series {train_per_series}"
    how += "" if learned else " --no-learned"
    command = f"mripacs bench paper {_named(data, train, subject)} {how} --per-series {per_series} --seed {seed}"
    files = study.write(measured, slices, training, held_out, out, command)
    if as_json:
        print_json(measured.as_json())
    else:
        print_table("Claims", COLUMNS, [claim.cells() for claim in measured.claims()])
        typer.echo(f"{files[0]} shows it")


def _slices(folders: list[Path], per_series: int) -> list[Slice]:
    from mripacs.quality.slices import load_slices  # noqa: PLC0415 - pydicom

    found = load_slices(find_items(folders, LimitSettings().max_object_bytes), per_series)
    if not found:
        raise SettingsError("no single-frame grey MR image in " + ", ".join(map(str, folders)))
    return found


def _named(data: list[Path], train: list[Path] | None, subject: Path | None) -> str:
    """The folders as options, by their own names only: a report is shown to others."""
    options = [("--data", folder) for folder in data] + [("--train", folder) for folder in train or ()]
    options += [("--subject", subject)] if subject else []
    return " ".join(f"{option} {folder.name}" for option, folder in options)


def _learn(
    training: Sequence[Slice], held_out: Sequence[Slice], elsewhere: Sequence[Slice], epochs: int, seed: int,
    bar: Progress,
) -> Iterator[Learned]:  # fmt: skip
    from mripacs.quality.paper.learning import experiments, learn  # noqa: PLC0415 - torch
    from mripacs.quality.paper.study import training_images  # noqa: PLC0415 - numba

    task = bar.add_task("networks", total=epochs * len(experiments()))
    yield from learn(
        training_images(training),
        training_images(held_out),
        training_images(elsewhere) if elsewhere else (),
        epochs=epochs,
        seed=seed,
        tick=lambda: bar.advance(task),
    )


def _require_torch() -> None:
    try:
        import torch  # noqa: F401, PLC0415 - asked for before anything is measured
    except ImportError as error:
        raise SettingsError("the networks need torch: pip install 'mripacs[sae]', or --no-learned") from error

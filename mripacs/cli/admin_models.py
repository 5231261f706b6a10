"""`mripacs admin models`: the preview models of an archive, from their training to their retirement."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mripacs.cli import admin_models_judging as judging
from mripacs.cli.context import AsJson, open_archive, print_json, print_table, size
from mripacs.cli.local import progress_bar
from mripacs.core.errors import ModelError, SettingsError, TrainingError
from mripacs.core.model import ModelSummary

if TYPE_CHECKING:
    from mripacs.archive import Archive
    from mripacs.models.model import PreviewModel
    from mripacs.models.slices import LabelledSlice
    from mripacs.models.training import Plan

app = typer.Typer(help="Preview models: train, judge, activate, move between archives.", no_args_is_help=True)
app.command()(judging.evaluate)
app.command()(judging.compare)
COLUMNS = ("version", "name", "state", "previews", "size", "digest", "added")
Version = Annotated[int, typer.Argument(help="Version, as `list` numbers them.")]


@app.command(name="list")
def list_models(ctx: typer.Context, as_json: AsJson = False) -> None:
    """All models of the archive; which one is active; how many previews each has made that are kept."""
    with open_archive(ctx) as archive:
        models = archive.models.list_models()
    if as_json:
        print_json([asdict(model) for model in models])
    else:
        print_table("Preview models", COLUMNS, [_row(model) for model in models])


@app.command()
def show(ctx: typer.Context, version: Version, as_json: AsJson = False) -> None:
    """A model's card: its data, seed, plan, metrics and limits."""
    with open_archive(ctx) as archive:
        model = archive.models.model(version)
    if as_json:
        print_json(asdict(model))
        return
    rows: list[list[object]] = [[name, value] for name, value in zip(COLUMNS, _row(model), strict=True)]
    rows += [[key, value if isinstance(value, str) else json.dumps(value)] for key, value in sorted(model.card.items())]
    print_table(f"Model {version}", ("", ""), rows)


@app.command()
def train(
    ctx: typer.Context,
    checkpoints: Annotated[Path, typer.Option(help="Folder for checkpoints; the same folder goes on.")],
    folders: Annotated[list[Path] | None, typer.Argument(help="DICOM or NIfTI; none: the archive itself.")] = None,
    name: Annotated[str, typer.Option(help="What the model is called.")] = "trained",
    about: Annotated[str, typer.Option(help="The data, their source and licence, for the card.")] = "",
    out: Annotated[Path | None, typer.Option(help="Write a file, and leave the archive alone.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the network's training.")] = 2500,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="A small model in a minute, to try it out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model and add it to the archive, ready to be judged and activated. The active one stays.

    Runs on a GPU where there is one, and under torchrun. A killed training goes on from its checkpoints.
    """
    _require_torch()
    from mripacs.models import model_file, training  # noqa: PLC0415 - torch

    slices = list(_slices(ctx, folders))
    with progress_bar(hidden=as_json) as bar:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int, text: str) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, description=f"{stage}: {text}")

        said = about or ("the archive's own series" if not folders else ", ".join(path.name for path in folders))
        model = training.train(slices, _plan(steps, seed, quick=quick), checkpoints, said, report)
    if int(os.environ.get("RANK", "0")):  # under torchrun the first process keeps what all made
        return
    if out is not None:
        model_file.write(model_file.to_bytes(model), out)
        result: dict[str, object] = {"file": str(out), "digest": model.digest}
    else:
        with open_archive(ctx) as archive:
            data = model_file.to_bytes(model)
            result = {"version": archive.models.add_model(name, model.digest, model.card, data), "digest": model.digest}
    result |= {"slices": len(slices), "validation_loss": model.card["validation_loss"]}
    print_json(result) if as_json else print_table("Trained", ("", ""), [[key, value] for key, value in result.items()])


@app.command()
def activate(ctx: typer.Context, version: Version, as_json: AsJson = False) -> None:
    """Let all nodes of the database use a model. Running nodes make all previews anew, at [preview] rate."""
    with open_archive(ctx) as archive:
        _load(archive, version)  # damaged or of another version: it never becomes active
        active = archive.models.activate(version)
        lacking = len(archive.models.lacking(active, archive.settings.preview.modalities, 0, 1_000_000))
    if as_json:
        print_json({"active": active, "previews_to_make": lacking})
    else:
        typer.echo(f"model {active} is active; running nodes make {lacking} previews anew")


@app.command()
def retire(ctx: typer.Context, version: Version, as_json: AsJson = False) -> None:
    """Never activate a model again. Its previews stay until the active one has made them anew."""
    with open_archive(ctx) as archive:
        archive.models.retire(version)
    print_json({"retired": version}) if as_json else typer.echo(f"model {version} is retired")


@app.command()
def export(
    ctx: typer.Context, version: Version, file: Annotated[Path, typer.Argument(help="New safetensors file.")],
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Write a model's file, and its card beside it as JSON."""
    from mripacs.models import model_file  # noqa: PLC0415 - numba

    if file.exists():
        raise SettingsError(f"{file} exists already")
    with open_archive(ctx) as archive:
        model = _load(archive, version)
        model_file.write(archive.models.model_data(version), file)
    card = file.with_suffix(".json")
    model_file.write(json.dumps({**model.card, "digest": model.digest}, indent=1).encode(), card)
    print_json({"file": str(file), "card": str(card)}) if as_json else typer.echo(f"{file} and {card}")


@app.command(name="import")
def import_model(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="Safetensors file; none: the model shipped with mripacs.")] = None,
    name: Annotated[str | None, typer.Option(help="What it is called; else as the file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add a model, ready to be activated. Pickles, wrong shapes and digests that do not match are refused."""
    from mripacs.models import model_file  # noqa: PLC0415 - numba

    model = model_file.read(file) if file else model_file.default()
    data = file.read_bytes() if file else model_file.default_bytes()
    with open_archive(ctx) as archive:
        version = archive.models.add_model(name or (file.stem if file else "shipped"), model.digest, model.card, data)
    print_json({"version": version}) if as_json else typer.echo(f"model {version}, digest {model.digest[:12]}")


def _row(model: ModelSummary) -> list[object]:
    return [
        model.version, model.name, model.state, model.previews, size(model.bytes), model.digest[:12],
        model.created_at[:16],
    ]  # fmt: skip


def _plan(steps: int, seed: int, *, quick: bool) -> Plan:
    from mripacs.models.network_training import Recipe  # noqa: PLC0415 - torch
    from mripacs.models.training import Plan  # noqa: PLC0415 - torch

    if quick:
        small = Recipe(channels=8, layers=2, steps=min(steps, 20), validate_every=10, seed=seed)
        return Plan(small, odds_pictures=40, odds_epochs=1, pairs=64, unseen_pairs=16)
    return Plan(Recipe(steps=steps, seed=seed))


def _slices(ctx: typer.Context, folders: list[Path] | None) -> Iterator[LabelledSlice]:
    if folders:
        yield from judging.slices_of_folders(folders)
        return
    with open_archive(ctx) as archive:
        yield from judging.slices_of_archive(archive)


def _load(archive: Archive, version: int) -> PreviewModel:
    from mripacs.models import model_file  # noqa: PLC0415 - numba

    model = model_file.from_bytes(archive.models.model_data(version))
    if model.digest != archive.models.model(version).digest:
        raise ModelError(f"model {version} is not the one that was added: its digest does not match")
    return model


def _require_torch() -> None:
    if importlib.util.find_spec("torch") is None:
        raise TrainingError("training needs torch: pip install 'mripacs[sae]'")

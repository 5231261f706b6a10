"""Checkpoints of a training: what a killed or interrupted one goes on from. Tensors and JSON, never a pickle.

A folder holds `odds.safetensors` once the odds are trained, and `network.safetensors` with weights, optimiser and the
best network so far. Each file is written beside its place and renamed, so that a kill leaves the one before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from mripacs.core.errors import ModelError, TrainingError
from mripacs.models import model_file
from mripacs.models.kernel import Odds
from mripacs.models.network_training import Training

ODDS, NETWORK = "odds.safetensors", "network.safetensors"
Facts = Mapping[str, Any]  # what must be the same for a checkpoint to be gone on from


def save_odds(odds: Odds, facts: Facts, folder: Path) -> None:
    """Keep the odds. Raises TrainingError when the disk is full."""
    _write({name: np.ascontiguousarray(values) for name, values in odds._asdict().items()}, facts, {}, folder / ODDS)


def load_odds(facts: Facts, folder: Path) -> Odds | None:
    """The odds of an earlier run; None when there are none. Raises TrainingError for those of another training."""
    found = _read(facts, folder / ODDS)
    return Odds(**found[0]) if found else None


def save_training(training: Training, facts: Facts, folder: Path) -> None:
    """Keep a network's training. Raises TrainingError when the disk is full."""
    import torch  # noqa: PLC0415 - base installations read model files without it

    tensors = {f"network/{name}": values.cpu().numpy() for name, values in training.network.state_dict().items()}
    names = [name for name, _ in training.network.named_parameters()]
    for number, state in training.optimiser.state_dict()["state"].items():
        for key, values in state.items():
            tensors[f"optimiser/{names[number]}/{key}"] = torch.as_tensor(values).cpu().numpy()
    tensors |= {f"best/{name}": values for name, values in (training.best or {}).items()}
    place = {"step": training.step, "best_loss": training.best_loss, "worse": training.worse}
    _write(tensors, facts, place, folder / NETWORK)


def load_training(training: Training, facts: Facts, folder: Path) -> bool:
    """Go on where an earlier run stopped; False when there is none. Raises TrainingError for another training's."""
    import torch  # noqa: PLC0415 - as above

    found = _read(facts, folder / NETWORK)
    if found is None:
        return False
    tensors, place = found
    weights = _below("network/", tensors)
    try:
        training.network.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
        names = [name for name, _ in training.network.named_parameters()]
        state = {
            number: {key: torch.from_numpy(values) for key, values in _below(f"optimiser/{name}/", tensors).items()}
            for number, name in enumerate(names)
        }
        whole = training.optimiser.state_dict()
        training.optimiser.load_state_dict({"state": state, "param_groups": whole["param_groups"]})
    except (RuntimeError, KeyError, ValueError) as error:
        raise TrainingError(f"{folder / NETWORK} is of another architecture: train in another folder") from error
    training.step, training.best_loss, training.worse = (place[key] for key in ("step", "best_loss", "worse"))
    training.best = _below("best/", tensors)
    return True


def _below(start: str, tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(start): values for name, values in tensors.items() if name.startswith(start)}


def _write(tensors: Mapping[str, NDArray[Any]], facts: Facts, place: Mapping[str, Any], path: Path) -> None:
    data = save(dict(tensors), {"facts": json.dumps(facts, sort_keys=True), "place": json.dumps(place)})
    try:
        model_file.write(data, path)
    except ModelError as error:
        raise TrainingError(f"the checkpoint cannot be kept, the training stops: {error}") from error


def _read(facts: Facts, path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
    if not path.exists():
        return None
    try:
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length])["__metadata__"]
        kept, place = json.loads(metadata["facts"]), json.loads(metadata["place"])
        tensors = load(data)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path} is no checkpoint, or damaged: remove it to begin again") from error
    differing = sorted(key for key in {*facts, *kept} if facts.get(key) != kept.get(key))
    if differing:
        raise TrainingError(
            f"{path} is of another training ({', '.join(differing)} differ): train in another folder, or remove it"
        )
    return tensors, place

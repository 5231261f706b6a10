"""The study's networks (sections V.B to V.D), in torch (extra `sae`). What it leaves open is chosen here and said.

Open were activations, the filters before the last, the optimiser and how images are scaled: ReLU, 16 filters in every
layer, Adam, and each image divided by its maximum.
"""

from __future__ import annotations

import torch
from torch import nn

SIDE = 256
FILTERS, EMBEDDING = 16, 33  # "33x33 embeddings across 16 filters"
CELLS = EMBEDDING * EMBEDDING


class ShallowNetwork(nn.Module):
    """(1, 256, 256) to `latent` numbers and back, one linear layer each way (V.B, Figure 10)."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent
        self.encode = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, latent), nn.ReLU())
        self.decode = nn.Sequential(nn.Linear(latent, SIDE * SIDE), nn.Unflatten(1, (1, SIDE, SIDE)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 1, 256, 256) float32 to the same."""
        return self.decode(self.encode(images))


class ConvolutionalAutoencoder(nn.Module):
    """(1, 256, 256) to 16 filters of 33 x 33, to `latent` numbers, and back (V.C, V.D, Figures 11 to 14).

    latent : None for no latent layer. Multiples of 33 * 33 are a 1 x 1 convolution to so many filters, as 12 * 33 * 33
    in Figure 13 reads; a dense layer of that size would have 228 million weights. Smaller ones are dense layers.
    """

    def __init__(self, latent: int | None) -> None:
        super().__init__()
        self.latent = latent if latent is not None else FILTERS * CELLS
        self.encode = nn.Sequential(
            nn.Conv2d(1, FILTERS, 3, stride=2, padding=2),  # 129
            nn.ReLU(),
            nn.Conv2d(FILTERS, FILTERS, 3, stride=2, padding=1),  # 65
            nn.ReLU(),
            nn.Conv2d(FILTERS, FILTERS, 3, stride=2, padding=1),  # 33
            nn.ReLU(),
            *_to_latent(latent),
        )
        self.decode = nn.Sequential(
            *_from_latent(latent),
            nn.ConvTranspose2d(FILTERS, FILTERS, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(FILTERS, FILTERS, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(FILTERS, 1, 3, stride=2, padding=2, output_padding=1),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 1, 256, 256) float32 to the same."""
        return self.decode(self.encode(images))


def _to_latent(latent: int | None) -> list[nn.Module]:
    if latent is None:
        return []
    if latent % CELLS == 0:
        return [nn.Conv2d(FILTERS, latent // CELLS, 1)]
    return [nn.Flatten(), nn.Linear(FILTERS * CELLS, latent)]


def _from_latent(latent: int | None) -> list[nn.Module]:
    if latent is None:
        return []
    if latent % CELLS == 0:
        return [nn.Conv2d(latent // CELLS, FILTERS, 1), nn.ReLU()]
    grid = nn.Unflatten(1, (FILTERS, EMBEDDING, EMBEDDING))
    return [nn.Linear(latent, FILTERS * CELLS), nn.ReLU(), grid]

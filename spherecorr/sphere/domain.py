"""What a sphere was trained on, so that a picture unlike all of it can be told: its map would mean nothing.

The patches of the training's objects are summarised by centroids. A picture is as far as its object's patches are from
their nearest centroids on average; which cells exactly are taken for the object's hardly matters to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.functional import normalize

from spherecorr.errors import SpherecorrError
from spherecorr.features import FeatureMap
from spherecorr.files import write_atomic

CENTROIDS = 128
ROUNDS = 20  # of k-means
PATCHES = 40  # of each picture that the centroids are fitted on
QUANTILE = 0.98  # of held-out pictures that count as known; the last ones are as odd as what is unknown


class DomainError(SpherecorrError):
    """A domain that cannot be fitted or read; the message says why."""


@dataclass(frozen=True, eq=False)
class Domain:
    """The patches that a sphere was trained on, and how far from them a picture may be.

    Attributes:
        mean: float32 `[D]`, of all patches.
        centroids: float32 `[K, D]`, unit, of the patches after the mean is taken off them.
        threshold: the largest distance of a picture that counts as known.
    """

    mean: Tensor
    centroids: Tensor
    threshold: float

    @classmethod
    def fit(cls, pictures: Sequence[Tensor], held_out: Sequence[Tensor], seed: int = 0) -> Domain:
        """Summarise the patches of training pictures by spherical k-means.

        Args:
            pictures: float `[N, D]` of each: features of the patches that show the object, N at least 1.
            held_out: the same of others, which set the threshold: `QUANTILE` of them count as known.
            seed: of what is drawn at random.

        Raises:
            DomainError: no pictures, or none held out.
        """
        if not pictures or not held_out:
            raise DomainError("A domain is fitted on pictures with an object, and on some that are held out.")
        generator = torch.Generator().manual_seed(seed)
        drawn = [patches[torch.randperm(len(patches), generator=generator)[:PATCHES]].float() for patches in pictures]
        patches = torch.cat(drawn)
        mean = patches.mean(dim=0)
        units = normalize(patches - mean, dim=-1)
        fitted = cls(mean, _centroids(units, generator), 0.0)
        distances = torch.tensor([fitted._distance(patches) for patches in held_out])
        return cls(mean, fitted.centroids, float(distances.quantile(QUANTILE)))

    def distance(self, features: FeatureMap, cells: np.ndarray) -> float:
        """How far a picture is from those of the training, 0 to 2.

        Args:
            features: of the picture, by the backbone that the sphere was trained on.
            cells: boolean `[H, W]`, where the object is; all cells where none is.
        """
        tokens = features.tokens()
        chosen = torch.tensor(cells.reshape(-1), device=tokens.device)
        return self._distance(tokens[chosen] if chosen.any() else tokens)

    def knows(self, features: FeatureMap, cells: np.ndarray) -> bool:
        """Whether the picture is like those of the training; see `distance`."""
        return self.distance(features, cells) <= self.threshold

    def _distance(self, patches: Tensor) -> float:
        units = normalize(patches.float().cpu() - self.mean, dim=-1)
        return float((1 - (units @ self.centroids.T).amax(dim=-1)).mean())


def attach_domain(mapper: nn.Module, domain: Domain) -> None:
    """Let a mapper know what it was trained on."""
    mapper.domain = domain  # type: ignore[assignment]


def domain_of(mapper: nn.Module) -> Domain | None:
    """What a loaded mapper was trained on; None where its checkpoint does not say."""
    return getattr(mapper, "domain", None)


def unlike_training(roles: Sequence[str], categories: Sequence[str]) -> str:
    """What a person is told where the sphere's domain does not know the "source", the "target", or both."""
    known = f" ({', '.join(categories)})" if categories else ""
    verb, maps = ("is", "its sphere map") if len(roles) == 1 else ("are", "their sphere maps")
    pictures = " and the ".join(roles)
    return f"The {pictures} {verb} unlike the pictures the sphere was trained on{known}; {maps} may mean nothing."


def save_domain(domain: Domain, path: str | Path) -> None:
    """Write a domain as a safetensors file, in half precision: 50 kB for 192 channels, 200 kB for 768."""
    tensors = {"mean": domain.mean, "centroids": domain.centroids}
    halves = {name: tensor.half().contiguous() for name, tensor in tensors.items()}
    write_atomic(path, save({**halves, "threshold": torch.tensor(domain.threshold)}))


def load_domain(path: str | Path) -> Domain:
    """Read what `save_domain` wrote.

    Raises:
        DomainError: damaged, or another file.
    """
    try:
        stored = load_file(path)
        mean, centroids = stored["mean"].float(), stored["centroids"].float()
        return Domain(mean, centroids, float(stored["threshold"]))
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        raise DomainError(f"{path} is no description of a training's pictures, or damaged; delete it.") from error


def _centroids(units: Tensor, generator: torch.Generator) -> Tensor:
    """At most `CENTROIDS` unit vectors `[K, D]`, the middles of groups of unit vectors `[N, D]`."""
    centroids = units[torch.randperm(len(units), generator=generator)[:CENTROIDS]]
    for _ in range(ROUNDS):
        nearest = (units @ centroids.T).argmax(dim=-1)
        sums = torch.zeros_like(centroids).index_add_(0, nearest, units)
        alone = ~sums.any(dim=-1, keepdim=True)  # a centroid that is nearest to none stays
        centroids = torch.where(alone, centroids, normalize(sums, dim=-1))
    return centroids

"""A trained refinement of another backbone's features, in the layout of DIY-SC's published adapters.

Each map of the base (one for DINOv2; three levels of Stable Diffusion and DINOv2) goes through a bottleneck residual
block of its own, and the outputs are mixed with learned shares.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from spherecorr.backbones.base import Backbone, Framing, FramingName
from spherecorr.backbones.weights import BackboneError, fetch_from
from spherecorr.features import FeatureMap
from spherecorr.identity import FeatureSource, digest, file_digest
from spherecorr.images import ImageLike

if TYPE_CHECKING:
    from spherecorr.backbones.registry import AdapterSpec

GROUPS = 32
"""Of channels, for the GroupNorms."""

# Temperatures of the training's losses: in the published state dicts, and of no use here.
_TRAINING_ONLY = ("logit_scale", "self_logit_scale")


class Adapter(nn.Module):
    """The refinement itself; names of submodules are those of the published state dicts.

    Args:
        parts: channels of each map that goes in.
        dim: channels that come out, a multiple of 128.
    """

    def __init__(self, parts: Sequence[int], dim: int):
        super().__init__()
        self.parts, self.dim = tuple(parts), dim
        self.mixing_weights = nn.Parameter(torch.ones(len(self.parts)))
        self.bottleneck_layers = nn.ModuleList(nn.Sequential(_Bottleneck(part, dim)) for part in self.parts)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Refine maps `[B, part, h, w]` of each part's own grid.

        Returns:
            `[B, dim, H, W]` on the grid of the first map; the others are interpolated to it.
        """
        grid = maps[0].shape[-2:]
        maps = [x if x.shape[-2:] == grid else interpolate(x, grid, mode="bilinear") for x in maps]
        shares = self.mixing_weights.softmax(dim=0)
        blocks = zip(shares, self.bottleneck_layers, maps, strict=True)
        return torch.stack([share * block(x) for share, block, x in blocks]).sum(dim=0)


class _Bottleneck(nn.Module):
    def __init__(self, part: int, dim: int):
        super().__init__()
        self.conv1 = _NormedConv(part, dim // 4, 1)
        self.conv2 = _NormedConv(dim // 4, dim // 4, 3)
        self.conv3 = _NormedConv(dim // 4, dim, 1)
        self.shortcut = nn.Identity() if part == dim else _NormedConv(part, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.conv3(relu(self.conv2(relu(self.conv1(x))))) + self.shortcut(x))


class _NormedConv(nn.Conv2d):
    def __init__(self, inputs: int, outputs: int, side: int):
        super().__init__(inputs, outputs, side, padding=side // 2, bias=False)
        self.norm = nn.GroupNorm(GROUPS, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(super().forward(x))


class AdapterBackbone:
    """A backbone whose features are refined by an adapter; see `Backbone` for what all backbones have.

    Args:
        base: gives the features; its own map first, then its parts, in the order of the adapter's parts.
        adapter: is moved to the base's device.
        name: as `load_backbone` knows it.
        weights: digest of the file of the adapter's weights.

    Raises:
        BackboneError: the base's maps are not those that the adapter refines.
    """

    parts: tuple[FeatureSource, ...] = ()

    def __init__(self, base: Backbone, adapter: Adapter, name: str, *, weights: str | None = None):
        sources = (base.source, *base.parts)
        if tuple(source.dim for source in sources) != adapter.parts:
            raise BackboneError(
                f"Backbone '{name}' refines maps of {_numbers(adapter.parts)} channels; those of {base.name} have "
                f"{_numbers(source.dim for source in sources)}."
            )
        self.base, self.name, self.device = base, name, base.device
        self.adapter = adapter.to(base.device).eval().requires_grad_(False)
        digests = [part for part in (weights, *(source.weights for source in sources)) if part is not None]
        complete, first = len(digests) == 1 + len(sources), base.source
        self.source = FeatureSource(
            name,
            adapter.dim,
            first.patch,
            first.layer,
            first.norm,
            first.position_embedding,
            weights=digest([part.encode() for part in digests]) if complete else None,
        )

    @property
    def default_resolution(self) -> int:
        """Of the base."""
        return self.base.default_resolution

    def __call__(self, image: ImageLike, *, resolution: int | None = None, framing: FramingName = "fit") -> FeatureMap:
        """Compute the refined features of one image, see `Backbone`."""
        base = self.base(image, resolution=resolution, framing=framing)
        maps = [part.features[None] for part in (base, *base.parts)]
        return FeatureMap(self._refine(maps)[0], base.framing, self.source)

    def framings(self, size: tuple[int, int], resolution: int, framing: FramingName) -> tuple[Framing, ...]:
        """Of the base's own map, see `Backbone`."""
        return self.base.framings(size, resolution, framing)[:1]

    def extract(self, inputs: np.ndarray) -> Tensor:
        """Compute the refined features of inputs that are framed already, see `Backbone`.

        Raises:
            BackboneError: the base frames the image several times, so that one input is not enough.
        """
        if self.base.parts:
            raise BackboneError(
                f"Backbone '{self.name}' refines several maps of an image, each with an input of its own; "
                "it cannot work on framed inputs, as feature stores hold them."
            )
        return self._refine([self.base.extract(inputs)])

    @torch.no_grad()
    def _refine(self, maps: list[Tensor]) -> Tensor:
        # In single precision, whatever the base computes with: it is small beside the base.
        return self.adapter([x.float() for x in maps]).to(maps[0].dtype)

    def __repr__(self) -> str:
        thousands = sum(parameter.numel() for parameter in self.adapter.parameters()) / 1e3
        return f"{self.name}: {thousands:.0f} k parameters, {self.source.dim} channels, on [{self.base!r}]"


def load_adapter(spec: AdapterSpec, device: str = "auto", dtype: str = "auto") -> AdapterBackbone:
    """Load an adapter and the backbone below it, downloading what is missing.

    The published adapters were trained on DINOv2 with its own way to resize position embeddings, so ViTs are loaded so.

    Args:
        spec: of the registry; a `repository` that is `local-dir:PATH` is a folder with the file.
        device: see `device.pick_device`.
        dtype: of the backbone below, see `device.pick_dtype`.

    Raises:
        BackboneError: files that are missing, out of reach, damaged or of another model.
    """
    file = fetch_from(spec.name, spec.repository, spec.filename, spec.revision)
    adapter = read_adapter(file)
    return AdapterBackbone(_load_base(spec.base, device, dtype), adapter, spec.name, weights=file_digest(file))


def read_adapter(file: Path) -> Adapter:
    """Build an adapter from a published state dict, which tells its parts and channels.

    Raises:
        BackboneError: the file is damaged, or holds something else.
    """
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise BackboneError(f"{file} is damaged or no file of PyTorch weights.") from error
    problem = f"{file} holds no adapter in DIY-SC's layout: one bottleneck block per part and their mixing weights."
    shape = _shape(state)
    if shape is None:
        raise BackboneError(problem)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they are
        adapter = Adapter(*shape)
    try:
        adapter.load_state_dict({key: state[key] for key in state if key not in _TRAINING_ONLY}, strict=True)
    except RuntimeError as error:
        raise BackboneError(problem) from error
    return adapter


def _shape(state: object) -> tuple[list[int], int] | None:
    """Channels of an adapter's parts and of its output, from its state dict; None for anything else."""
    if not isinstance(state, dict) or not isinstance(mixing := state.get("mixing_weights"), Tensor) or mixing.ndim != 1:
        return None
    first: list[Any] = [state.get(f"bottleneck_layers.{part}.0.conv1.weight") for part in range(len(mixing))]
    if not first or not all(isinstance(weight, Tensor) and weight.ndim == 4 for weight in first):
        return None
    dim = 4 * len(first[0])
    return None if dim % (4 * GROUPS) else ([weight.shape[1] for weight in first], dim)


def _load_base(name: str, device: str, dtype: str) -> Backbone:
    from spherecorr.backbones import DiffusionSpec, FusionSpec, find, load_backbone
    from spherecorr.backbones.fusion import FusionBackbone

    spec = find(name)
    if isinstance(spec, FusionSpec):
        return FusionBackbone(name, [_load_base(part, device, dtype) for part in spec.parts])
    if isinstance(spec, DiffusionSpec):
        return load_backbone(name, device=device, dtype=dtype)
    return load_backbone(name, position_embedding="dinov2", device=device, dtype=dtype)


def _numbers(dims) -> str:
    return " + ".join(map(str, dims))

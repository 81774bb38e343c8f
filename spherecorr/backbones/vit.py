"""Vision transformers of timm as frozen backbones: DINO, DINOv2, DINOv3, the shipped `mini`, any other plain ViT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from safetensors import SafetensorError
from timm.data import resolve_model_data_config
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from spherecorr.backbones import registry
from spherecorr.backbones.base import FramingName, frame_input
from spherecorr.backbones.weights import BackboneError, find, locate
from spherecorr.device import pick_device, pick_dtype
from spherecorr.features import FeatureMap
from spherecorr.geometry import FRAMINGS, Framing
from spherecorr.identity import FeatureSource, PositionEmbedding, file_digest
from spherecorr.images import ImageLike


class VitBackbone:
    """A frozen ViT that turns an image into a FeatureMap; see `Backbone` for what all backbones have.

    Args:
        model: the timm model; it is moved to the device and changed for its use here.
        name: as `load_backbone` knows it.
        layer: block whose output is taken, counted from 0; None: the last.
        norm: apply the model's final norm.
        position_embedding: how position embeddings are resized.
        device: see `pick_device`.
        dtype: see `pick_dtype`.
        weights: digest of the file of the weights.

    Attributes:
        model: the timm model.

    Raises:
        BackboneError: the model does not take RGB images, or has no such layer or position embedding.
    """

    parts: tuple[FeatureSource, ...] = ()

    def __init__(
        self,
        model: Any,  # timm's ViTs have no type in common that tells of blocks
        name: str,
        *,
        layer: int | None = None,
        norm: bool = False,
        position_embedding: PositionEmbedding = "timm",
        device: str = "auto",
        dtype: str = "auto",
        weights: str | None = None,
    ):
        depth, patch = len(model.blocks), model.feature_info[-1]["reduction"]
        channels = model.patch_embed.proj.in_channels
        if channels != 3:
            counted = f"{channels} channel{'s' if channels > 1 else ''}"
            raise BackboneError(f"Backbone '{name}' takes images of {counted}; choose one for RGB images, with 3.")
        layer = depth - 1 if layer is None else layer
        if not 0 <= layer < depth:
            raise BackboneError(f"Backbone '{name}' has the layers 0 to {depth - 1}; there is no layer {layer}.")
        self.name, self.device = name, pick_device(device)
        self.dtype = pick_dtype(dtype, self.device)
        self.model = model.to(self.device, self.dtype).eval().requires_grad_(False)
        self.source = FeatureSource(name, model.num_features, patch, layer, norm, position_embedding, weights)
        self.default_resolution = registry.resolutions(patch)["fast"]
        config = resolve_model_data_config(model)
        self._mean, self._std = (torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std"))
        if position_embedding == "dinov2":
            _embed_positions_as_dinov2(model, name)
        elif position_embedding != "timm":
            raise BackboneError(f"Position embeddings are resized as 'timm' or 'dinov2'; not '{position_embedding}'.")

    def __call__(self, image: ImageLike, *, resolution: int | None = None, framing: FramingName = "fit") -> FeatureMap:
        """Compute the features of one image, see `Backbone`."""
        inputs, frame = frame_input(image, resolution or self.default_resolution, framing, self.source.patch)
        return FeatureMap(self.extract(inputs)[0], frame, self.source)

    def framings(self, size: tuple[int, int], resolution: int, framing: FramingName) -> tuple[Framing, ...]:
        """See `Backbone`."""
        return (FRAMINGS[framing](size, resolution, self.source.patch),)

    def pixels(self, inputs: np.ndarray) -> Tensor:
        """Normalise uint8 RGB `[B, height, width, 3]` as the model wants it: float `[B, 3, height, width]`."""
        mean, std = self._mean.to(self.device), self._std.to(self.device)
        # Bytes travel to the device; contiguous and in place this takes a quarter of the time.
        pixels = torch.from_numpy(inputs).to(self.device).permute(0, 3, 1, 2).contiguous().float()
        return pixels.div_(255).sub_(mean).div_(std).to(self.dtype)

    @torch.no_grad()
    def extract(self, inputs: np.ndarray) -> Tensor:
        """Compute the features of inputs that are framed already, see `Backbone`."""
        return self.model.forward_intermediates(
            self.pixels(inputs),
            indices=[self.source.layer],
            norm=self.source.norm,
            stop_early=True,
            output_fmt="NCHW",
            intermediates_only=True,
            return_prefix_tokens=False,
        )[0]

    def __repr__(self) -> str:
        millions = sum(parameter.numel() for parameter in self.model.parameters()) / 1e6
        source, dtype = self.source, str(self.dtype).removeprefix("torch.")
        return (
            f"{self.name}: {millions:.1f} M parameters, patch {source.patch}, {source.dim} channels, "
            f"layer {source.layer}, {dtype} on {self.device}"
        )


def load_vit(
    name: str,
    *,
    layer: int | None = None,
    norm: bool | None = None,
    position_embedding: PositionEmbedding | None = None,
    device: str = "auto",
    dtype: str = "auto",
) -> VitBackbone:
    """Load a ViT by a name of the registry, of timm, `local-dir:PATH` or `hf-hub:owner/name`; see `load_backbone`."""
    spec = find(name)
    if isinstance(spec, registry.TimmSpec):
        name = spec.name
        layer = spec.layer if layer is None else layer
        norm = spec.norm if norm is None else norm
    model_name, file = locate(name)
    return VitBackbone(
        _load_model(name, model_name, file),
        name,
        layer=layer,
        norm=bool(norm),
        position_embedding=position_embedding or "timm",
        device=device,
        dtype=dtype,
        weights=file_digest(file),
    )


def _load_model(name: str, model_name: str, file: Path) -> Any:
    # A file on disk, so that timm asks no network; `custom_load` would read it as the weights' original format.
    overlay = None if model_name.startswith("local-dir:") else {"file": str(file), "custom_load": False}
    try:
        # timm draws random weights first: not from the caller's random numbers. The classifier is built and loaded too:
        # without it timm would not mind missing weights.
        with torch.random.fork_rng(devices=[]):
            return timm.create_model(model_name, pretrained=True, pretrained_cfg_overlay=overlay, dynamic_img_size=True)
    except (RuntimeError, SafetensorError, OSError) as error:
        raise BackboneError(
            f"The weights of backbone '{name}' are damaged or belong to another model; replace {file}."
        ) from error


def _embed_positions_as_dinov2(model: Any, name: str) -> None:
    """Make a model resize its position embedding as the original DINOv2 release does.

    The release without registers resizes bicubically by the factor (new + 0.1) / old, without antialiasing; with
    registers by size with antialiasing, as timm. The patch tokens are handed on with the difference of the two already
    added, so that timm's own embedding completes them to the release's.
    """
    if getattr(model, "pos_embed", None) is None:
        raise BackboneError(f"Backbone '{name}' has no learned position embedding; 'dinov2' does not apply to it.")
    if getattr(model, "reg_token", None) is not None:
        return
    prefix = 0 if model.no_embed_class else model.num_prefix_tokens
    embedding = model.pos_embed[:, prefix:]

    def add_difference(patch_embed: Any, inputs: tuple[Tensor], tokens: Tensor) -> Tensor:
        grid, native = (tokens.shape[1], tokens.shape[2]), tuple(patch_embed.grid_size)
        if grid == native:
            return tokens
        timms = resample_abs_pos_embed(embedding, grid, native, num_prefix_tokens=0)
        return tokens + (resize_as_dinov2(embedding, grid, native) - timms).reshape(1, *grid, -1)

    model.patch_embed.register_forward_hook(add_difference)


def resize_as_dinov2(embedding: Tensor, grid: tuple[int, int], native: tuple[int, int]) -> Tensor:
    """Resize position embeddings `[1, N, D]` of a native (rows, columns) grid, as DINOv2 without registers does.

    Returns:
        `[1, rows * columns, D]` of the new grid.
    """
    picture = embedding.float().reshape(1, *native, -1).permute(0, 3, 1, 2)
    factor = tuple((new + 0.1) / old for new, old in zip(grid, native, strict=True))
    resized = nn.functional.interpolate(picture, scale_factor=factor, mode="bicubic")
    return resized.permute(0, 2, 3, 1).reshape(1, grid[0] * grid[1], -1).to(embedding)

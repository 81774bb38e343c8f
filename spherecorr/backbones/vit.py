"""Vision transformers of timm as frozen backbones: DINO, DINOv2, DINOv3, the shipped `mini`, any other plain ViT."""

from __future__ import annotations

from typing import Literal

import numpy as np
import timm
import torch
from safetensors import SafetensorError
from timm.data import resolve_model_data_config
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from spherecorr.backbones import registry
from spherecorr.backbones.weights import BackboneError, find, locate
from spherecorr.device import pick_device
from spherecorr.features import FeatureMap
from spherecorr.geometry import frame_image, pad_to_square, resize_to_fit
from spherecorr.identity import FeatureSource, PositionEmbedding
from spherecorr.images import ImageLike, load_image


class Backbone:
    """A frozen ViT that turns an image into a FeatureMap.

    Attributes:
        model: the timm model.
        source: which model and tokens the features are.
        default_resolution: long side of the input in pixels where none is asked for.
    """

    def __init__(
        self,
        model: nn.Module,
        name: str,
        *,
        layer: int | None = None,
        norm: bool = False,
        position_embedding: PositionEmbedding = "timm",
        device: str = "auto",
    ):
        depth, patch = len(model.blocks), model.feature_info[-1]["reduction"]
        layer = depth - 1 if layer is None else layer
        if not 0 <= layer < depth:
            raise BackboneError(f"Backbone '{name}' has the layers 0 to {depth - 1}; there is no layer {layer}.")
        self.model = model.to(pick_device(device)).eval().requires_grad_(False)
        self.source = FeatureSource(name, model.num_features, patch, layer, norm, position_embedding)
        self.default_resolution = registry.resolutions(patch)["fast"]
        config = resolve_model_data_config(model)
        self._mean, self._std = (torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std"))
        if position_embedding == "dinov2":
            _embed_positions_as_dinov2(model, name)
        elif position_embedding != "timm":
            raise BackboneError(f"Position embeddings are resized as 'timm' or 'dinov2'; not '{position_embedding}'.")

    def __call__(
        self, image: ImageLike, *, resolution: int | None = None, framing: Literal["fit", "pad"] = "fit"
    ) -> FeatureMap:
        """Compute the features of one image.

        Args:
            image: a path, PIL image or uint8 array, see `load_image`.
            resolution: long side of the model's input in pixels.
            framing: "fit" keeps the aspect ratio; "pad" makes a square, as the public evaluations do.

        Raises:
            ImageError: the image cannot be used.
            SpherecorrError: the resolution is smaller than a patch, or with "pad" no multiple of it.
        """
        picture = load_image(image)
        resolution, patch = resolution or self.default_resolution, self.source.patch
        if resolution < patch:
            raise BackboneError(f"Resolution {resolution} is smaller than one patch, which has {patch} pixels.")
        frame = {"fit": resize_to_fit, "pad": pad_to_square}[framing](picture.size, resolution, patch)
        return FeatureMap(self.extract(frame_image(picture, frame)[None])[0], frame, self.source)

    def pixels(self, inputs: np.ndarray) -> Tensor:
        """Normalise uint8 RGB `[B, height, width, 3]` as the model wants it: float `[B, 3, height, width]`."""
        parameter = next(self.model.parameters())
        mean, std = self._mean.to(parameter.device), self._std.to(parameter.device)
        # Bytes travel to the device; contiguous and in place this takes a quarter of the time.
        pixels = torch.from_numpy(inputs).to(parameter.device).permute(0, 3, 1, 2).contiguous().float()
        return pixels.div_(255).sub_(mean).div_(std).to(parameter.dtype)

    @torch.no_grad()
    def extract(self, inputs: np.ndarray) -> Tensor:
        """Compute the features of inputs that are framed already.

        Args:
            inputs: uint8 RGB `[B, height, width, 3]`, both sides multiples of the patch.

        Returns:
            Float tensor `[B, D, height / patch, width / patch]`.
        """
        return self.model.forward_intermediates(
            self.pixels(inputs),
            indices=[self.source.layer],
            norm=self.source.norm,
            stop_early=True,
            output_fmt="NCHW",
            intermediates_only=True,
            return_prefix_tokens=False,
        )[0]


def load_backbone(
    name: str | FeatureSource,
    *,
    layer: int | None = None,
    norm: bool | None = None,
    position_embedding: PositionEmbedding | None = None,
    device: str = "auto",
) -> Backbone:
    """Load a backbone, downloading its weights where they are missing.

    Args:
        name: a name of the registry ("mini", "dinov2-b", ...), any timm ViT, `local-dir:PATH`, `hf-hub:owner/name`; or
            the FeatureSource of a sphere mapper, to get the very features it was trained on.
        layer: transformer block whose output is taken, counted from 0; by default the registry's choice, else the last.
        norm: apply the model's final norm; by default the registry's choice, else not.
        position_embedding: resize position embeddings as "timm" does (default) or as the "dinov2" release did.
        device: "auto", "cpu", "cuda", ...

    Raises:
        BackboneError: an unknown name, weights that are missing, damaged or out of reach, or a setting that the model
            does not have.
    """
    if isinstance(name, FeatureSource):
        source = name
        layer = source.layer if layer is None else layer
        norm = source.norm if norm is None else norm
        position_embedding = position_embedding or source.position_embedding
        name = source.backbone
    info = find(name)
    if info is not None:
        layer = info.layer if layer is None else layer
        norm = info.norm if norm is None else norm
    return Backbone(
        _load_model(name),
        info.name if info else name,
        layer=layer,
        norm=bool(norm),
        position_embedding=position_embedding or "timm",
        device=device,
    )


def _load_model(name: str) -> nn.Module:
    model_name, file = locate(name)
    # A file on disk, so that timm asks no network; `custom_load` would read it as the weights' original format.
    overlay = None if model_name.startswith("local-dir:") else {"file": str(file), "custom_load": False}
    try:
        # The classifier is built and loaded too: without it timm would not mind missing weights.
        return timm.create_model(model_name, pretrained=True, pretrained_cfg_overlay=overlay, dynamic_img_size=True)
    except (RuntimeError, SafetensorError, OSError) as error:
        raise BackboneError(
            f"The weights of backbone '{name}' are damaged or belong to another model; replace {file}."
        ) from error


def _embed_positions_as_dinov2(model: nn.Module, name: str) -> None:
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

    def add_difference(patch_embed: nn.Module, inputs: tuple[Tensor], tokens: Tensor) -> Tensor:
        grid, native = tuple(tokens.shape[1:3]), tuple(patch_embed.grid_size)
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

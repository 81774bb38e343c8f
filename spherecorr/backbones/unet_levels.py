"""Layers of a diffusion UNet's decoder: their strides, and their outputs without the rest of the pass."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from spherecorr.backbones.weights import BackboneError


@dataclass(frozen=True)
class Level:
    """A layer of the decoder.

    Attributes:
        name: as in `DiffusionSettings.levels`.
        dim: channels of its output.
        stride: side of one of its cells in pixels of the input.
        order: place in the pass: block, layer of the block, part of the layer.
    """

    name: str
    dim: int
    stride: int
    order: tuple[int, int, int]


def unet_levels(unet: Any, levels: list[Level], latents: Tensor, timestep: Tensor, prompt: Tensor) -> list[Tensor]:
    """Outputs of some layers in one pass that ends after the last of them.

    Args:
        unet: diffusers' UNet2DConditionModel.
        levels: the layers, in any order.
        latents: `[B, C, h, w]`.
        timestep: a scalar.
        prompt: embeddings `[B, tokens, dim]`.

    Returns:
        `[B, D, rows, columns]` for each of `levels`.
    """
    with _reading(unet, levels) as outputs:
        unet(latents, timestep, encoder_hidden_states=prompt)
    return [outputs[level.name] for level in levels]


@contextmanager
def _reading(unet: Any, levels: list[Level]) -> Iterator[dict[str, Tensor]]:
    """Hooks that keep the layers' outputs and end the pass after the last one; gone however the pass ends."""

    class LastLevelReached(Exception):
        """Nothing after this layer is wanted."""

    outputs: dict[str, Tensor] = {}
    last = max(levels, key=lambda level: level.order)

    def keep(level: Level, output: Tensor | tuple[Tensor]) -> None:
        outputs[level.name] = output[0] if isinstance(output, tuple) else output
        if level is last:
            raise LastLevelReached

    def register(level: Level):
        return _layer(unet, level.name).register_forward_hook(lambda module, inputs, output: keep(level, output))

    handles = [register(level) for level in levels]
    try:
        yield outputs
    except LastLevelReached:
        pass
    finally:
        for handle in handles:
            handle.remove()


def find_level(vae: Any, unet: Any, level: str, name: str) -> Level:
    """Look up a layer of the decoder; channels and stride follow from the model's configuration.

    Raises:
        BackboneError: the model has no such layer.
    """
    found = re.fullmatch(r"up_blocks\[(\d+)\](?:\.(resnets|attentions)\[(\d+)\])?", level)
    try:
        if found is None:
            raise AttributeError(level)
        _layer(unet, level)
    except AttributeError as error:
        blocks = ", ".join(
            f"up_blocks[{i}] ({', '.join(f'{kind}[0..{len(getattr(block, kind)) - 1}]' for kind in _kinds(block))})"
            for i, block in enumerate(unet.up_blocks)
        )
        raise BackboneError(f"Backbone '{name}' has no level '{level}'; it has {blocks}.") from error
    block, kind, layer = int(found[1]), found[2], found[3]
    channels = unet.config.block_out_channels[::-1]
    halvings = len(channels) - 1 - block
    if kind is None:
        # A block ends with its upsampling, which all blocks have but the last.
        stride, end = latent_stride(vae) * 2 ** max(halvings - 1, 0), len(unet.up_blocks[block].resnets)
        return Level(level, channels[block], stride, (block, end, 0))
    place = (block, int(layer), ("resnets", "attentions").index(kind))
    return Level(level, channels[block], latent_stride(vae) * 2**halvings, place)


def latent_stride(vae: Any) -> int:
    """Side in pixels of the square that one of a VAE's latents stands for."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def _layer(unet: Any, level: str) -> nn.Module:
    return unet.get_submodule(level.replace("[", ".").replace("]", ""))


def _kinds(block: nn.Module) -> list[str]:
    return [kind for kind in ("resnets", "attentions") if hasattr(block, kind)]

"""Features of a Stable Diffusion UNet: VAE encoder, one or a few UNet passes, outputs of some layers of the decoder.

Nothing is generated, so that no text encoder, tokenizer or safety checker is kept. The whole image goes through at once
and the prompt is empty, where the paper's evaluation takes four windows and a learned caption (ODISE): the features are
close to its SD branch, not equal.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from spherecorr.backbones.base import FramingName, frame_input
from spherecorr.backbones.diffusion_weights import (
    build,
    check_memory,
    free_memory,
    import_library,
    prompt_embedding,
    read_config,
)
from spherecorr.backbones.unet_levels import Level, find_level, latent_stride, unet_levels
from spherecorr.backbones.weights import BackboneError, fetch_from
from spherecorr.device import pick_device, pick_dtype
from spherecorr.features import FeatureMap
from spherecorr.geometry import FRAMINGS, Framing
from spherecorr.identity import FeatureSource, digest, file_digest
from spherecorr.images import ImageLike

if TYPE_CHECKING:
    from spherecorr.backbones.registry import DiffusionSpec

LARGEST_SIDE = 2048
"""Pixels of the input's longer side: its square has 65,536 latents, all of which attend to each other."""


@dataclass(frozen=True)
class DiffusionSettings:
    """Which features are read from a diffusion model.

    Attributes:
        levels: layers of the decoder whose outputs are taken: `up_blocks[2].attentions[1]`, `up_blocks[0].resnets[1]`,
            or a whole block with its upsampling, `up_blocks[1]`. The finest becomes the primary map.
        timestep: level of the noise, and what the UNet is told of it; 0 to 999 in Stable Diffusion.
        noise: whether noise of that level is added; CleanDIFT's UNet takes clean latents.
        seed: of the noise, which is the same for all images of one size.
        ensemble: passes with different noise whose features are averaged.
        prompt: text that the UNet is given.
        resolution: long side of the input in pixels where none is asked for.
    """

    levels: tuple[str, ...]
    timestep: int
    noise: bool = True
    seed: int = 42
    ensemble: int = 1
    prompt: str = ""
    resolution: int = 512


class DiffusionBackbone:
    """A frozen diffusion model that turns an image into a FeatureMap; see `Backbone` for what all backbones have.

    The map is that of the finest level; the other levels are its parts, the finer first, each on a grid of its own.

    Args:
        vae: diffusers' AutoencoderKL; its decoder is not used.
        unet: diffusers' UNet2DConditionModel of Stable Diffusion 1 or 2.
        scheduler: of diffusers, whose `add_noise` knows the levels of noise.
        prompt_embedding: `[tokens, dim]`.
        settings: which features.
        name: as `load_backbone` knows it.
        weights: digest of the files of the weights.

    Attributes:
        levels: the layers that are read, the finest first.

    Raises:
        BackboneError: the settings or the embedding do not fit the model, or it is of another kind.
    """

    def __init__(
        self,
        vae: Any,
        unet: Any,
        scheduler: Any,
        prompt_embedding: Tensor,
        settings: DiffusionSettings,
        name: str,
        *,
        weights: str | None = None,
    ):
        _check_model(vae, unet, prompt_embedding, name)
        _check_settings(settings, scheduler, name)
        self.vae, self.unet = vae.eval().requires_grad_(False), unet.eval().requires_grad_(False)
        self.scheduler, self.settings, self.name = scheduler, settings, name
        self.levels = sorted((find_level(vae, unet, level, name) for level in settings.levels), key=_stride)
        self.default_resolution: int = settings.resolution
        self.device: torch.device = unet.device
        self._smallest = latent_stride(vae) * 2 ** (len(unet.config.block_out_channels) - 1)
        self._prompt = prompt_embedding.to(unet.device, unet.dtype)
        self.source, *parts = (_source(level, settings, name, weights) for level in self.levels)
        self.parts: tuple[FeatureSource, ...] = tuple(parts)

    def __call__(self, image: ImageLike, *, resolution: int | None = None, framing: FramingName = "fit") -> FeatureMap:
        """Compute the features of one image, see `Backbone`.

        Both sides of the input are multiples of the coarsest level's stride, so that the cells of all levels agree.

        Raises:
            ImageError: the image cannot be used.
            SpherecorrError: a resolution that is too small or too large, or with "pad" no multiple of the stride.
        """
        resolution = resolution or self.default_resolution
        if not self._smallest <= resolution <= LARGEST_SIDE:
            raise BackboneError(
                f"Backbone '{self.name}' takes resolutions from {self._smallest} to {LARGEST_SIDE} pixels, "
                f"not {resolution}."
            )
        inputs, frame = frame_input(image, resolution, framing, self.levels[-1].stride)
        maps = [
            FeatureMap(level[0], with_stride(frame, source.patch), source)
            for level, source in zip(self.extract_levels(inputs), (self.source, *self.parts), strict=True)
        ]
        return replace(maps[0], parts=tuple(maps[1:]))

    def framings(self, size: tuple[int, int], resolution: int, framing: FramingName) -> tuple[Framing, ...]:
        """Of all levels, see `Backbone`; the input is framed for the coarsest."""
        frame = FRAMINGS[framing](size, resolution, self.levels[-1].stride)
        return tuple(with_stride(frame, source.patch) for source in (self.source, *self.parts))

    def extract(self, inputs: np.ndarray) -> Tensor:
        """Compute the finest level of inputs that are framed already, see `Backbone`."""
        return self.extract_levels(inputs)[0]

    @torch.no_grad()
    def extract_levels(self, inputs: np.ndarray) -> list[Tensor]:
        """Compute all levels of inputs that are framed already.

        Args:
            inputs: uint8 RGB `[B, height, width, 3]`, both sides multiples of the finest level's stride.

        Returns:
            `[B, D, height / stride, width / stride]` for each level; where a coarser stride does not divide a side, the
            last row or column of its cells reaches over the edge.

        Raises:
            BackboneError: a side that is no such multiple, or not enough memory.
        """
        height, width = inputs.shape[1:3]
        if height % self.source.patch or width % self.source.patch:
            raise BackboneError(
                f"Backbone '{self.name}' takes inputs whose sides are multiples of {self.source.patch} pixels, "
                f"not {width} x {height}."
            )
        try:
            return self._average_passes(self._encode(inputs))
        except RuntimeError as error:
            if not _is_full(error):
                raise
            raise BackboneError(
                f"Backbone '{self.name}' needs more memory than {self.device} has for {len(inputs)} x {width} x "
                f"{height} pixels. Take fewer images at once or a lower resolution."
            ) from error

    def _encode(self, inputs: np.ndarray) -> Tensor:
        """Latents of the inputs: the mean of the VAE's posterior, so that nothing is random, scaled for the UNet."""
        pixels = torch.from_numpy(inputs).to(self.device).permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1
        return self.vae.encode(pixels.to(self.vae.dtype)).latent_dist.mode() * self.vae.config.scaling_factor

    def _average_passes(self, latents: Tensor) -> list[Tensor]:
        prompt = self._prompt.expand(len(latents), -1, -1)
        timestep = torch.tensor(self.settings.timestep, device=self.device)
        # On the CPU, for one image: the same noise on every device, for every image, in every batch.
        generator = torch.Generator().manual_seed(self.settings.seed)
        passes = []
        for _ in range(self.settings.ensemble):
            noised = latents
            if self.settings.noise:
                noise = torch.randn(latents.shape[1:], generator=generator).to(latents).expand_as(latents)
                noised = self.scheduler.add_noise(latents, noise, timestep.expand(len(latents)))
            outputs = unet_levels(self.unet, self.levels, noised, timestep, prompt)
            passes.append([output.float() for output in outputs])
        return [torch.stack(outputs).mean(dim=0).to(latents.dtype) for outputs in zip(*passes, strict=True)]

    def __repr__(self) -> str:
        millions = sum(parameter.numel() for model in (self.vae, self.unet) for parameter in model.parameters()) / 1e6
        layers = ", ".join(f"{level.name} at stride {level.stride}" for level in self.levels)
        dtype = str(self.unet.dtype).removeprefix("torch.")
        return (
            f"{self.name}: {millions:.1f} M parameters, patch {self.source.patch}, {self.source.dim} channels, "
            f"timestep {self.settings.timestep}, {layers}, {dtype} on {self.device}"
        )


def load_diffusion(spec: DiffusionSpec, device: str = "auto", dtype: str = "auto") -> DiffusionBackbone:
    """Load the diffusion model of a spec, downloading what is missing.

    Args:
        spec: of the registry; a `repository` that is `local-dir:PATH` is a folder of the same layout.
        device: see `device.pick_device`.
        dtype: see `device.pick_dtype`.

    Raises:
        BackboneError: diffusers is missing; too little memory; files that are missing, out of reach, gated, damaged or
            of another model; settings that the model does not have.
    """
    diffusers = import_library("diffusers", f"backbone '{spec.name}'")
    target = pick_device(device)
    kind = pick_dtype(dtype, target)
    check_memory(spec.name, spec.parameters * 1e6, kind, free_memory(target), target)
    files = {
        filename: fetch_from(spec.name, source.repository, filename, source.revision)
        for source in spec.files
        for filename in source.filenames
    }
    vae_file, unet_file = _weights(files, vae=True), _weights(files, vae=False)
    unet = build(diffusers.UNet2DConditionModel, files["unet/config.json"], unet_file, kind)
    vae = build(
        diffusers.AutoencoderKL, files["vae/config.json"], vae_file, kind, without=("decoder", "post_quant_conv")
    )
    scheduler = diffusers.DDIMScheduler.from_config(read_config(files["scheduler/scheduler_config.json"]))
    repository = spec.files[0]
    prompt = prompt_embedding(
        spec.prompt,
        files["unet/config.json"].parent.parent,
        lambda filename: fetch_from(spec.name, repository.repository, filename, repository.revision),
    )
    settings = DiffusionSettings(
        levels=spec.levels,
        timestep=spec.timestep,
        noise=spec.noise,
        seed=spec.noise_seed,
        ensemble=spec.ensemble,
        prompt=spec.prompt,
        resolution=spec.resolutions["fast"],
    )
    weights = digest([file_digest(unet_file).encode(), file_digest(vae_file).encode()])
    return DiffusionBackbone(vae.to(target), unet.to(target), scheduler, prompt, settings, spec.name, weights=weights)


def with_stride(framing: Framing, stride: int) -> Framing:
    """The framing of the same input with cells of `stride` pixels, which must divide the framing's own patch."""
    columns, rows = (side * framing.patch // stride for side in framing.grid)
    return replace(framing, grid=(columns, rows), patch=stride)


def _is_full(error: RuntimeError) -> bool:
    """Whether memory has run out; on the CPU torch says so in words alone."""
    return isinstance(error, torch.cuda.OutOfMemoryError) or "can't allocate memory" in str(error)


def _stride(level: Level) -> int:
    return level.stride


def _source(level: Level, settings: DiffusionSettings, name: str, weights: str | None) -> FeatureSource:
    """With the settings in the digest: the same weights with another noise or prompt give other features."""
    if weights is not None:
        told = [level.name, settings.timestep, settings.noise, settings.prompt]
        told += [settings.seed, settings.ensemble] if settings.noise else []
        weights = digest([weights.encode(), json.dumps(told).encode()])
    return FeatureSource(name, level.dim, level.stride, level.order[0], weights=weights)


def _check_model(vae: Any, unet: Any, prompt_embedding: Tensor, name: str) -> None:
    config = unet.config
    extra = [key for key in ("addition_embed_type", "class_embed_type", "encoder_hid_dim_type") if config.get(key)]
    if extra or config.in_channels != vae.config.latent_channels or config.cross_attention_dim is None:
        raise BackboneError(
            f"Backbone '{name}' is no UNet of the kind of Stable Diffusion 1 or 2: it takes more than latents, "
            "a timestep and a prompt."
        )
    if prompt_embedding.ndim != 2 or prompt_embedding.shape[1] != config.cross_attention_dim:
        raise BackboneError(
            f"The prompt embedding of backbone '{name}' has the shape {list(prompt_embedding.shape)}; "
            f"its UNet takes [tokens, {config.cross_attention_dim}]."
        )


def _check_settings(settings: DiffusionSettings, scheduler: Any, name: str) -> None:
    last = scheduler.config.num_train_timesteps - 1
    if not 0 <= settings.timestep <= last:
        raise BackboneError(f"Backbone '{name}' has the timesteps 0 to {last}; there is no {settings.timestep}.")
    if settings.ensemble < 1 or (settings.ensemble > 1 and not settings.noise):
        raise BackboneError(f"An ensemble has at least one pass, and without noise only one; not {settings.ensemble}.")
    if not settings.levels:
        raise BackboneError(f"Backbone '{name}' needs at least one level to read.")


def _weights(files: dict[str, Path], *, vae: bool) -> Path:
    """The file of the VAE, or the other one: the UNet's may come from another repository, under any name."""
    return next(
        path for name, path in files.items() if name.endswith(".safetensors") and name.startswith("vae/") == vae
    )

"""Frozen backbones: image -> FeatureMap.

The list of backbones and the question whether weights are at hand cost nothing; torch and timm are imported when a
backbone is loaded.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spherecorr.backbones.registry import (
    BACKBONES,
    AdapterSpec,
    DiffusionSpec,
    FusionSpec,
    Spec,
    TimmSpec,
    find,
    parts_of,
)
from spherecorr.backbones.weights import Availability, BackboneError, availability, import_timm, weights_available
from spherecorr.identity import FeatureSource, PositionEmbedding

if TYPE_CHECKING:
    from spherecorr.backbones.base import Backbone

_LAZY = {"Backbone": "spherecorr.backbones.base"}
__all__ = [
    "BACKBONES",
    "AdapterSpec",
    "Availability",
    "Backbone",
    "BackboneError",
    "DiffusionSpec",
    "FusionSpec",
    "Spec",
    "TimmSpec",
    "availability",
    "find",
    "load_backbone",
    "weights_available",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'spherecorr.backbones' has no attribute '{name}'")
    return getattr(import_module(_LAZY[name]), name)


def load_backbone(
    name: str | FeatureSource,
    *,
    layer: int | None = None,
    norm: bool | None = None,
    position_embedding: PositionEmbedding | None = None,
    device: str = "auto",
    dtype: str = "auto",
    sphere: FeatureSource | None = None,
) -> Backbone:
    """Load a backbone, downloading its weights where they are missing.

    Args:
        name: a name of the registry ("mini", "dinov2-b", ...), several of them joined by "+", any timm ViT,
            `local-dir:PATH`, `hf-hub:owner/name`, `diffusion:owner/name`; or the FeatureSource of a sphere mapper, to
            get the very features it was trained on.
        layer: transformer block whose output is taken, counted from 0; by default the registry's choice, else the last.
            This and the next two are for ViTs; of joined backbones they are for that which a sphere reads.
        norm: apply the model's final norm; by default the registry's choice, else not.
        position_embedding: resize position embeddings as "timm" does (default) or as the "dinov2" release did.
        device: "auto", "cpu", "cuda", ...
        dtype: "float32", "bfloat16" or "float16", see `device.pick_dtype`; "auto" is single precision on the CPU, half
            on a GPU.
        sphere: the features of a sphere mapper. Where it was trained on this backbone, or on that of joined ones which
            a sphere reads, its layer, norm and position embedding are the defaults.

    Raises:
        BackboneError: an unknown name, weights that are missing, damaged or out of reach, or a setting that the model
            does not have; a torch and a torchvision that do not belong together.
        SpherecorrError: no such device or dtype.
    """
    source, name = (name, name.backbone) if isinstance(name, FeatureSource) else (None, name)
    spec = find(name)
    if sphere is not None and parts_of(name)[0] == sphere.backbone:
        source = sphere
    if isinstance(spec, DiffusionSpec | AdapterSpec):
        if (layer, norm, position_embedding) != (None, None, None):
            raise BackboneError(f"Backbone '{name}' is no ViT: layer, norm and position embedding are not to choose.")
        if isinstance(spec, DiffusionSpec):
            from spherecorr.backbones.diffusion import load_diffusion

            return load_diffusion(spec, device, dtype)
        from spherecorr.backbones.adapter import load_adapter

        return load_adapter(spec, device, dtype)
    asked: dict[str, Any] = {"layer": layer, "norm": norm, "position_embedding": position_embedding}
    if isinstance(spec, FusionSpec):
        from spherecorr.backbones.fusion import FusionBackbone

        first, *others = spec.parts
        loaded = [load_backbone(first, **asked, device=device, dtype=dtype, sphere=source)]
        return FusionBackbone(spec.name, loaded + [load_backbone(part, device=device, dtype=dtype) for part in others])
    import_timm()
    from spherecorr.backbones.vit import load_vit

    if source:
        told = {"layer": source.layer, "norm": source.norm, "position_embedding": source.position_embedding}
        asked = {key: told[key] if value is None else value for key, value in asked.items()}
    return load_vit(name, **asked, device=device, dtype=dtype)

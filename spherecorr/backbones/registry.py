"""The backbones that spherecorr knows by a short name: data, no code.

To add a timm ViT: put one line into the list below with its timm id, size in millions of parameters, patch, channels,
licence and a title. Nothing else is needed: loading, the menu of the app and `spherecorr` read this list, and
`tests/test_registry.py` compares the line with what timm says. A ViT of another source needs no line at all: any timm
name, `local-dir:PATH` (timm's own layout: config.json and model.safetensors) and `hf-hub:owner/name` load as they are.
If its last block before the final norm is not the layer to use, set `layer` or `norm`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Preset = Literal["fast", "balanced", "fine"]

# Long side of the input in pixels, chosen so that the grids are about equally fine whatever the patch.
_RESOLUTIONS: dict[int, dict[Preset, int]] = {
    8: {"fast": 224, "balanced": 336, "fine": 448},
    14: {"fast": 448, "balanced": 518, "fine": 840},
    16: {"fast": 448, "balanced": 512, "fine": 768},
}


def resolutions(patch: int) -> dict[Preset, int]:
    """Long side in input pixels of the presets for a patch size; always a multiple of it."""
    return _RESOLUTIONS.get(patch) or {preset: size // patch * patch for preset, size in _RESOLUTIONS[16].items()}


@dataclass(frozen=True)
class BackboneInfo:
    """What is known of a backbone before it is loaded.

    Attributes:
        name: short name.
        model: timm id; for a shipped backbone the folder in `checkpoints/`.
        title: for menus.
        parameters: in millions.
        patch: side of a patch in input pixels.
        dim: channels D of its features.
        licence: of the weights.
        layer: block whose output is taken, counted from 0; None: the last.
        norm: whether the final norm is applied.
        shipped: comes with spherecorr; the others are downloaded from the Hugging Face Hub.
        note: one sentence for whoever chooses.
    """

    name: str
    model: str
    title: str
    parameters: float
    patch: int
    dim: int
    licence: str
    layer: int | None = None
    norm: bool = False
    shipped: bool = False
    note: str = ""

    @property
    def resolutions(self) -> dict[Preset, int]:
        """Long side in input pixels of the presets "fast", "balanced" and "fine"."""
        return resolutions(self.patch)

    @property
    def repository(self) -> str | None:
        """Where the weights lie on the Hugging Face Hub; None for a shipped backbone."""
        return None if self.shipped else f"timm/{self.model}"


_APACHE = "Apache-2.0"
_DINOV3 = "DINOv3 License"
_MINI_NOTE = "mini knows objects that this project rendered; photographs want DINOv2."

BACKBONES: dict[str, BackboneInfo] = {
    info.name: info
    for info in (
        BackboneInfo("mini", "mini-backbone", "mini", 3.9, 16, 192, _APACHE, shipped=True, note=_MINI_NOTE),
        BackboneInfo("dinov2-s", "vit_small_patch14_dinov2.lvd142m", "DINOv2 ViT-S/14", 22.1, 14, 384, _APACHE),
        BackboneInfo("dinov2-b", "vit_base_patch14_dinov2.lvd142m", "DINOv2 ViT-B/14", 86.6, 14, 768, _APACHE),
        BackboneInfo("dinov2-l", "vit_large_patch14_dinov2.lvd142m", "DINOv2 ViT-L/14", 304.4, 14, 1024, _APACHE),
        BackboneInfo("dinov2-g", "vit_giant_patch14_dinov2.lvd142m", "DINOv2 ViT-g/14", 1136.5, 14, 1536, _APACHE),
        BackboneInfo(
            "dinov2-s-reg",
            "vit_small_patch14_reg4_dinov2.lvd142m",
            "DINOv2 ViT-S/14 with registers",
            22.1,
            14,
            384,
            _APACHE,
        ),
        BackboneInfo(
            "dinov2-b-reg",
            "vit_base_patch14_reg4_dinov2.lvd142m",
            "DINOv2 ViT-B/14 with registers",
            86.6,
            14,
            768,
            _APACHE,
        ),
        BackboneInfo(
            "dinov2-l-reg",
            "vit_large_patch14_reg4_dinov2.lvd142m",
            "DINOv2 ViT-L/14 with registers",
            304.4,
            14,
            1024,
            _APACHE,
        ),
        BackboneInfo(
            "dinov2-g-reg",
            "vit_giant_patch14_reg4_dinov2.lvd142m",
            "DINOv2 ViT-g/14 with registers",
            1136.5,
            14,
            1536,
            _APACHE,
        ),
        BackboneInfo("dinov3-s", "vit_small_patch16_dinov3.lvd1689m", "DINOv3 ViT-S/16", 21.6, 16, 384, _DINOV3),
        BackboneInfo(
            "dinov3-s-plus", "vit_small_plus_patch16_dinov3.lvd1689m", "DINOv3 ViT-S+/16", 28.7, 16, 384, _DINOV3
        ),
        BackboneInfo("dinov3-b", "vit_base_patch16_dinov3.lvd1689m", "DINOv3 ViT-B/16", 85.6, 16, 768, _DINOV3),
        BackboneInfo("dinov3-l", "vit_large_patch16_dinov3.lvd1689m", "DINOv3 ViT-L/16", 303.1, 16, 1024, _DINOV3),
        BackboneInfo(
            "dinov3-h-plus", "vit_huge_plus_patch16_dinov3.lvd1689m", "DINOv3 ViT-H+/16", 840.5, 16, 1280, _DINOV3
        ),
        BackboneInfo("dino-s16", "vit_small_patch16_224.dino", "DINO ViT-S/16", 21.7, 16, 384, _APACHE),
        BackboneInfo("dino-s8", "vit_small_patch8_224.dino", "DINO ViT-S/8", 21.7, 8, 384, _APACHE),
        BackboneInfo("dino-b16", "vit_base_patch16_224.dino", "DINO ViT-B/16", 85.8, 16, 768, _APACHE),
        BackboneInfo("dino-b8", "vit_base_patch8_224.dino", "DINO ViT-B/8", 85.8, 8, 768, _APACHE),
    )
}

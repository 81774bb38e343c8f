"""The backbones that spherecorr knows by a short name: data, no code.

To add a timm ViT: put one line into the list below with its timm id, size in millions of parameters, patch, channels,
licence and a title. Nothing else is needed: loading, the menu of the app and `spherecorr` read this list, and
`tests/test_registry.py` compares the line with what timm says. A ViT of another source needs no line at all: any timm
name, `local-dir:PATH` (timm's own layout: config.json and model.safetensors) and `hf-hub:owner/name` load as they are.
If its last block before the final norm is not the layer to use, set `layer` or `norm`. A backbone that is no ViT has
code of its own, see `template.py`, and one of the other specs.

Backbones are joined by writing `A+B`; such a name needs no line either. A sphere reads the first that is a ViT.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
class HubFiles:
    """Files of one repository of the Hugging Face Hub.

    Attributes:
        repository: `owner/name`.
        filenames: paths inside it.
        revision: branch, tag or commit; None: the main branch.
    """

    repository: str
    filenames: tuple[str, ...]
    revision: str | None = None


@dataclass(frozen=True)
class TimmSpec:
    """A vision transformer of timm, as far as it is known before it is loaded.

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
    def resolutions(self) -> Mapping[Preset, int]:
        """Long side in input pixels of the presets "fast", "balanced" and "fine"."""
        return resolutions(self.patch)

    @property
    def repository(self) -> str | None:
        """Where the weights lie on the Hugging Face Hub; None for a shipped backbone."""
        return None if self.shipped else f"timm/{self.model}"

    @property
    def files(self) -> tuple[HubFiles, ...]:
        """What it takes from the Hub."""
        return (HubFiles(self.repository, ("model.safetensors",)),) if self.repository else ()


@dataclass(frozen=True)
class DiffusionSpec:
    """Features of a diffusion model's UNet.

    Attributes:
        name: short name.
        title: for menus.
        repository: Hub id of the model, in the layout of diffusers, or `local-dir:PATH`.
        filenames: files of the repository that are needed, with their subfolders; the weights are safetensors. The
            prompt's embedding and the text encoder, from which it is made, are not among them; see `weights`.
        parameters: of the loaded parts, in millions.
        dim: channels D of the features that a sphere reads.
        patch: stride of the finest level in input pixels.
        licence: of the weights.
        resolutions: long side in input pixels of the presets.
        revision: of the repository; None: the main branch.
        timestep: of the noise that is added to the image.
        levels: layers of the UNet's decoder that are taken, see `diffusion.DiffusionSettings`.
        noise: whether noise is added.
        ensemble: noise samples whose features are averaged.
        noise_seed: of the noise, so that an image always has the same features.
        prompt: text that the UNet is given.
        unet: the file of the UNet's weights where it comes from another repository.
        note: one sentence for whoever chooses.
    """

    name: str
    title: str
    repository: str
    filenames: tuple[str, ...]
    parameters: float
    dim: int
    patch: int
    licence: str
    resolutions: Mapping[Preset, int] = field(hash=False)
    revision: str | None = None
    timestep: int = 0
    levels: tuple[str, ...] = ()
    noise: bool = True
    ensemble: int = 1
    noise_seed: int = 42
    prompt: str = ""
    unet: HubFiles | None = None
    note: str = "GPU recommended."

    @property
    def files(self) -> tuple[HubFiles, ...]:
        """What it takes from the Hub."""
        own = HubFiles(self.repository, self.filenames, self.revision)
        return (own,) if self.unet is None else (own, self.unet)


@dataclass(frozen=True)
class AdapterSpec:
    """A trained refinement of another backbone's features, on the same grid.

    Attributes:
        name: short name.
        title: for menus.
        base: name of the backbone whose features it refines; of joined ones, in the order of the adapter's parts.
        repository: Hub id of the refinement's weights, or `github:owner/name`.
        filename: of the weights in the repository.
        dim: channels D of the refined features.
        licence: of the refinement's weights.
        revision: of the repository; None: the main branch.
        note: one sentence for whoever chooses.
    """

    name: str
    title: str
    base: str
    repository: str
    filename: str
    dim: int
    licence: str
    revision: str | None = None
    note: str = ""

    @property
    def parameters(self) -> float:
        """Of the base, in millions; the refinement is small beside it."""
        return known(self.base).parameters

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the backbones whose maps it refines, in this order, on the grid of the first."""
        return tuple(self.base.split("+")) if isinstance(find(self.base), FusionSpec) else (self.base,)

    @property
    def patch(self) -> int:
        """Side of a patch of the first part in input pixels."""
        return known(self.parts[0]).patch

    @property
    def resolutions(self) -> Mapping[Preset, int]:
        """Long side in input pixels of the first part's presets."""
        return known(self.parts[0]).resolutions

    @property
    def files(self) -> tuple[HubFiles, ...]:
        """What the refinement takes from the Hub; the base is one of `members`."""
        return (HubFiles(self.repository, (self.filename,), self.revision),)


@dataclass(frozen=True)
class FusionSpec:
    """Several backbones whose features are used together.

    Attributes:
        name: short name, or the parts' names joined by "+".
        title: for menus.
        parts: names of the backbones; a sphere reads the features of the first, in whatever order the name has them.
        note: one sentence for whoever chooses.
    """

    name: str
    title: str
    parts: tuple[str, ...]
    note: str = ""

    @property
    def parameters(self) -> float:
        """Of all parts, in millions."""
        return sum(known(part).parameters for part in self.parts)

    @property
    def patch(self) -> int:
        """Side of a patch of the first part in input pixels."""
        return known(self.parts[0]).patch

    @property
    def dim(self) -> int:
        """Channels D of the first part."""
        return known(self.parts[0]).dim

    @property
    def resolutions(self) -> Mapping[Preset, int]:
        """Long side in input pixels of the first part's presets."""
        return known(self.parts[0]).resolutions

    @property
    def licence(self) -> str:
        """Of all parts, each licence once."""
        return ", ".join(dict.fromkeys(known(part).licence for part in self.parts))

    @property
    def repository(self) -> str | None:
        """Of the first part that is downloaded; None if all ship."""
        return next((repository for part in self.parts if (repository := known(part).repository)), None)

    @property
    def files(self) -> tuple[HubFiles, ...]:
        """Nothing of its own; the parts are its `members`."""
        return ()


DIFFUSION = "diffusion:"
"""What the names of diffusion models outside the list begin with."""

Spec = TimmSpec | DiffusionSpec | FusionSpec | AdapterSpec


def find(name: str) -> Spec | None:
    """The spec of a short name, of a timm id of the list, of `diffusion:owner/name`, or of such names joined by "+".

    None for any other name.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    if name.startswith(DIFFUSION):
        return _other_diffusion(name)
    for spec in BACKBONES.values():
        if isinstance(spec, TimmSpec) and spec.model == name:
            return spec
    parts = [find(part) for part in name.split("+")] if "+" in name and ":" not in name else []
    specs = [spec for spec in parts if spec is not None]
    if not specs or len(specs) < len(parts):
        return None
    title = " + ".join(spec.title for spec in specs)
    specs.sort(key=lambda spec: isinstance(spec, DiffusionSpec))  # spheres are trained on ViTs, as the paper's is
    notes = " ".join(dict.fromkeys(spec.note for spec in specs if spec.note))
    return FusionSpec(name, title, tuple(spec.name for spec in specs), notes)


def _other_diffusion(name: str) -> DiffusionSpec:
    """`sd15` with the weights of another repository, under the names that diffusers gives them."""
    sd15, repository = BACKBONES["sd15"], name.removeprefix(DIFFUSION)
    assert isinstance(sd15, DiffusionSpec)
    filenames = tuple(filename.replace(".fp16.", ".") for filename in sd15.filenames)
    title, licence = f"Stable Diffusion of {repository}, three levels", f"that of {repository}"
    return replace(sd15, name=name, title=title, repository=repository, filenames=filenames, licence=licence)


def parts_of(name: str) -> tuple[str, ...]:
    """Names of the backbones that a name joins, that whose features a sphere reads first; of others the name itself."""
    spec = find(name)
    return spec.parts if isinstance(spec, FusionSpec) else (name,)


def known(name: str) -> Spec:
    """The spec of a name that another spec mentions.

    Raises:
        KeyError: there is none.
    """
    spec = find(name)
    if spec is None:
        raise KeyError(name)
    return spec


def members(spec: Spec) -> list[Spec]:
    """The specs whose files are needed before a backbone can be loaded, in this order."""
    if isinstance(spec, FusionSpec):
        return [member for part in spec.parts for member in members(known(part))]
    if isinstance(spec, AdapterSpec):
        return [*members(known(spec.base)), spec]
    return [spec]


_APACHE = "Apache-2.0"
_DINOV3 = "DINOv3 License"
_OPENRAIL = "CreativeML OpenRAIL-M"
_SD15 = "stable-diffusion-v1-5/stable-diffusion-v1-5"
_SD_UNET = ("unet/diffusion_pytorch_model.fp16.safetensors",)
_SD_FILES = (
    "unet/config.json",
    "vae/config.json",
    "vae/diffusion_pytorch_model.fp16.safetensors",
    "scheduler/scheduler_config.json",
)
_SD_RESOLUTIONS: dict[Preset, int] = {"fast": 512, "balanced": 768, "fine": 960}
# The decoder's layers that the paper's SD branch reads: 640, 1,280 and 1,280 channels.
_SD_LEVELS = ("up_blocks[2].attentions[1]", "up_blocks[1].attentions[1]", "up_blocks[0].resnets[1]")
_MINI_NOTE = "mini knows 14 kinds of vehicles, animals and furniture; of anything else it says so."

_DIY_NOTE = "Trained on SPair-71k's training images with pseudo-labels."

BACKBONES: dict[str, Spec] = {
    spec.name: spec
    for spec in (
        TimmSpec("mini", "mini-backbone", "mini", 3.9, 16, 192, _APACHE, shipped=True, note=_MINI_NOTE),
        TimmSpec("dinov2-s", "vit_small_patch14_dinov2.lvd142m", "DINOv2 ViT-S/14", 22.1, 14, 384, _APACHE),
        TimmSpec("dinov2-b", "vit_base_patch14_dinov2.lvd142m", "DINOv2 ViT-B/14", 86.6, 14, 768, _APACHE),
        TimmSpec("dinov2-l", "vit_large_patch14_dinov2.lvd142m", "DINOv2 ViT-L/14", 304.4, 14, 1024, _APACHE),
        TimmSpec("dinov2-g", "vit_giant_patch14_dinov2.lvd142m", "DINOv2 ViT-g/14", 1136.5, 14, 1536, _APACHE),
        TimmSpec(
            "dinov2-s-reg",
            "vit_small_patch14_reg4_dinov2.lvd142m",
            "DINOv2 ViT-S/14 with registers",
            22.1,
            14,
            384,
            _APACHE,
        ),
        TimmSpec(
            "dinov2-b-reg",
            "vit_base_patch14_reg4_dinov2.lvd142m",
            "DINOv2 ViT-B/14 with registers",
            86.6,
            14,
            768,
            _APACHE,
        ),
        TimmSpec(
            "dinov2-l-reg",
            "vit_large_patch14_reg4_dinov2.lvd142m",
            "DINOv2 ViT-L/14 with registers",
            304.4,
            14,
            1024,
            _APACHE,
        ),
        TimmSpec(
            "dinov2-g-reg",
            "vit_giant_patch14_reg4_dinov2.lvd142m",
            "DINOv2 ViT-g/14 with registers",
            1136.5,
            14,
            1536,
            _APACHE,
        ),
        TimmSpec("dinov3-s", "vit_small_patch16_dinov3.lvd1689m", "DINOv3 ViT-S/16", 21.6, 16, 384, _DINOV3),
        TimmSpec("dinov3-s-plus", "vit_small_plus_patch16_dinov3.lvd1689m", "DINOv3 ViT-S+/16", 28.7, 16, 384, _DINOV3),
        TimmSpec("dinov3-b", "vit_base_patch16_dinov3.lvd1689m", "DINOv3 ViT-B/16", 85.6, 16, 768, _DINOV3),
        TimmSpec("dinov3-l", "vit_large_patch16_dinov3.lvd1689m", "DINOv3 ViT-L/16", 303.1, 16, 1024, _DINOV3),
        TimmSpec(
            "dinov3-h-plus", "vit_huge_plus_patch16_dinov3.lvd1689m", "DINOv3 ViT-H+/16", 840.5, 16, 1280, _DINOV3
        ),
        TimmSpec("dino-s16", "vit_small_patch16_224.dino", "DINO ViT-S/16", 21.7, 16, 384, _APACHE),
        TimmSpec("dino-s8", "vit_small_patch8_224.dino", "DINO ViT-S/8", 21.7, 8, 384, _APACHE),
        TimmSpec("dino-b16", "vit_base_patch16_224.dino", "DINO ViT-B/16", 85.8, 16, 768, _APACHE),
        TimmSpec("dino-b8", "vit_base_patch8_224.dino", "DINO ViT-B/8", 85.8, 8, 768, _APACHE),
        DiffusionSpec(
            "sd15",
            "Stable Diffusion 1.5, three levels",
            _SD15,
            _SD_UNET + _SD_FILES,
            893.7,
            640,
            16,
            _OPENRAIL,
            _SD_RESOLUTIONS,
            timestep=100,
            levels=_SD_LEVELS,
        ),
        DiffusionSpec(
            "dift-sd",
            "DIFT on Stable Diffusion 1.5",
            _SD15,
            _SD_UNET + _SD_FILES,
            893.7,
            1280,
            16,
            _OPENRAIL,
            _SD_RESOLUTIONS,
            timestep=261,
            levels=("up_blocks[1]",),
            ensemble=8,
            note="GPU recommended: eight passes an image. DIFT's published numbers are of Stable Diffusion 2.1.",
        ),
        DiffusionSpec(
            "sd15-clean",
            "CleanDIFT on Stable Diffusion 1.5",
            _SD15,
            _SD_FILES,
            893.7,
            1280,
            16,
            _OPENRAIL,
            _SD_RESOLUTIONS,
            timestep=261,
            levels=("up_blocks[1]",),
            noise=False,
            unet=HubFiles("CompVis/cleandift", ("cleandift_sd15_unet.safetensors",)),
            note="GPU recommended. One pass without noise.",
        ),
        AdapterSpec(
            "diy-sc",
            "DIY-SC on DINOv2 ViT-B/14",
            "dinov2-b",
            "github:odunkel/DIY-SC",
            "ckpts/0300_dino_spair/best.pth",
            768,
            "CC0-1.0",
            note=_DIY_NOTE,
        ),
        AdapterSpec(
            "diy-sc-sd",
            "DIY-SC on Stable Diffusion 1.5 and DINOv2 ViT-B/14",
            "sd15+dinov2-b",
            "github:odunkel/DIY-SC",
            "ckpts/0280_spair/best.pth",
            768,
            "CC0-1.0",
            note=f"{_DIY_NOTE} GPU recommended. Its Stable Diffusion features knew a learned caption; these do not.",
        ),
    )
}

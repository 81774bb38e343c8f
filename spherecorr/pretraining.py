"""How the `mini` backbone is made: a small ViT learns to answer like several layers of a larger one, seen together.

The teacher's patch tokens of some layers are standardised, joined and reduced by PCA to the student's width; the
student's own last tokens are to point the same way (cosine). The student sees pictures with changed colours, the
teacher the clean ones. No label of any kind is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors.torch import save
from torch import Tensor, nn

from spherecorr.backbones import Backbone
from spherecorr.files import write_whole
from spherecorr.geometry import frame_image, pad
from spherecorr.images import load_image

MEAN, DEVIATION = 0.5, 0.5  # of the student's input pixels
MIN_STEPS = 40  # the one-cycle schedule needs a step or two to rise


@dataclass(frozen=True)
class PretrainSettings:
    """How to distil.

    Attributes:
        architecture: timm name of the student.
        depth: its transformer blocks.
        layers: the teacher's blocks whose tokens are joined.
        resolution: side of the square pictures in pixels; a multiple of the patch.
        window: side in patches of the random part of each picture that the student sees in most steps; in every
            fourth step it sees whole pictures, fewer at a time.
        batch: pictures in a step of windows.
        steps: of training.
        learning_rate: highest, reached after 5 % of the steps; then a half cosine to 0.
        weight_decay: of AdamW.
        seed: of everything.
    """

    architecture: str = "vit_tiny_patch16_224"
    depth: int = 6
    layers: tuple[int, ...] = (3, 5, 7, 9)
    resolution: int = 448
    window: int = 14
    batch: int = 32
    steps: int = 2400
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.03
    seed: int = 0

    def __post_init__(self):
        if not (self.architecture.startswith("vit_") and timm.is_model(self.architecture)):
            raise ValueError(f"The student must be a plain ViT of timm; '{self.architecture}' is none.")
        if self.steps < MIN_STEPS or self.batch < 1 or self.window < 1:
            raise ValueError(f"Distillation takes at least {MIN_STEPS} steps, a batch and a window of 1 or more.")


@dataclass(frozen=True, eq=False)
class Targets:
    """What the student is to answer: pictures uint8 `[M, S, S, 3]` and tokens float16 `[M, D, H, W]`."""

    pictures: np.ndarray
    tokens: np.ndarray


def make_student(settings: PretrainSettings) -> nn.Module:
    """The student, randomly initialised, with position embeddings for `resolution`."""
    torch.manual_seed(settings.seed)
    return timm.create_model(
        settings.architecture,
        depth=settings.depth,
        img_size=settings.resolution,
        num_classes=0,
        dynamic_img_size=True,
    )


def teacher_targets(
    images: Sequence[Path], teacher: Backbone, settings: PretrainSettings, width: int, tick: Callable = iter
) -> Targets:
    """Run the teacher over all images once.

    Mean, deviation and PCA are those of the first 64 images.

    Args:
        images: files.
        teacher: of the same patch size as the student.
        settings: `layers` and `resolution` are used.
        width: channels to keep.
        tick: wraps the images, to show progress.

    Raises:
        ValueError: no images, or a teacher without these layers, with too few channels, or of another patch size.
    """
    _check(images, teacher, settings, width)
    pictures = np.stack([_square(path, settings.resolution, teacher.source.patch) for path in images])
    first = torch.stack([_layers(teacher, picture, settings.layers) for picture in pictures[:64]])
    mean, deviation = first.mean(dim=(0, 2, 3), keepdim=True)[0], first.std(dim=(0, 2, 3), keepdim=True)[0]
    standard = ((first - mean) / deviation).permute(0, 2, 3, 1).flatten(0, 2)
    _, vectors = torch.linalg.eigh(standard.T @ standard / len(standard))
    basis = vectors.flip(1)[:, :width]
    side = settings.resolution // teacher.source.patch
    tokens = np.empty((len(images), width, side, side), dtype=np.float16)
    for index, picture in enumerate(tick(pictures)):
        answer = (_layers(teacher, picture, settings.layers) - mean) / deviation
        tokens[index] = torch.einsum("chw,cd->dhw", answer, basis).numpy()
    return Targets(pictures, tokens)


def distil(targets: Targets, settings: PretrainSettings, report: Callable[[str], None] = print) -> nn.Module:
    """Train a student on the teacher's answers.

    Args:
        targets: from `teacher_targets`.
        settings: see there.
        report: gets a line of text every 50 steps.
    """
    student = make_student(settings).train()
    optimiser = torch.optim.AdamW(student.parameters(), weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, settings.steps, pct_start=0.05, cycle_momentum=False
    )
    rng = np.random.default_rng(settings.seed)
    losses = []
    for step in range(settings.steps):
        pictures, wanted = _batch(targets, settings, rng, whole=step % 4 == 3)
        pixels = (_change_colours(pictures, rng) - MEAN) / DEVIATION
        with torch.autocast("cpu", torch.bfloat16):
            answer = student.forward_intermediates(pixels, indices=1, norm=False, intermediates_only=True)[0]
        loss = (1 - nn.functional.cosine_similarity(answer.float(), wanted, dim=1)).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if step % 50 == 49:
            report(f"step {step + 1}/{settings.steps}  1 - cos {np.mean(losses[-50:]):.4f}")
    return student.eval()


def save_student(student: nn.Module, settings: PretrainSettings, folder: Path) -> None:
    """Write the student in timm's `local-dir:` layout, half precision."""
    config = {
        "architecture": settings.architecture,
        "num_classes": 0,
        "num_features": student.num_features,
        "model_args": {"depth": settings.depth, "img_size": settings.resolution},
        "pretrained_cfg": {
            "input_size": [3, settings.resolution, settings.resolution],
            "mean": [MEAN] * 3,
            "std": [DEVIATION] * 3,
            "interpolation": "bicubic",
            "num_classes": 0,
            "first_conv": "patch_embed.proj",
            "classifier": "head",
        },
        "training": asdict(settings),
    }
    weights = {name: value.half().contiguous() for name, value in student.state_dict().items()}
    write_whole(folder / "model.safetensors", save(weights))
    write_whole(folder / "config.json", (json.dumps(config, indent=1) + "\n").encode())


def _check(images: Sequence[Path], teacher: Backbone, settings: PretrainSettings, width: int) -> None:
    if not images:
        raise ValueError("There are no images to learn from.")
    patch, depth = make_student(settings).patch_embed.patch_size[0], len(teacher.model.blocks)
    if patch != teacher.source.patch:
        raise ValueError(f"The teacher's patches have {teacher.source.patch} pixels, the student's {patch}.")
    if not settings.layers or not all(0 <= layer < depth for layer in settings.layers):
        raise ValueError(f"The teacher has the layers 0 to {depth - 1}; asked for {settings.layers}.")
    if teacher.source.dim * len(settings.layers) < width:
        raise ValueError(f"The student has {width} channels, more than the teacher's layers have together.")


def _square(path: Path, resolution: int, patch: int) -> np.ndarray:
    image = load_image(path)
    return frame_image(image, pad(image.size, resolution, patch))


@torch.no_grad()
def _layers(teacher: Backbone, picture: np.ndarray, layers: tuple[int, ...]) -> Tensor:
    """The teacher's tokens of several layers, joined: `[len(layers) * D, H, W]`."""
    maps = teacher.model.forward_intermediates(
        teacher.pixels(picture[None]), indices=list(layers), norm=False, stop_early=True, intermediates_only=True
    )
    return torch.cat(maps, dim=1)[0].float().cpu()


def _batch(
    targets: Targets, settings: PretrainSettings, rng: np.random.Generator, whole: bool
) -> tuple[Tensor, Tensor]:
    """Pictures `[b, 3, s, s]` in 0..1 and the tokens under them `[b, D, w, w]`: random windows, or whole pictures."""
    side = targets.tokens.shape[-1]
    patch = settings.resolution // side
    part = min(settings.window, side)
    window, count = (side, max(1, round(settings.batch * (part / side) ** 2))) if whole else (part, settings.batch)
    pictures, wanted = [], []
    for index in rng.integers(0, len(targets.pictures), count):
        row, column = rng.integers(0, side - window + 1, 2)
        top, left, size = row * patch, column * patch, window * patch
        pictures.append(targets.pictures[index, top : top + size, left : left + size])
        wanted.append(targets.tokens[index, :, row : row + window, column : column + window])
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255, torch.from_numpy(
        np.stack(wanted)
    ).float()


def _change_colours(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Brightness, contrast and saturation of each picture, and its three channels' gains, change at random."""
    count = len(pictures)

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (count, channels, 1, 1))).float()

    grey = pictures.mean(dim=1, keepdim=True)
    changed = grey + (pictures - grey) * draw(0.3, 1.4)
    mean = changed.mean(dim=(1, 2, 3), keepdim=True)
    changed = mean + (changed - mean) * draw(0.6, 1.3)
    return (changed * draw(0.75, 1.25) * draw(0.85, 1.15, 3)).clamp(0, 1)

"""How the `mini` backbone is made: a small ViT learns to answer like several layers of a larger one, seen together.

The teacher's patch tokens of some layers are standardised, joined and reduced by PCA to the student's width; the
student's own last tokens are to point the same way (cosine). The student sees pictures with changed colours, the
teacher the clean ones. It begins with random weights, or as the teacher's own first blocks. No label of any kind is
used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import timm
import timm.data
import torch
from safetensors.torch import save
from timm.layers import resample_abs_pos_embed
from timm.models import VisionTransformer
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, normalize

from spherecorr.backbones.vit import VitBackbone
from spherecorr.device import pick_device
from spherecorr.errors import SpherecorrError
from spherecorr.files import write_atomic
from spherecorr.geometry import frame_image, pad_to_square
from spherecorr.images import load_image
from spherecorr.training.pretrain_settings import PretrainSettings
from spherecorr.training.schedule import one_cycle
from spherecorr.training.seeding import seeded

MEAN, DEVIATION = 0.5, 0.5  # of the student's input pixels
WARM_UP = 0.05  # share of the steps in which the learning rate rises


@dataclass(frozen=True, eq=False)
class Targets:
    """What the student is to answer: pictures uint8 `[M, S, S, 3]` and tokens float16 `[M, D, H, W]`."""

    pictures: np.ndarray
    tokens: np.ndarray


def begin(teacher: VitBackbone, settings: PretrainSettings) -> VisionTransformer:
    """The student before its training, see `PretrainSettings.start`.

    Raises:
        SpherecorrError: see `first_blocks`.
    """
    return first_blocks(teacher, settings) if settings.start == "teacher" else make_student(settings)


def make_student(settings: PretrainSettings) -> VisionTransformer:
    """The student, randomly initialised, with position embeddings for `resolution`."""
    if not (settings.architecture.startswith("vit_") and timm.is_model(settings.architecture)):
        raise SpherecorrError(f"The student must be a plain ViT of timm; '{settings.architecture}' is none.")
    with seeded(settings.seed):
        student = timm.create_model(
            settings.architecture,
            depth=settings.depth,
            img_size=settings.resolution,
            num_classes=0,
            dynamic_img_size=True,
        )
    return cast(VisionTransformer, student)


def first_blocks(teacher: VitBackbone, settings: PretrainSettings) -> VisionTransformer:
    """A student with the teacher's own patch embedding and first blocks: a far better beginning than random weights.

    Raises:
        SpherecorrError: the teacher is of another architecture, or not as deep.
    """
    student, weights = make_student(settings), dict(teacher.model.state_dict())
    wanted = student.state_dict()
    alien = [
        name
        for name in wanted
        if name != "pos_embed" and getattr(weights.get(name), "shape", None) != wanted[name].shape
    ]
    if alien:
        raise SpherecorrError(
            f"A student can begin as its teacher's first blocks only if it is of the same architecture and no deeper: "
            f"the teacher has no {alien[0]} like that of '{settings.architecture}' with {settings.depth} blocks."
        )
    prefix = student.num_prefix_tokens
    weights["pos_embed"] = resample_abs_pos_embed(
        weights["pos_embed"],
        student.patch_embed.grid_size,
        teacher.model.patch_embed.grid_size,
        num_prefix_tokens=prefix,
    )
    student.load_state_dict({name: weights[name].cpu() for name in wanted})
    _take_own_pixels(student.patch_embed.proj, timm.data.resolve_model_data_config(teacher.model))
    return student


@torch.no_grad()
def _take_own_pixels(projection: nn.Conv2d, teachers: dict) -> None:
    """Fold the change from the teacher's mean and deviation of the pixels to the student's into the first layer."""
    mean, deviation = torch.tensor(teachers["mean"]), torch.tensor(teachers["std"])
    assert projection.bias is not None  # plain ViTs have one
    projection.bias += (projection.weight.sum(dim=(2, 3)) * ((MEAN - mean) / deviation)).sum(dim=1)
    projection.weight *= (DEVIATION / deviation)[:, None, None]


def teacher_targets(
    images: Sequence[Path], teacher: VitBackbone, settings: PretrainSettings, width: int, progress: Callable = iter
) -> Targets:
    """Run the teacher over all images once.

    Mean, deviation and PCA are those of the first 64 images.

    Args:
        images: files.
        teacher: of the same patch size as the student.
        settings: `layers` and `resolution` are used.
        width: channels to keep.
        progress: wraps the images, to show progress.

    Raises:
        SpherecorrError: no images, or a teacher without these layers, with too few channels, or of another patch size.
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
    for index, picture in enumerate(progress(pictures)):
        answer = (_layers(teacher, picture, settings.layers) - mean) / deviation
        tokens[index] = torch.einsum("chw,cd->dhw", answer, basis).numpy()
    return Targets(pictures, tokens)


def distil(
    student: VisionTransformer,
    targets: Targets,
    settings: PretrainSettings,
    report: Callable[[str], None] = print,
    device: str = "cpu",
) -> VisionTransformer:
    """Train a student on the teacher's answers.

    Args:
        student: from `begin`.
        targets: from `teacher_targets`.
        settings: see there.
        report: gets a line of text every 50 steps.
        device: "auto", "cpu", "cuda", ...; on a CPU the seed decides every weight.

    Returns:
        The student, on the CPU.
    """
    student = student.to(pick_device(device)).train()
    optimiser = torch.optim.AdamW(student.parameters(), weight_decay=settings.weight_decay)
    rng = np.random.default_rng(settings.seed)
    turn = _nearest_turn(student, targets, settings)
    losses = []
    for step in range(settings.steps):
        pictures, wanted = _batch(targets, settings, rng, whole=step % 4 == 3)
        answer = _answer(student, change_colours(pictures, rng))
        wanted = torch.einsum("de,behw->bdhw", turn, wanted).to(answer.device)
        loss = (1 - cosine_similarity(answer, wanted, dim=1)).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        for group in optimiser.param_groups:
            group["lr"] = one_cycle(step, settings.steps, WARM_UP, settings.learning_rate)
        optimiser.step()
        losses.append(loss.item())
        if step % 50 == 49:
            report(f"step {step + 1}/{settings.steps}  1 - cos {np.mean(losses[-50:]):.4f}")
    return student.eval().cpu()


def _answer(student: VisionTransformer, pictures: Tensor) -> Tensor:
    """The student's tokens `[b, D, h, w]`, where it is, for pictures `[b, 3, s, s]` in 0..1."""
    device = next(student.parameters()).device
    with torch.autocast(device.type, torch.bfloat16):
        pixels = (pictures.to(device) - MEAN) / DEVIATION
        layers = student.forward_intermediates(pixels, indices=1, norm=False, intermediates_only=True)
        return cast(list[Tensor], layers)[0].float()


@torch.no_grad()
def _nearest_turn(student: VisionTransformer, targets: Targets, settings: PretrainSettings) -> Tensor:
    """The orthogonal matrix `[D, D]` that brings the targets nearest to the student's first answers (Procrustes).

    Only angles between tokens matter, and a rotation keeps them: the student need not learn one.
    """
    rng = np.random.default_rng(settings.seed)
    products = torch.zeros(student.num_features, student.num_features)
    for _ in range(8):
        pictures, wanted = _batch(targets, settings, rng, whole=True)
        answer = normalize(_answer(student, pictures).cpu(), dim=1)
        products += torch.einsum("bdhw,behw->de", answer, normalize(wanted, dim=1))
    left, _, right = torch.linalg.svd(products)
    return left @ right


def save_student(student: VisionTransformer, settings: PretrainSettings, folder: Path) -> None:
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
    write_atomic(folder / "model.safetensors", save(weights))
    write_atomic(folder / "config.json", (json.dumps(config, indent=1) + "\n").encode())


def _check(images: Sequence[Path], teacher: VitBackbone, settings: PretrainSettings, width: int) -> None:
    if not images:
        raise SpherecorrError("There are no images to learn from.")
    patch, depth = make_student(settings).patch_embed.patch_size[0], len(teacher.model.blocks)
    if patch != teacher.source.patch:
        raise SpherecorrError(f"The teacher's patches have {teacher.source.patch} pixels, the student's {patch}.")
    if not settings.layers or not all(0 <= layer < depth for layer in settings.layers):
        raise SpherecorrError(f"The teacher has the layers 0 to {depth - 1}; asked for {settings.layers}.")
    if teacher.source.dim * len(settings.layers) < width:
        raise SpherecorrError(f"The student has {width} channels, more than the teacher's layers have together.")


def _square(path: Path, resolution: int, patch: int) -> np.ndarray:
    image = load_image(path)
    return frame_image(image, pad_to_square(image.size, resolution, patch))


@torch.no_grad()
def _layers(teacher: VitBackbone, picture: np.ndarray, layers: tuple[int, ...]) -> Tensor:
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


def change_colours(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Brightness, contrast and saturation of each picture, and its three channels' gains, change at random."""
    count = len(pictures)

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (count, channels, 1, 1))).float()

    grey = pictures.mean(dim=1, keepdim=True)
    changed = grey + (pictures - grey) * draw(0.3, 1.4)
    mean = changed.mean(dim=(1, 2, 3), keepdim=True)
    changed = mean + (changed - mean) * draw(0.6, 1.3)
    return (changed * draw(0.75, 1.25) * draw(0.85, 1.15, 3)).clamp(0, 1)

r"""Is a small backbone better made from nothing, or from a larger one? Raw matches of students after about equal times.

    spherecorr render renders --split trn --count 7000 --pairs 500 --size 448 --backgrounds photos
    spherecorr render renders --split val --count 280 --pairs 40 --size 448 --backgrounds photos
    python experiments/from_scratch.py renders --images renders/JPEGImages photos \
        --teacher local-dir:vit_tiny_patch16_224

- untrained: random weights, and the teacher's own first blocks;
- from scratch: self-distillation without labels. Two windows of each picture, in other colours, some patches of the
  student's replaced by a mask token. The student is to give what its own moving average gives for the unmasked windows:
  for a masked patch the same patch's distribution over prototypes (iBOT, Zhou et al. 2022), for the class token that of
  the other window (DINO, Caron et al. 2021), with a running centre against collapse;
- distilled: `spherecorr pretrain`, from random weights and from the teacher's first blocks.

Prints the seconds that each took, and raw matches on held-out pairs; the last column fuses them with the true surface
directions. Markdown and, last, JSON.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from held_out import open_split, rounded
from torch import Tensor, nn
from torch.nn.functional import interpolate, log_softmax, normalize, softmax

from spherecorr.backbones.vit import VitBackbone, load_vit
from spherecorr.cli.base import show_progress
from spherecorr.evaluation.tables import Table, percent
from spherecorr.pipelines.extract import find_pictures
from spherecorr.training.pretrain_settings import PretrainSettings
from spherecorr.training.pretraining import (
    DEVIATION,
    MEAN,
    Targets,
    begin,
    change_colours,
    distil,
    make_student,
    save_student,
    teacher_targets,
)

PROTOTYPES, BOTTLENECK = 1024, 128
SMALLEST = 0.4  # side of a window, as a share of the picture's
MASKED = 0.3  # share of the student's patches, in every second window
STUDENT_TEMPERATURE, TEACHER_TEMPERATURE = 0.1, 0.05
SCORES = ("PCK", "KAP", "symmetric mistakes", "PCK, true directions")


class Learner(nn.Module):
    """A ViT whose patches can be masked, and the head that turns tokens into prototypes' logits."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.mask_token = nn.Parameter(torch.zeros(model.num_features))
        self.head = nn.Sequential(
            nn.Linear(model.num_features, 512), nn.GELU(), nn.Linear(512, BOTTLENECK), _Normalise(),
            nn.Linear(BOTTLENECK, PROTOTYPES, bias=False),
        )  # fmt: skip

    def forward(self, pixels: Tensor, masked: Tensor | None = None) -> Tensor:
        """Logits `[B, 1 + N, K]` of the class token and the patches; `masked` is bool `[B, h, w]`."""

        def replace_masked(module: nn.Module, inputs: tuple[Tensor], tokens: Tensor) -> Tensor:
            return torch.where(masked[..., None], self.mask_token.to(tokens.dtype), tokens)

        hook = None if masked is None else self.model.patch_embed.register_forward_hook(replace_masked)
        try:
            return self.head(self.model.forward_features(pixels))
        finally:
            if hook:
                hook.remove()


class _Normalise(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return normalize(values, dim=-1)


def draw_windows(pictures: np.ndarray, count: int, side: int, rng: np.random.Generator) -> Tensor:
    """Two windows of each of some pictures `[M, S, S, 3]`, colours changed: `[2 * count, 3, side, side]`."""
    chosen = np.tile(rng.integers(0, len(pictures), count), 2)
    whole, windows = pictures.shape[1], []
    for index in chosen:
        size = int(whole * rng.uniform(SMALLEST, 1))
        top, left = rng.integers(0, whole - size + 1, 2)
        window = torch.from_numpy(pictures[index, top : top + size, left : left + size])
        window = window.permute(2, 0, 1)[None].float() / 255
        windows.append(interpolate(window, (side, side), mode="bilinear", antialias=True))
    return (change_colours(torch.cat(windows), rng) - MEAN) / DEVIATION


def learn_alone(model: nn.Module, pictures: np.ndarray, settings: PretrainSettings) -> nn.Module:
    """Train a randomly initialised ViT by self-distillation; see above."""
    student = Learner(model).train()
    teacher = copy.deepcopy(student).requires_grad_(False)
    optimiser = torch.optim.AdamW(student.parameters(), weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, settings.steps, pct_start=0.1, cycle_momentum=False
    )
    rng, losses = np.random.default_rng(settings.seed), []
    patch = model.patch_embed.patch_size[0]
    centre = torch.zeros(2, PROTOTYPES)  # of the class token's logits, and of the patches'
    for step in range(settings.steps):
        windows = draw_windows(pictures, settings.batch // 2, settings.window * patch, rng)
        masked = torch.from_numpy(rng.random((len(windows), settings.window, settings.window)) < MASKED)
        masked[::2] = False
        with torch.autocast("cpu", torch.bfloat16):
            given = student(windows, masked).float()
            with torch.no_grad():
                wanted = teacher(windows).float()
        whole, parts = _cross_entropies(given, wanted, centre)
        loss = whole.mean() + parts[masked.flatten(1)].mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            means = torch.stack([wanted[:, 0].mean(dim=0), wanted[:, 1:].mean(dim=(0, 1))])
            centre.lerp_(means, 0.1)
            momentum = 1 - 0.01 * (1 + np.cos(np.pi * step / settings.steps)) / 2
            for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
                slow.lerp_(fast, 1 - momentum)
        losses.append(loss.item())
        if step % 50 == 49:
            print(f"step {step + 1}/{settings.steps}  loss {np.mean(losses[-50:]):.3f}", flush=True)
    return teacher.model.eval()


def _cross_entropies(given: Tensor, wanted: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
    """Of the class tokens with those of the other windows `[B]`, and of the patches with themselves `[B, N]`."""
    said = log_softmax(given / STUDENT_TEMPERATURE, dim=-1)
    whole = softmax((wanted[:, 0] - centre[0]) / TEACHER_TEMPERATURE, dim=-1).roll(len(wanted) // 2, dims=0)
    parts = softmax((wanted[:, 1:] - centre[1]) / TEACHER_TEMPERATURE, dim=-1)
    return -(whole * said[:, 0]).sum(dim=-1), -(parts * said[:, 1:]).sum(dim=-1)


def make(
    row: str, teacher: VitBackbone, targets: Targets, settings: PretrainSettings, scratch_steps: int
) -> tuple[nn.Module, PretrainSettings]:
    """The student of a row, and how it was trained."""
    if row == "from scratch":
        settings = replace(settings, steps=scratch_steps, learning_rate=1e-3)
        return learn_alone(make_student(settings), targets.pictures, settings), settings
    settings = replace(settings, start="teacher" if "teacher" in row else "random")
    if settings.start == "teacher":
        settings = replace(settings, learning_rate=6e-4)
    student = begin(teacher, settings)
    return (distil(student, targets, settings) if row.startswith("distilled") else student.eval()), settings


ROWS = (
    "untrained, random weights",
    "untrained, the teacher's first blocks",
    "from scratch",
    "distilled, from random weights",
    "distilled, from the teacher's first blocks",
)


def score(renders: Path, backbone: VitBackbone, resolution: int, limit: int | None) -> dict[str, float]:
    """Raw matches on the pairs of `val`."""
    with tempfile.TemporaryDirectory() as folder:
        held = open_split(renders, "val", backbone, resolution, Path(folder), limit)
        report = held.evaluate(held.true_spheres(), 0.5)
    values = (
        report.value("PCK", "raw"),
        report.value("KAP", "raw", "macro"),
        report.value("symmetric mistakes", "raw"),
        report.value("PCK", "fused"),
    )
    return dict(zip(SCORES, values, strict=True))


def parse() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("renders", type=Path, help="folder of `spherecorr render`; its split `val` is scored")
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="folders of pictures to learn from")
    parser.add_argument("--teacher", required=True, help="backbone to distil; of the student's architecture")
    parser.add_argument("--pictures", type=int, default=1500, help="to learn from (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=600, help="of distillation (default: %(default)s)")
    parser.add_argument("--scratch-steps", type=int, default=400, help="from scratch (default: %(default)s)")
    parser.add_argument("--rows", type=int, nargs="+", default=range(len(ROWS)), help="by number (default: all)")
    parser.add_argument("--limit", type=int, metavar="PAIRS", help="score so many pairs, evenly spread")
    return parser.parse_args()


def learn_from(options: argparse.Namespace, teacher: VitBackbone, settings: PretrainSettings) -> Targets:
    """Some of the pictures, in random order, with the teacher's answers."""
    found: Sequence[Path] = find_pictures(options.images)
    order = np.random.default_rng(settings.seed).permutation(len(found))[: options.pictures]
    width = make_student(settings).num_features
    return teacher_targets([found[i] for i in order], teacher, settings, width, partial(show_progress, "teacher"))


def main() -> None:
    """Train and score every student, and print the table."""
    options = parse()
    settings = PretrainSettings(depth=8, steps=options.steps)
    teacher = load_vit(options.teacher, device="cpu")
    targets = learn_from(options, teacher, settings)
    rows, results = [], {}
    for row in (ROWS[number] for number in options.rows):
        begun = time.perf_counter()
        student, made = make(row, teacher, targets, settings, options.scratch_steps)
        seconds = time.perf_counter() - begun
        with tempfile.TemporaryDirectory() as folder:
            save_student(student, made, Path(folder))
            backbone = load_vit(f"local-dir:{folder}", device="cpu")
            results[row] = {"seconds": seconds, **score(options.renders, backbone, settings.resolution, options.limit)}
        rows.append([row, f"{seconds:.0f}", *(percent(results[row][name]) for name in SCORES)])
        print(f"{row}: {json.dumps(rounded(results[row]))}", flush=True)
    title = f"Raw matches on val, percent; {options.pictures} pictures, {torch.get_num_threads()} threads"
    print("\n" + Table(title, ("student", "seconds", *SCORES), rows).markdown() + "\n")
    print(json.dumps(rounded(results)))


if __name__ == "__main__":
    main()

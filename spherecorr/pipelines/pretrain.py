"""Pictures and a teacher become a small backbone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from spherecorr.backbones.vit import load_vit
from spherecorr.pipelines.common import Progress, silent
from spherecorr.pipelines.extract import find_pictures
from spherecorr.training.pretrain_settings import PretrainSettings
from spherecorr.training.pretraining import begin, distil, save_student, teacher_targets


def pretrain(
    folders: Sequence[Path],
    teacher: str,
    out: Path,
    settings: PretrainSettings | None = None,
    *,
    device: str = "auto",
    progress: Progress = silent,
) -> None:
    """Run the teacher over all pictures, train the student, and write it as a `local-dir:` backbone.

    Args:
        folders: searched for pictures, and below.
        teacher: a backbone with the student's patch size.
        out: folder to write.
        settings: how to distil.
        device: "auto", "cpu", "cuda", ...
        progress: shows how many pictures the teacher has seen.

    Raises:
        SpherecorrError: no pictures, or a teacher that does not fit the settings.
    """
    settings = settings or PretrainSettings()
    images = find_pictures(folders)
    # In random order: the first ones alone decide the teacher's mean and principal components.
    images = [images[i] for i in np.random.default_rng(settings.seed).permutation(len(images))]
    model = load_vit(teacher, device=device)
    student = begin(model, settings)
    width: int = student.num_features  # type: ignore[assignment]  # an attribute of timm's models
    targets = teacher_targets(images, model, settings, width, partial(progress, "teacher"))
    save_student(distil(student, targets, settings, device=device), settings, out)

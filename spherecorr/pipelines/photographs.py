"""Renders and a folder of photographs become a sphere for any backbone, in one command.

OUT/model.safetensors, config.json, README.md   the checkpoint and its card
OUT/renders                                     where no other folder is named
OUT/masks/<category>/<stem>.png                 proposed foregrounds of photographs without a mask
OUT/features-renders, OUT/features-photographs  the stores
OUT/training                                    the run, see `training.run`
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from spherecorr.backbones import load_backbone
from spherecorr.data.folder import Folder
from spherecorr.data.records import PairRecord
from spherecorr.data.registry import open_dataset
from spherecorr.errors import SpherecorrError
from spherecorr.evaluation.evaluate import evaluate
from spherecorr.evaluation.tables import Table, percent
from spherecorr.pipelines.cards import photographs_card, write_card
from spherecorr.pipelines.common import Notify, Progress, check_free, ignore, silent
from spherecorr.pipelines.extract import store_features
from spherecorr.pipelines.foregrounds import propose_masks
from spherecorr.pipelines.recipes import PHOTOGRAPHS, PhotographsRecipe
from spherecorr.pipelines.train import train
from spherecorr.render.settings import RenderSettings
from spherecorr.sphere.checkpoint import CONFIG, load_sphere, save_sphere
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.store import FeatureStore
from spherecorr.store_settings import StoreSettings
from spherecorr.training.fit import OnStep

NAME = "photographs"  # of the recipe
TRAINING = ("steps", "batch", "tokens", "foreground_weight", "learning_rate", "optimiser", "precision", "log_every",
            "save_every", "validate_every", "seed")  # fmt: skip
"""Settings of the training that the recipe holds under their own names."""


def train_on_photographs(
    photographs: str | Path,
    out: str | Path,
    *,
    backbone: str,
    renders: str | Path | None = None,
    recipe: PhotographsRecipe = PHOTOGRAPHS,
    processes: int = 2,
    device: str = "auto",
    notify: Notify = ignore,
    progress: Progress = silent,
    on_step: OnStep | None = None,
) -> SphereMapper:
    """Make a sphere for a backbone; the same call resumes one that was stopped.

    Args:
        photographs: folder with viewpoints.csv, see `data.folder.Folder`; masks are proposed where there are none.
        out: folder of the checkpoint.
        backbone: see `load_backbone`.
        renders: folder of `spherecorr render`, whose splits trn and val are made where they are missing; by default in
            `out`.
        recipe: settings.
        processes: that share the rendering.
        device: "auto", "cpu", "cuda", ...
        notify: is told how large a store will be before its features are computed.
        progress: shows how many pictures are done.
        on_step: is told of every step of the training, and may end it; see `training.fit.fit`.

    Returns:
        The mapper with the alpha that the held-out renders chose.

    Raises:
        SpherecorrError: a broken file, something else in `out`, or settings that do not fit the backbone.
    """
    out = Path(out)
    check_free(out, NAME)
    folder = Path(renders or out / "renders")
    for wanted in (recipe.renders, recipe.held_out):
        _render(folder, wanted, processes)
    dataset = open_dataset("renders", folder)
    rendered = dataset.images("trn")
    model = load_backbone(backbone, device=device)
    shown = propose_masks(Folder(photographs).images("all"), out / "masks", model, None, progress)

    square: dict[str, Any] = {"crop": "square", "smallest_crop": recipe.smallest_crop}
    cuts = StoreSettings(model.source, recipe.resolution, **square, labels=True, seed=recipe.seed)
    several = replace(cuts, crops=recipe.photograph_crops, mirrored=True)
    stores = out / "features-renders", out / "features-photographs"
    for records, settings, store in ((rendered, cuts, stores[0]), (shown, several, stores[1])):
        store_features(records, model, settings, store, notify=notify, progress=progress)
    run = out / "training"
    train(
        [rendered, *[shown] * recipe.repeats],
        run,
        backbone=backbone,
        weights=asdict(recipe.weights),
        settings={name: getattr(recipe, name) for name in TRAINING},
        sphere={"positions": "frame", **{n: getattr(recipe, n) for n in ("width", "depth", "mirror_angle")}},
        stores=[stores[0], *[stores[1]] * recipe.repeats],
        validation=dataset.pairs("val"),
        device=device,
        notify=notify,
        progress=progress,
        on_step=on_step,
    )
    best = run / ("best" if (run / "best").is_dir() else "last")  # one that was ended early was not validated
    mapper = load_sphere(best, device=device)
    alpha, table = choose_alpha(dataset.pairs("val"), FeatureStore(run / "held-out"), mapper, recipe.alphas)
    mapper.settings = replace(mapper.settings, alpha=alpha)
    about = {**json.loads((best / CONFIG).read_text(encoding="utf-8")), "recipe": NAME}
    save_sphere(mapper, out, metadata=about)
    counts = {"renders": len(rendered), "photographs": len(shown)}
    write_card(out, photographs_card(out.name, mapper.settings, counts, about["step"], recipe.batch, table))
    return mapper


def choose_alpha(
    pairs: Sequence[PairRecord], features: FeatureStore, mapper: SphereMapper, alphas: Sequence[float]
) -> tuple[float, Table]:
    """The alpha of highest PCK@0.1 less symmetric mistakes, and the figures of all.

    Args:
        pairs: held out.
        features: of their images.
        mapper: the sphere.
        alphas: to choose from.
    """
    few: dict[str, Any] = {"thresholds": (0.1,), "protocols": ("corrected",), "resamples": 0}
    report = evaluate(pairs, features, sphere=mapper, alpha=alphas, **few)
    names = dict(zip(report.settings["alphas"], report.similarities, strict=True))
    metrics = ("PCK", "pooled"), ("KAP", "macro"), ("symmetric mistakes", "pooled")
    values = {alpha: [report.value(metric, names[alpha], over) for metric, over in metrics] for alpha in names}

    def worth(alpha: float) -> float:
        pck, _, mistakes = values[alpha]
        return pck - (0 if math.isnan(mistakes) else mistakes)

    best = max(alphas, key=worth)
    rows = [[f"{alpha:g}", *map(percent, values[alpha])] for alpha in sorted(values)]
    title = f"{len(pairs):,} pairs of held-out renders at alpha 0 (raw) to 1 (the sphere alone), percent"
    return best, Table(title, ("alpha", "PCK@0.1", "KAP@0.1", "symmetric mistakes"), rows)


def _render(folder: Path, settings: RenderSettings, processes: int) -> None:
    """Render a split, unless all of one is there."""
    if (folder / "Layout" / "large" / f"{settings.split}.txt").is_file():
        return
    try:
        from spherecorr.render.dataset import render_dataset
    except ModuleNotFoundError as error:
        raise SpherecorrError(f'Rendering needs the package {error.name}: pip install -e ".[render]".') from error
    render_dataset(folder, settings, processes)

r"""What each choice of a sphere's training is worth: one change a row, the same crops, the same number of steps.

    spherecorr extract renders renders --split trn --labels --crop square --smallest-crop 0.6 --out data/features/trn
    python experiments/ablation.py renders --store data/features/trn --out data/ablation --features data/features/held
    python experiments/ablation.py renders --store data/features/trn --out data/ablation --features data/features/held \
        --rows base,depth-1,depth-5 --seeds 0,1

Every row and seed has a run folder in `--out`: one that was stopped resumes, a finished one is not trained again, so
rows can be added at any time. The table shows the mean over the seeds, with the range where there are several.

Scored on the pairs of `--split` at one alpha for all. The weak losses leave open how the sphere as a whole is turned,
so angles to the true directions are those after the best rotation, for all rows alike; matching needs none. `of
ceiling` is (fused - raw) / (ceiling - raw) of KAP, with the ceiling by the true directions. Mirrored pictures are no
row: an object of these renders is its own mirror image, so that they would be more renders and nothing else; of
photographs `eth80.py --mirrored` tells. Other layers of the backbone have a script of their own, `layers.py`.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from held_out import (
    HeldOut,
    compare_directions,
    features_folder,
    open_split,
    rounded,
    true_labels,
)
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from spherecorr.backbones import load_backbone
from spherecorr.cli.base import show_steps
from spherecorr.cli.flags import list_of
from spherecorr.crops import SEEN
from spherecorr.data.spair import SPair71k
from spherecorr.device import pick_device
from spherecorr.evaluation.tables import Table, percent
from spherecorr.features import SphereMap
from spherecorr.sphere.mapper import BELOW, SphereMapper, frame_positions
from spherecorr.sphere.settings import SphereSettings
from spherecorr.store import FeatureStore
from spherecorr.training.batches import StoredCrops
from spherecorr.training.fit import Trainer, fit
from spherecorr.training.settings import LossWeights, TrainSettings

NONE = {"reconstruction": 0.0, "viewpoint": 0.0, "distance": 0.0, "orientation": 0.0}
BASE_WEIGHTS = LossWeights(**NONE | {"viewpoint": 0.1, "orientation": 0.1}, surface=1.0, background=0.3)
SURFACE_ALONE = LossWeights(**NONE, surface=1.0)
PAPER, PAPER_LED = LossWeights(), LossWeights(viewpoint=5.0)
BASE_SPHERE = {"positions": "frame", "width": 128, "depth": 3}
AVERAGED = 0.98  # share of its past that the average keeps in a step
MUON = {"optimiser": "muon"}
BASE_TRAINING = {"batch": 48, "tokens": 64, "foreground_weight": 8.0, "precision": "bf16"}


@dataclass(frozen=True)
class Row:
    """One line of the table: its change from the base.

    Attributes:
        title: as the table says it.
        stages: weights of the losses; several stages share the steps equally, each begins where the last one ended.
        sphere: changes of the SphereSettings.
        training: changes of the TrainSettings.
        elevation: whether the viewpoint loss is told elevations.
        trainer: what a step does.
        given_object: whether the mapper sees the object's patches alone, as the true mask has them, when scored, too.
    """

    title: str
    stages: tuple[LossWeights, ...] = (BASE_WEIGHTS,)
    sphere: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    elevation: bool = True
    trainer: type[Trainer] = Trainer
    given_object: bool = False


class Averaged(Trainer):
    """The mapper is the moving average of its weights, which the steps do not see; it begins anew after a stop."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.average = AveragedModel(self.mapper, multi_avg_fn=get_ema_multi_avg_fn(AVERAGED))

    def train_step(self) -> None:
        """See `Trainer`; the last one hands the average over."""
        super().train_step()
        self.average.update_parameters(self.mapper)
        if self.step == self.settings.steps:
            self.mapper.load_state_dict(self.average.module.state_dict())


ROWS = {
    "base": Row("base: surface 1, background 0.3, viewpoint and orientation 0.1, 64 patches, odds 8"),
    "no-positions": Row("no positions", sphere={"positions": "none"}),
    "paper": Row("the paper's four losses and weights", (PAPER,)),
    "paper-led": Row("the paper's four losses, viewpoint 5", (PAPER_LED,)),
    "surface": Row("surface alone", (SURFACE_ALONE,)),
    "warm-start": Row("surface alone, then the paper's four with viewpoint 5", (SURFACE_ALONE, PAPER_LED)),
    "no-background": Row("no place for the background", (replace(BASE_WEIGHTS, background=0.0),)),
    "no-weak": Row("surface and background, no weak loss", (replace(SURFACE_ALONE, background=0.3),)),
    "viewpoint-1": Row("viewpoint 1", (replace(BASE_WEIGHTS, viewpoint=1.0),)),
    "azimuth-alone": Row("viewpoint by azimuth alone", elevation=False),
    "depth-1": Row("depth 1", sphere={"depth": 1}),
    "depth-5": Row("depth 5", sphere={"depth": 5}),
    "width-64": Row("width 64", sphere={"width": 64}),
    "width-192": Row("width 192", sphere={"width": 192}),
    "equal-odds": Row("64 patches drawn uniformly", training={"foreground_weight": 1.0}),
    "tokens-196": Row("196 patches, 3 times the work", training={"tokens": 196, "foreground_weight": 1.0}),
    "tokens-32": Row("32 patches, half the work", training={"tokens": 32}),
    "muon": Row("Muon for the blocks' matrices", training=MUON),
    "ema": Row(f"moving average of the weights, {AVERAGED}, Muon", training=MUON, trainer=Averaged),
    "ema-constant": Row(
        f"constant rate, moving average of the weights, {AVERAGED}",
        training={"schedule": "constant"},
        trainer=Averaged,
    ),
    "object-alone": Row(
        "the mapper sees the object's patches alone (true mask)",
        (replace(BASE_WEIGHTS, background=0.0),),
        training={"foreground_weight": 1e6},
        given_object=True,
    ),
    "visibility": Row("visibility 0.3", (replace(BASE_WEIGHTS, visibility=0.3),)),
    "paper-visibility": Row(
        "the paper's four losses, viewpoint 5, and visibility 1", (replace(PAPER_LED, visibility=1.0),)
    ),
    "constant-rate": Row("constant learning rate", training={"schedule": "constant"}),
}
SCORES = ("median_angle", "wrong_side", "wrong_end", "pck", "kap", "symmetric", "of_ceiling")


def train(
    row: Row, data: StoredCrops, sphere: SphereSettings, steps: int, seed: int, run: Path, device: str
) -> SphereMapper:
    """Train a row's stages, or resume them, or load what is finished."""
    if not row.elevation:
        data = copy.copy(data)
        data.known = replace(data.known, elevation=torch.full_like(data.known.elevation, math.nan))
    mapper = None
    for number, weights in enumerate(row.stages):
        settings = TrainSettings(
            replace(sphere, **BASE_SPHERE | row.sphere),
            weights,
            steps=steps // len(row.stages),
            seed=seed + 1000 * number,
            **BASE_TRAINING | row.training,
        )
        about = {"elevation": row.elevation}
        run_of_stage = run / f"stage{number}"
        shown = {"trainer": row.trainer, "on_step": show_steps()}
        mapper = fit(data, settings, run_of_stage, start=mapper, about=about, device=device, **shown)
    return mapper


def object_spheres(held: HeldOut, mapper: SphereMapper) -> dict[str, SphereMap]:
    """Sphere maps of a mapper that sees the object's patches alone; all others lie straight below."""
    spheres = {}
    for key, image in held.images.items():
        features = held.features[key]
        seen = torch.from_numpy(true_labels(image, features.framing)[:, 0] >= SEEN)
        points = torch.tensor(BELOW).repeat(len(seen), 1)
        with torch.no_grad():
            points[seen] = mapper(features.tokens().float()[seen][None], frame_positions(features.framing)[seen][None])[
                0
            ]
        spheres[key] = SphereMap(points.T.reshape(3, *features.features.shape[1:]), features.framing)
    return spheres


def score(held: HeldOut, spheres: dict[str, SphereMap], alpha: float, perfect: float) -> dict[str, float]:
    """A row's figures; `perfect` is KAP of the fusion with the true directions."""
    report = held.evaluate(spheres, alpha)
    raw, kap = (report.value("KAP", name, "macro") for name in ("raw", "fused"))
    return {
        **compare_directions(held.images.values(), spheres).turned().figures(),
        "pck": report.value("PCK", "fused"),
        "kap": kap,
        "symmetric": report.value("symmetric mistakes", "fused"),
        "of_ceiling": (kap - raw) / (perfect - raw),
    }


def cell(name: str, values: list[float]) -> str:
    """Mean of the seeds and, of several, the range."""
    shown = (lambda value: f"{value:.1f}") if name == "median_angle" else percent
    spread = f" ({shown(min(values))} to {shown(max(values))})" if len(values) > 1 else ""
    return shown(float(np.mean(values))) + spread


def parse_numbers(text: str) -> tuple[int, ...]:
    """'0,1' -> (0, 1)."""
    return tuple(map(int, text.split(",")))


def parse() -> argparse.Namespace:
    """Read the options."""
    rows = "\n".join(f"  {name:15} {row.title}" for name, row in ROWS.items())
    text = f"{__doc__}\nrows:\n{rows}"
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("renders", type=Path, help="folder of `spherecorr render`; its split `trn` is in the store")
    parser.add_argument("--store", type=Path, required=True, help="training crops, with labels")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--features", type=Path, help="keep features of held-out pairs here (default: nowhere)")
    parser.add_argument("--split", default="val", help="that is scored (default: %(default)s)")
    parser.add_argument("--limit", type=int, metavar="PAIRS", help="score so many pairs, evenly spread")
    parser.add_argument("--steps", type=int, default=1000, help="of each row (default: %(default)s)")
    parser.add_argument(
        "--rows", type=list_of(str, "rows", "A,B"), default=tuple(ROWS), metavar="A,B", help="(default: all)"
    )
    parser.add_argument("--seeds", type=parse_numbers, default=(0,), metavar="A,B", help="(default: 0)")
    parser.add_argument("--alpha", type=float, default=0.5, help="of the fusion (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: %(default)s)")
    options = parser.parse_args()
    if unknown := set(options.rows) - ROWS.keys():
        parser.error(f"there is no row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    return options


def main() -> None:
    """Train and score every row that is asked for, and print the table."""
    options = parse()
    store = FeatureStore(options.store)
    made, backbone = store.settings, load_backbone(store.settings.source, device=options.device)
    data = StoredCrops(store, SPair71k(options.renders).images("trn"), device=pick_device(options.device))
    sphere = SphereSettings(made.source.dim, source=made.source, resolution=made.resolution, alpha=options.alpha)
    with features_folder(options) as folder:
        held = open_split(options.renders, options.split, backbone, made.resolution, folder, options.limit)
        truth = held.evaluate(held.true_spheres(), options.alpha)
        perfect = truth.value("KAP", "fused", "macro")
        results: dict[str, dict[int, dict[str, float]]] = {}
        for seed in options.seeds:
            for name in options.rows:
                run = options.out / f"{name}-{options.steps}-seed{seed}"
                mapper = train(ROWS[name], data, sphere, options.steps, seed, run, options.device)
                spheres = object_spheres(held, mapper) if ROWS[name].given_object else held.spheres(mapper)
                figures = rounded(score(held, spheres, options.alpha, perfect))
                results.setdefault(name, {})[seed] = figures
                print(f"{name}, seed {seed}: {json.dumps(figures)}", flush=True)
    rows = [
        [ROWS[name].title, *(cell(score, [of[score] for of in seeds.values()]) for score in SCORES)]
        for name, seeds in results.items()
    ]
    columns = ("row", "median angle", "wrong side", "wrong end", "PCK", "KAP", "symmetric mistakes", "of ceiling")
    seeds = ", ".join(map(str, options.seeds))
    title = f"Percent and degrees on {options.split}; {options.steps} steps, seeds {seeds}, alpha {options.alpha:g}"
    print("\n" + Table(title, columns, rows).markdown() + "\n")
    about = {"steps": options.steps, "alpha": options.alpha, "pairs": len(held.pairs), "ceiling KAP": perfect}
    print(json.dumps(rounded(about | {"raw KAP": truth.value("KAP", "raw", "macro"), "rows": results})))


if __name__ == "__main__":
    main()

r"""Train `mini`'s sphere on a GPU, on renders and photographs; the shipped one, or the rows of an ablation.

    python experiments/train_mini.py OUT --renders shapes --renders solids --photographs photo_viewpoints \
        --masked photos --eth80 eth80 --split experiments/photo_split.csv --steps 16000

Photographs of `photo_split.csv` count where it says trn, ETH-80 but for every third instance of each category from the
first, and of `--masked` (photographs in folders by category, masks in `masks`) what is no photograph of the split. None
of the others is seen in any way, not as a background either.

`--rows` trains several spheres in turn, each with one change; see `ROWS`. With `--part i/n` only every n-th of them, so
that n processes share a GPU.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from device_crops import SIDE, DeviceCrops, PatchTrainer, Pictures
from torch import Tensor

from spherecorr.backbones import load_backbone
from spherecorr.cli.base import show_steps
from spherecorr.data.folder import Eth80, Folder
from spherecorr.data.masks import read_mask
from spherecorr.data.records import ImageRecord
from spherecorr.data.spair import SPair71k
from spherecorr.dense_labels import Templates, make_templates
from spherecorr.images import load_image, picture_size
from spherecorr.render.backgrounds import photo_background, procedural_background
from spherecorr.sphere.checkpoint import load_sphere, save_sphere
from spherecorr.sphere.settings import SphereSettings
from spherecorr.training.fit import fit
from spherecorr.training.settings import LossWeights, TrainSettings

KINDS = {"aeroplane": "aeroplane", "bike": "bicycle", "bird": "bird", "boat": "boat", "bus_train": "bus", "car": "car",
         "cat": "cat", "chair_etc": "chair", "dog": "dog", "horse_cow_sheep": "horse"}  # fmt: skip
"""Folders of `--masked` -> a category; a mask without viewpoint teaches the foreground, whatever the kind."""

ROWS: dict[str, dict] = {
    "base": {},
    "no photographs": {"photographs": False, "masked": False},
    "no dense labels": {"dense": False},
    "no masks without viewpoint": {"masked": False},
    "backgrounds as they are": {"cut_out": False},
    "other renders": {"other": True},
    "the last block alone": {"layers": (7,)},
}
BACKGROUNDS = 1500
TRIAL = 100  # steps
TEMPLATES = 400  # renders of a category


def main() -> None:
    """Train what the options ask for."""
    options = _options()
    torch.set_float32_matmul_precision("high")
    data = Data(options)
    rows = [row for row, change in ROWS.items() if options.other or "other" not in change] if options.rows else ["base"]
    jobs = [(row, seed) for seed in range(options.seeds) for row in rows]
    part, parts = map(int, options.part.split("/"))
    for row, seed in jobs[part::parts]:
        began = time.perf_counter()
        folder = options.out / f"{row.replace(' ', '-')}-{seed}"
        if (folder / "config.json").is_file():
            continue
        _train(data, folder, options, {"layers": options.layers, **ROWS[row]}, options.seed + seed)
        print(f"{row}, seed {seed}: {time.perf_counter() - began:.0f} s", flush=True)


class Data:
    """What all rows draw from: records by what they are, templates, backgrounds, loaded crops."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.split = dict(line.split(",") for line in options.split.read_text().split()[1:])
        renders = {folder: SPair71k(folder).images("trn") for folder in options.renders + options.other}
        self.renders = [record for folder in options.renders for record in renders[folder]]
        self.other = [record for folder in options.other for record in renders[folder]]
        self.solids = [record for folder in options.solids for record in SPair71k(folder).images("trn")]
        self.photographs = self._photographs() + _eth80_training(options.eth80)
        self.masked = self._masked()
        kinds: dict[str, list[ImageRecord]] = {}
        for record in self.renders + self.solids:
            kinds.setdefault(record.category, []).append(record)
        with ProcessPoolExecutor(options.processes, multiprocessing.get_context("fork")) as pool:
            parts = pool.map(make_templates, (records[:TEMPLATES] for records in kinds.values()))
            templates: dict[str, Templates] = {name: made for part in parts for name, made in part.items()}
            work = partial(_background, self._background_files(), options.masked)
            cut, uncut = (
                np.stack(list(pool.map(partial(work, cut_out=flag), range(BACKGROUNDS), chunksize=16)))
                for flag in (True, False)
            )
        self.parts = [self.renders, self.other, self.solids, self.photographs, self.masked]
        records = [record for part in self.parts for record in part]
        self.pictures = Pictures(records, templates, options.processes, options.device)
        self.backgrounds, self.uncut = (torch.from_numpy(part).to(options.device) for part in (cut, uncut))

    def _photographs(self) -> list[ImageRecord]:
        root = self.options.photographs
        records = Folder(root).images("all")
        return [r for r in records if self.split[r.path.relative_to(root).as_posix()] == "trn"]

    def _held_out(self) -> set[str]:
        """Ends of the names of photographs that are not to be seen, `dog_n02085620_Chihuahua`."""
        return {Path(name).stem.removeprefix("imagenet_") for name, split in self.split.items() if split != "trn"}

    def _masked(self) -> list[ImageRecord]:
        """Photographs with a mask and no viewpoint, which are none of the split."""
        dealt = {Path(name).stem.removeprefix("imagenet_") for name in self.split}
        records = []
        for kind, category in KINDS.items():
            for path in sorted((self.options.masked / kind).iterdir()):
                mask = self.options.masked / "masks" / kind / f"{path.stem}.png"
                if f"{kind}_{path.stem}" in dealt or not mask.is_file() or not read_mask(mask)[0].any():
                    continue
                records.append(
                    ImageRecord(f"{kind}/{path.stem}", path, picture_size(path), category, None, {}, mask=mask)
                )
        return records

    def _background_files(self) -> list[Path]:
        held_out, masked = self._held_out(), self.options.masked
        files = [path for path in sorted(masked.glob("*/*")) if path.parent.name != "masks" and path.is_file()]
        return [path for path in files if f"{path.parent.name}_{path.stem}" not in held_out]

    def open(self, layers: tuple[int, ...], change: dict) -> DeviceCrops:
        """Crops for a row."""
        other = change.get("other", False)
        times = [
            0 if other else 1,
            1 if other or not self.options.rows else 0,
            1,
            self.options.repeats * change.get("photographs", True),
            self.options.repeats * change.get("masked", True),
        ]
        turns = [count for part, count in zip(self.parts, times, strict=True) for _ in part]
        places = torch.arange(len(turns)).repeat_interleave(torch.tensor(turns))
        extract = several_layers(layers, self.options.device)
        backgrounds = self.backgrounds if change.get("cut_out", True) else self.uncut
        return DeviceCrops(
            self.pictures, places, extract, 192 * len(layers), backgrounds, dense=change.get("dense", True)
        )


def several_layers(layers: Sequence[int], device: str) -> Callable[[Tensor], Tensor]:
    """Tokens of some of `mini`'s blocks; of several, each at length sqrt(D), one after the other."""
    model = load_backbone("mini", device=device).model

    def extract(pixels: Tensor) -> Tensor:
        maps = model.forward_intermediates(
            pixels * 2 - 1, indices=list(layers), norm=False, stop_early=True, intermediates_only=True
        )
        return maps[0] if len(maps) == 1 else torch.cat([_at_length(m.float()) for m in maps], dim=1)

    return extract


def _at_length(tokens: Tensor) -> Tensor:
    return tokens * (tokens.shape[1] ** 0.5 / tokens.norm(dim=1, keepdim=True).clamp(min=1e-6))


def _train(data: Data, folder: Path, options: argparse.Namespace, change: dict, seed: int) -> None:
    layers = tuple(change["layers"])
    crops = data.open(layers, change)
    sphere = SphereSettings(crops.feature_dim, width=192, depth=options.depth, positions="frame")
    weights = LossWeights(0, viewpoint=0.3, distance=0, orientation=0.1, surface=1, foreground=0.3)
    settings = TrainSettings(
        sphere, weights, options.steps, options.batch, learning_rate=options.learning_rate, optimiser="muon",
        precision="bf16", seed=seed, tokens=0, log_every=200,
    )  # fmt: skip
    start = load_sphere(options.start, device="cpu") if options.start else None
    if start is not None:
        settings = replace(settings, sphere=replace(settings.sphere, feature_dim=start.settings.feature_dim))
    if options.seconds:
        settings = replace(settings, steps=_steps_in(options.seconds, crops, settings, options.device))
    log = folder.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    shown = {"trainer": PatchTrainer, "on_step": show_steps()}
    mapper = fit(crops, settings, folder / "run", start=start, device=options.device, **shown)
    about = {"layers": layers, "training": {"steps": settings.steps, "batch": options.batch, "seed": seed}}
    save_sphere(mapper.half(), folder, metadata=about)
    log.write_text((folder / "run" / "metrics.jsonl").read_text())


def _steps_in(seconds: float, crops: DeviceCrops, settings: TrainSettings, device: str) -> int:
    """How many steps take so long, rounded down to hundreds; a short training tells, the second of two."""
    for _ in range(2):
        began = time.perf_counter()
        fit(crops, replace(settings, steps=TRIAL), device=device, trainer=PatchTrainer)
        pace = TRIAL / (time.perf_counter() - began)
    return max(100, int(seconds * pace) // 100 * 100)


def _eth80_training(root: Path) -> list[ImageRecord]:
    """ETH-80 without every third instance of each category from the first."""
    records = Eth80(root).images("all")
    kept = []
    for category in sorted({record.category for record in records}):
        names = sorted({str(r.instance) for r in records if r.category == category})
        held_out = set(names[::3])
        kept += [r for r in records if r.category == category and r.instance not in held_out]
    return kept


def _background(paths: list[Path], root: Path, number: int, cut_out: bool = True) -> np.ndarray:
    """One background, decided by its number."""
    rng = np.random.default_rng([99, number])
    if number % 4 == 0:
        return procedural_background(SIDE, rng)
    path = paths[rng.integers(len(paths))]
    mask = root / "masks" / path.relative_to(root).with_suffix(".png") if cut_out else None
    known = read_mask(mask)[0] if mask is not None and mask.is_file() else None
    return photo_background(np.asarray(load_image(path)), SIDE, rng, known)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    for name in ("renders", "solids", "other"):
        parser.add_argument(f"--{name}", type=Path, action="append", default=[])
    for name in ("photographs", "masked", "eth80", "split"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--layers", type=lambda text: tuple(map(int, text.split(","))), default=(7,))
    parser.add_argument("--start")
    parser.add_argument("--seconds", type=float, help="as many steps as take about so long, instead of --steps")
    parser.add_argument("--rows", action="store_true")
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    for name, value in {
        "steps": 1000,
        "batch": 48,
        "depth": 4,
        "seeds": 1,
        "seed": 0,
        "repeats": 2,
        "processes": 4,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args()


if __name__ == "__main__":
    main()

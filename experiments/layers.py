r"""What would other layers of `mini`, or several together, be worth to a sphere? The backbone itself gives its last.

    spherecorr render renders --split trn --count 7000 --pairs 500 --size 448 --backgrounds photos
    spherecorr render renders --split val --count 280 --pairs 40 --size 448 --backgrounds photos
    python experiments/layers.py renders --features data/features/layers --layers 7 --layers 5,7 --layers 3,7 \
        --layers 3,5,7

For every list of layers a mapper of the ablation's base shape is trained with Muon, on the same crops and for the same
steps. The tokens of all layers are stored once; each layer is scaled to the deviation of the last one. Prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from ablation import BASE_SPHERE, BASE_TRAINING, BASE_WEIGHTS, MUON
from held_out import HeldOut, compare_directions, open_split
from torch import Tensor

from spherecorr.backbones import load_backbone
from spherecorr.backbones.vit import VitBackbone
from spherecorr.cli.base import show_progress, show_steps
from spherecorr.data.spair import SPair71k
from spherecorr.evaluation.tables import Table, percent
from spherecorr.extraction import extract
from spherecorr.features import FeatureMap, SphereMap
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.settings import SphereSettings
from spherecorr.store_settings import StoreSettings
from spherecorr.training.batches import Batch, StoredCrops
from spherecorr.training.fit import fit
from spherecorr.training.settings import TrainSettings


class SeveralLayers(VitBackbone):
    """A backbone that gives the tokens of several blocks, one after the other."""

    def __init__(self, name: str, layers: tuple[int, ...], device: str):
        base = load_backbone(name, device=device)
        super().__init__(base.model, f"{name}, layers {layers}", device=device)
        self.layers, self.source = layers, replace(self.source, dim=len(layers) * self.source.dim)

    @torch.no_grad()
    def extract(self, inputs: np.ndarray) -> Tensor:
        """See `Backbone`: `[B, layers * D, H, W]`."""
        maps = self.model.forward_intermediates(self.pixels(inputs), indices=list(self.layers), intermediates_only=True)
        return torch.cat(maps, dim=1)


class SomeChannels(StoredCrops):
    """Stored crops of which some channels are taken, each with a factor."""

    def __init__(self, *arguments, channels: Tensor, factors: Tensor):
        super().__init__(*arguments)
        self.channels, self.factors, self.feature_dim = channels, factors, len(channels)

    def batch(self, images: Tensor, seeds: Tensor) -> Batch:
        """See `StoredCrops`."""
        batch = super().batch(images, seeds)
        return replace(batch, features=batch.features[..., self.channels] * self.factors)


def sphere_maps(held: HeldOut, mapper: SphereMapper, channels: Tensor, factors: Tensor) -> dict[str, SphereMap]:
    """The sphere map of every held-out image by these channels."""

    def taken(whole: FeatureMap) -> FeatureMap:
        features = whole.features.float()[channels] * factors[:, None, None]
        return FeatureMap(features, whole.framing, mapper.settings.source)

    return {key: mapper.sphere_map(taken(held.features[key])) for key in held.images}


def parse() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("renders", type=Path, help="folder of `spherecorr render`; `trn` is learned, `val` scored")
    parser.add_argument("--layers", action="append", required=True, metavar="A,B", help="counted from 0; repeated")
    parser.add_argument("--features", type=Path, required=True, help="folder of the stores: 0.9 MB a picture, 3 layers")
    parser.add_argument("--backbone", default="mini", help="(default: %(default)s)")
    parser.add_argument(
        "--every", type=int, default=2, help="learn from every so many-th render (default: %(default)s)"
    )
    parser.add_argument("--limit", type=int, default=140, help="pairs whose images are scored (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=400, help="(default: %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="(default: 0)")
    return parser.parse_args()


def main() -> None:
    """Store the layers, train and score each list of them, and print the table."""
    options = parse()
    lists = [tuple(map(int, text.split(","))) for text in options.layers]
    layers = tuple(sorted({layer for chosen in lists for layer in chosen}))
    backbone = SeveralLayers(options.backbone, layers, "cpu")
    width, resolution = backbone.source.dim // len(layers), 448
    records = SPair71k(options.renders).images("trn")[:: options.every]
    settings = StoreSettings(backbone.source, resolution, crop="square", smallest_crop=0.6, labels=True)
    store = extract(records, backbone, settings, options.features / "trn", progress=partial(show_progress, "features"))
    held = open_split(options.renders, "val", backbone, resolution, options.features, options.limit)
    spread = torch.from_numpy(store.features[:: len(store)].astype(np.float32)).unflatten(1, (len(layers), width))
    deviation = spread.square().mean(dim=(0, 2)).sqrt()
    rows = []
    for chosen in lists:
        places = torch.tensor([layers.index(layer) for layer in chosen])
        channels = (places[:, None] * width + torch.arange(width)).flatten()
        factors = (deviation[-1] / deviation[places]).repeat_interleave(width)
        data = SomeChannels(store, records, channels=channels, factors=factors)
        source = replace(backbone.source, dim=len(channels))
        shape = SphereSettings(len(channels), source=source, resolution=resolution, **BASE_SPHERE)
        for seed in options.seeds:
            begun = time.perf_counter()
            training = {**BASE_TRAINING, **MUON, "steps": options.steps, "seed": seed}
            mapper = fit(data, TrainSettings(shape, BASE_WEIGHTS, **training), device="cpu", on_step=show_steps())
            seconds = time.perf_counter() - begun
            found = compare_directions(held.images.values(), sphere_maps(held, mapper, channels, factors)).figures()
            sides = (percent(found[name]) for name in ("wrong_side", "wrong_end"))
            rows.append(
                [", ".join(map(str, chosen)), str(seed), f"{found['median_angle']:.1f}", *sides, f"{seconds:.0f}"]
            )
            print(rows[-1], flush=True)
    columns = ("layers", "seed", "median angle", "wrong side", "wrong end", "seconds")
    print("\n" + Table(f"Degrees and percent, {options.steps} steps", columns, rows).markdown())


if __name__ == "__main__":
    main()

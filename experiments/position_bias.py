"""From how many pictures can a position bias be estimated?

    python experiments/position_bias.py photos --backbone mini --backbone local-dir:vit_tiny_patch16_224

Every other photograph below the folder, at most `--limit` of all, gives the bias to compare with. Between the others
cells are matched without it, and without the bias of some of the app's example pictures, or of these others: how often
do both matches lie within a tenth of the picture of each other?
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import spherecorr as sc
from spherecorr.backbones.debiasing import PositionBias, estimate_position_bias
from spherecorr.features import FeatureMap
from spherecorr.images import load_image
from spherecorr.shipped import shipped_folder

EVERY = 7  # cells of a picture
NEAR = 0.1  # of the picture's longer side


def main() -> None:
    """Print a line for each backbone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder with folders of photographs")
    parser.add_argument("--backbone", action="append", required=True)
    parser.add_argument("--resolution", type=int, default=224)
    parser.add_argument("--limit", type=int, default=80)
    options = parser.parse_args()
    folders = sorted(path for path in options.photos.iterdir() if path.is_dir() and path.name != "masks")
    photos = [path for folder in folders for path in sorted(folder.glob("*.jpg")) + sorted(folder.glob("*.JPEG"))]
    photos = [photos[i] for i in np.linspace(0, len(photos), options.limit, endpoint=False).astype(int)]
    examples = sorted(shipped_folder("examples").glob("*-[ab].jpg"))
    for name in options.backbone:
        backbone = sc.load_backbone(name, device="cpu")
        framed = {"resolution": options.resolution, "framing": "pad"}
        maps, own = ([backbone(load_image(path), **framed) for path in paths] for paths in (photos, examples))
        tested = maps[1::2]
        pairs = list(zip(tested[::2], tested[1::2], strict=False))
        expected = matches(pairs, estimate_position_bias(maps[::2]))
        found = {"raw": matches(pairs, None)}
        counts = (2, 4, 8, 12)
        found |= {f"{count} examples": matches(pairs, estimate_position_bias(own[:count])) for count in counts}
        found["others"] = matches(pairs, estimate_position_bias(tested))
        shares = (f"{key} {100 * np.mean(apart(one, expected) < NEAR):.0f}" for key, one in found.items())
        print(f"{name}: {len(pairs)} pairs, {len(maps[::2])} photographs; % of {', '.join(shares)}")


def matches(pairs: list[tuple[FeatureMap, FeatureMap]], bias: PositionBias | None) -> np.ndarray:
    """Matches of every `EVERY`th cell of the sources, in longer sides of their targets."""
    found = []
    for source, target in pairs:
        points = source.framing.to_pixel(np.argwhere(source.framing.content_cells())[::EVERY, ::-1])
        both = (source, target) if bias is None else (bias.remove(source), bias.remove(target))
        found.append(sc.match(*both, points).raw.xy[:, 0] / max(target.framing.image_size))
    return np.concatenate(found)


def apart(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distances of matches."""
    return np.linalg.norm(first - second, axis=1)


if __name__ == "__main__":
    main()

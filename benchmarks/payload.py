r"""How many best matches the page's int16 features share with the full ones, at 60 x 60 cells of 768 channels.

    python benchmarks/payload.py --backbone local-dir:vit_tiny_patch16_224 --photos photos

The 768 channels are four blocks of a pretrained ViT-Tiny at 960 px, so that they vary as real features do. `--photos`
has a folder for each kind; the first two photographs of each are a pair. Also what 8 bits would share, plain, around
the mean, and turned by a random rotation, and the size of each.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import timm
import torch
from torch import Tensor
from torch.nn.functional import normalize

from spherecorr.images import load_image

BLOCKS, SIDE, SUFFIXES = (5, 7, 9, 11), 960, (".jpg", ".jpeg", ".png")


def features(model: torch.nn.Module, path: Path) -> Tensor:
    """Unit vectors `[768, 3600]` of a photograph."""
    pixels = np.array(load_image(path).resize((SIDE, SIDE)), dtype=np.float32) / 127.5 - 1
    with torch.inference_mode():
        blocks = model.forward_intermediates(
            torch.from_numpy(pixels).permute(2, 0, 1)[None],
            indices=list(BLOCKS), norm=False, output_fmt="NCHW", intermediates_only=True,
        )  # fmt: skip
    return torch.cat([normalize(block[0].flatten(1), dim=0) for block in blocks]) / len(BLOCKS) ** 0.5


def rounded(vectors: Tensor, bits: int) -> Tensor:
    """Each vector in steps of its largest value's share, as `ui/payload.py` has them."""
    step = vectors.abs().amax(0) / (2 ** (bits - 1) - 1)
    return (vectors / step).round() * step


def main() -> None:
    """Round, match, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=20)
    options = parser.parse_args()
    model = timm.create_model(options.backbone, pretrained=True, dynamic_img_size=True, num_classes=0).eval()
    rotation = torch.linalg.qr(torch.randn(768, 768, generator=torch.Generator().manual_seed(0)))[0]
    ways: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "int16": lambda vectors, mean: rounded(vectors, 16),
        "float16": lambda vectors, mean: vectors.half().float(),
        "int8": lambda vectors, mean: rounded(vectors, 8),
        "int8 around the mean": lambda vectors, mean: rounded(vectors - mean, 8) + mean,
        "int8 around the mean, turned": lambda vectors, mean: (
            rotation.T @ rounded(rotation @ (vectors - mean), 8) + mean
        ),
    }
    shares: dict[str, list[float]] = {name: [] for name in ways}
    for pair in islice(pairs(options.photos), options.pairs):
        source, target = (features(model, path) for path in pair)
        best, mean = (source.T @ target).argmax(1), (source.mean(1) + target.mean(1))[:, None] / 2
        for name, way in ways.items():
            found = (way(source, mean).T @ way(target, mean)).argmax(1)
            shares[name].append(float((found == best).float().mean()))
    for name, values in shares.items():
        megabytes = 3600 * 768 * (1 if name.startswith("int8") else 2) / 1e6
        share, worst = 100 * np.mean(values), 100 * min(values)
        print(f"{name:30} {share:6.2f} % of best matches (worst pair {worst:.2f}), {megabytes:.1f} MB an image")
    print(f"{len(shares['int16'])} pairs of photographs")


def pairs(folder: Path):
    """The first two photographs of each kind."""
    for kind in sorted(path for path in folder.iterdir() if path.is_dir()):
        found = sorted(path for path in kind.iterdir() if path.suffix.lower() in SUFFIXES)
        if len(found) > 1:
            yield found[:2]


if __name__ == "__main__":
    main()

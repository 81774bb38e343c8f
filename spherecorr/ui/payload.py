"""Images as the page's script matches them: two binary files each, decoded by `page/payload.js`.

A file is the length of its header as uint32, the header as JSON, zeros up to a multiple of 4, then arrays one after the
other, little-endian. Features are int16 with a scale for each cell: over 60 x 60 cells of 768 channels 99.9 % of best
matches are those of the full features, where 8 bits reach 98.8 at best (benchmarks/payload.py).
"""

from __future__ import annotations

import json

import numpy as np
import torch

from spherecorr.geometry import Framing
from spherecorr.matching.similarity import ImageFeatures

STEPS = 2**15 - 1


def features_file(image: ImageFeatures) -> bytes:
    """The features whose dot product is the cosine similarity, the mean over the parts of several.

    Arrays: `scale` float32 `[H * W]`, `values` int16 `[H * W, D]`; a cell's vector is its values times its scale.
    """
    parts = len(image.features.sources)
    vectors = (image.features.unit.T / parts**0.5).cpu().numpy()
    scale = np.abs(vectors).max(axis=1) / STEPS
    values = np.round(vectors / np.maximum(scale, 1e-30)[:, None]).astype("<i2")
    header = {"framing": framing_of(image.framing), "channels": vectors.shape[1]}
    return _file(header, scale.astype("<f4"), values)


def surface_file(image: ImageFeatures, subject: np.ndarray) -> bytes:
    """Where cells lie on the surface, and which are the object's.

    Arrays: `points` float32 `[H * W, dim]` if there is a sphere map; `probability` float32 `[H * W]`, of being the
    object's, if it has one; `content` and `subject` uint8 `[H * W]`.

    Args:
        image: with its sphere map, if there is one.
        subject: boolean `[H, W]`, the object's cells.
    """
    sphere = image.sphere
    header = {"dim": 0, "probability": False}
    arrays = []
    if sphere is not None:
        header = {"dim": len(sphere.points), "probability": sphere.foreground is not None}
        arrays += [_floats(sphere.points.flatten(1).T)]
        arrays += [_floats(sphere.foreground.flatten())] if sphere.foreground is not None else []
    cells = [image.framing.content_cells(), subject]
    return _file(header, *arrays, *(mask.reshape(-1).astype("u1") for mask in cells))


def framing_of(framing: Framing) -> dict:
    """A framing for the script, which does the arithmetic of `Framing.to_cell` and `to_pixel`."""
    first, last = framing.to_cell((0, 0)), framing.to_cell(framing.image_size)
    return {
        "size": framing.image_size,
        "grid": framing.grid,
        "patch": framing.patch,
        "scale": framing.scale,
        "offset": framing.offset,
        "first": first.tolist(),
        "last": last.tolist(),
    }


def _floats(values: torch.Tensor) -> np.ndarray:
    return values.detach().float().cpu().numpy().astype("<f4")


def _file(header: dict, *arrays: np.ndarray) -> bytes:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    return b"".join(
        [np.uint32(len(text)).astype("<u4").tobytes(), text, *(np.ascontiguousarray(a).tobytes() for a in arrays)]
    )

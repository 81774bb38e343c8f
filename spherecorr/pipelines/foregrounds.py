"""Photographs without a mask get a proposed one, in a folder where a person can look at it and correct it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from spherecorr.backbones import Backbone
from spherecorr.data.records import ImageRecord
from spherecorr.files import write_atomic
from spherecorr.pipelines.common import Progress, silent
from spherecorr.proposals import propose_mask
from spherecorr.sphere.mapper import SphereMapper


def propose_masks(
    records: Sequence[ImageRecord],
    folder: Path,
    backbone: Backbone,
    sphere: SphereMapper | None = None,
    progress: Progress = silent,
) -> list[ImageRecord]:
    """Give every photograph a mask: its own, one that lies in the folder already, or a proposed one.

    Args:
        records: of the photographs.
        folder: gets `<category>/<stem>.png`, 255 on the object.
        backbone: whose features tell the object.
        sphere: asked first, if it knows a foreground; of this backbone.
        progress: shows how many photographs are done.

    Returns:
        The records, each with its mask.
    """
    wanted = [record for record in records if record.mask is None]
    for record in progress("foregrounds", wanted):
        path = folder / f"{record.id}.png"
        if path.is_file():
            continue
        picture = record.load_picture()
        features = backbone(picture, resolution=sphere.settings.resolution if sphere else None)
        mask = propose_mask(picture, features, sphere)
        encoded = BytesIO()
        Image.fromarray(mask.astype(np.uint8) * 255).save(encoded, "PNG")
        write_atomic(path, encoded.getvalue())
    return [replace(r, mask=r.mask or folder / f"{r.id}.png") for r in records]

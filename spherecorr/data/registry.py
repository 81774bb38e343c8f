"""The datasets that can be read: names, layouts, licences, published sizes. Data, no code but the door."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from spherecorr.data.records import DatasetError


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a dataset before it is opened.

    Attributes:
        name: on the command line.
        title: in texts.
        reader: module and class.
        layout: what the folder holds.
        licence: of annotations and images.
        pairs: split -> published number of pairs.
        images: published number of images over all splits; None where it is not checked.
    """

    name: str
    title: str
    reader: tuple[str, str]
    layout: str
    licence: str
    pairs: dict[str, int] = field(default_factory=dict)
    images: int | None = None


DATASETS = {
    info.name: info
    for info in (
        DatasetInfo(
            "spair",
            "SPair-71k",
            ("spair", "SPair71k"),
            "as downloaded: `ImageAnnotation`, `PairAnnotation`, `Layout`, ...",
            "terms of PASCAL VOC and Flickr",
            pairs={"trn": 53_340, "val": 5_384, "test": 12_234},
            images=1_800,
        ),
        DatasetInfo(
            "spair-u",
            "SPair-U",
            ("spair", "SPairU"),
            "SPair-71k with `ExtraImageAnnotation`, `ExtraPairAnnotation` beside",
            "see its authors' page",
        ),
        DatasetInfo(
            "renders",
            "renders of `spherecorr render`",
            ("spair", "SPair71k"),
            "as written",
            "yours",
        ),
        DatasetInfo(
            "ap10k",
            "AP-10K",
            ("ap10k", "AP10K"),
            "`annotations/ap10k-*-split1.json`, `data`",
            "CC BY 4.0",
        ),
        DatasetInfo(
            "awa-pose",
            "AwA-Pose",
            ("awa_pose", "AwaPose"),
            "`Annotations` of AwA-Pose, `JPEGImages` of AwA2",
            "MIT; images: see AwA2",
            images=10_058,  # with one animal that has a box
        ),
        DatasetInfo(
            "pf-pascal",
            "PF-PASCAL",
            ("proposal_flow", "PFPascal"),
            "`image_pairs/{train,val,test}_pairs.csv`, pictures where they point",
            "see its authors' page",
            pairs={"trn": 2_940, "val": 308, "test": 299},
        ),
        DatasetInfo(
            "pf-willow",
            "PF-WILLOW",
            ("proposal_flow", "PFWillow"),
            "`test_pairs_pf.csv`, pictures where it points",
            "see its authors' page",
        ),
        DatasetInfo(
            "freiburg-cars",
            "Freiburg static cars",
            ("freiburg_cars", "FreiburgCars"),
            "`images`, `annotations`, your own `instance_masks`",
            "see its authors' page",
        ),
        DatasetInfo(
            "eth80",
            "ETH-80",
            ("folder", "Eth80"),
            "`car/car1-090-045.jpg`, `car/masks/car1-090-045.png`, ...",
            "academic use, cite",
        ),
        DatasetInfo(
            "folder",
            "your own pictures",
            ("folder", "Folder"),
            "`viewpoints.csv` with image, category, azimuth or azimuth_bin, mask",
            "yours",
        ),
    )
}


def open_dataset(name: str, root: str | Path) -> Any:
    """Open a dataset by its name.

    Args:
        name: a key of `DATASETS`.
        root: its folder.

    Returns:
        A reader with `title`, `categories`, `splits`, `images(split)` and, where there are pairs, `pairs(split)`.

    Raises:
        DatasetError: the name is unknown, or the folder has another layout.
    """
    if name not in DATASETS:
        raise DatasetError(f"There is no dataset '{name}'; there are {', '.join(DATASETS)}.")
    if not Path(root).is_dir():
        raise DatasetError(f"There is no folder '{root}'.")
    module, reader = DATASETS[name].reader
    return getattr(import_module(f"spherecorr.data.{module}"), reader)(root)

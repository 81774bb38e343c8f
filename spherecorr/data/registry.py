"""The datasets that can be read: names, layouts, licences, published sizes, addresses. Data, and what opens them."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from spherecorr.data.records import DatasetError


@dataclass(frozen=True)
class Download:
    """A file of a dataset.

    Attributes:
        url: as the dataset's authors or widely used code give it; none of them is asked by the tests.
        inside: folder of the archive whose content is taken, and the rest left; all of it where empty.
        to: folder under the dataset's that gets the archive's content, or the file itself if it is none.
        megabytes: about how many, in millions of bytes; None where it is not known.
    """

    url: str
    inside: str = ""
    to: str = ""
    megabytes: float | None = None


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
        masks: whether masks of another folder can be given.
        downloads: the files that make up the dataset; none where they cannot be fetched by a program.
        how: a sentence for whoever fetches it.
    """

    name: str
    title: str
    reader: tuple[str, str]
    layout: str
    licence: str
    pairs: dict[str, int] = field(default_factory=dict)
    images: int | None = None
    masks: bool = False
    downloads: tuple[Download, ...] = ()
    how: str = ""


_WILLOW = "https://www.di.ens.fr/willow/research"
_NCNET = "https://raw.githubusercontent.com/ignacio-rocco/ncnet/8f6839c6738d6c51a06c78810ecbbfe21dcd87ac"
_AWA_POSE = "5e39d6ec5a9a92aa02e7ea1997f5be63674832dc"  # commit of prinik/AwA-Pose

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
            masks=True,
            downloads=(
                Download(
                    "https://cvlab.postech.ac.kr/research/SPair-71k/data/SPair-71k.tar.gz",
                    inside="SPair-71k",
                    megabytes=227,
                ),
            ),
            how="Its file names hold colons: it wants a filesystem of Linux or macOS.",
        ),
        DatasetInfo(
            "spair-u",
            "SPair-U",
            ("spair", "SPairU"),
            "SPair-71k with `ExtraImageAnnotation`, `ExtraPairAnnotation` beside",
            "see its authors' page",
            masks=True,
            how="Follow the link in the README of Jamais Vu, and unpack it into SPair-71k's folder.",
        ),
        DatasetInfo(
            "renders",
            "renders of `spherecorr render`",
            ("spair", "Renders"),
            "as written",
            "yours",
            masks=True,
            how="Make them: see spherecorr render --help.",
        ),
        DatasetInfo(
            "ap10k",
            "AP-10K",
            ("ap10k", "AP10K"),
            "`annotations/ap10k-*-split1.json`, `data`",
            "CC BY 4.0",
            how="It lies on Google Drive, behind a page to be clicked: follow the link of "
            "https://github.com/AlexTheBad/AP-10K, and unpack it so that annotations and data lie in one folder.",
        ),
        DatasetInfo(
            "awa-pose",
            "AwA-Pose",
            ("awa_pose", "AwaPose"),
            "`Annotations` of AwA-Pose, `JPEGImages` of AwA2",
            "MIT; images: see AwA2",
            images=10_058,  # with one animal that has a box
            downloads=(
                Download(f"https://github.com/prinik/AwA-Pose/archive/{_AWA_POSE}.zip", inside=f"AwA-Pose-{_AWA_POSE}"),
                Download(
                    "https://cvml.ista.ac.at/AwA2/AwA2-data.zip",
                    inside="Animals_with_Attributes2/JPEGImages",
                    to="JPEGImages",
                    megabytes=13_000,
                ),
            ),
        ),
        DatasetInfo(
            "pf-pascal",
            "PF-PASCAL",
            ("proposal_flow", "PFPascal"),
            "`image_pairs/{train,val,test}_pairs.csv`, pictures where they point",
            "see its authors' page",
            pairs={"trn": 2_940, "val": 308, "test": 299},
            downloads=(
                Download(f"{_WILLOW}/proposalflow/dataset/PF-dataset-PASCAL.zip"),
                *(
                    Download(f"{_NCNET}/datasets/pf-pascal/image_pairs/{name}_pairs.csv", to="image_pairs")
                    for name in ("train", "val", "test")
                ),
            ),
            how="The pairs are those of NCNet, whose training and validation lists have no points.",
        ),
        DatasetInfo(
            "pf-willow",
            "PF-WILLOW",
            ("proposal_flow", "PFWillow"),
            "`test_pairs_pf.csv`, pictures where it points",
            "see its authors' page",
            downloads=(
                Download(f"{_WILLOW}/proposalflow/dataset/PF-dataset.zip"),
                Download(f"{_WILLOW}/cnngeometric/other_resources/test_pairs_pf.csv"),
            ),
        ),
        DatasetInfo(
            "freiburg-cars",
            "Freiburg static cars",
            ("freiburg_cars", "FreiburgCars"),
            "`annotations`, the cars' folders beside or in `images`, your own `instance_masks`",
            "see its authors' page",
            masks=True,
            downloads=(
                Download(
                    "https://lmb.informatik.uni-freiburg.de/resources/datasets/FreiburgStaticCars52/"
                    "freiburg_static_cars_52_v1.1.tar.gz",
                    megabytes=4_460,
                ),
            ),
        ),
        DatasetInfo(
            "eth80",
            "ETH-80",
            ("folder", "Eth80"),
            "`car1/car1-090-045.png`, `car1/maps/car1-090-045-map.png`, ...",
            "academic use, cite",
            masks=True,
            downloads=(
                Download("http://datasets.d2.mpi-inf.mpg.de/eth80/eth80-cropped256.tgz", inside="eth80-cropped256"),
            ),
        ),
        DatasetInfo(
            "folder",
            "your own pictures",
            ("folder", "Folder"),
            "`viewpoints.csv` with image, category, azimuth or azimuth_bin, elevation, mask, instance",
            "yours",
            masks=True,
            how="Write viewpoints.csv beside your pictures.",
        ),
    )
}


def open_dataset(name: str, root: str | Path, masks: str | Path | None = None) -> Any:
    """Open a dataset by its name.

    Args:
        name: a key of `DATASETS`.
        root: its folder.
        masks: folder of masks `<category>/<stem>.png` that count instead of the dataset's own.

    Returns:
        A reader with `title`, `categories`, `splits`, `images(split)` and, where there are pairs, `pairs(split)`.

    Raises:
        DatasetError: the name is unknown, a folder is missing or has another layout, or the dataset takes no masks.
    """
    if name not in DATASETS:
        raise DatasetError(f"There is no dataset '{name}'; there are {', '.join(DATASETS)}.")
    for folder in (root, masks):
        if folder is not None and not Path(folder).is_dir():
            raise DatasetError(f"There is no folder '{folder}'.")
    info = DATASETS[name]
    if masks is not None and not info.masks:
        raise DatasetError(f"{info.title} is read without masks.")
    module, reader = info.reader
    options = {"masks": masks} if info.masks else {}
    return getattr(import_module(f"spherecorr.data.{module}"), reader)(root, **options)

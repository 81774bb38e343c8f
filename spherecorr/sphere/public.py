"""Sphere mappers that others have trained and published: data, and where they are kept. Imports no torch.

All of them were trained with the paper's public code: on DINOv2 ViT-B/14, on patch tokens of the last block before the
final norm, with the position embeddings of the original release. None of them is part of spherecorr.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spherecorr.identity import FeatureSource

CONFIG = "config.json"
"""Written last: where it is, the checkpoint is whole."""
_ASSUMED = (
    "the code that trained it is CC BY-NC-SA 4.0, so assume that it is for non-commercial use, with attribution and "
    "under the same terms"
)


@dataclass(frozen=True)
class PublicSphere:
    """A published mapper.

    Attributes:
        name: for `load_sphere` and `--sphere`.
        title: what it is, and by whom.
        page: where its authors describe it.
        url: of its state dict; None: no program can fetch it, see `how`.
        terms: of use, in a sentence without its full stop.
        source: the features it was trained on.
        resolution: long side in input pixels at which its authors use it, images padded to a square.
        categories: what it was trained on; () where that is not published.
        megabytes: about how large the file is; None: not known.
        sha256: of the file, in hexadecimal digits; None: not known, so that the one found is recorded.
        how: where a person finds a file that no program can fetch.
    """

    name: str
    title: str
    page: str
    url: str | None
    terms: str
    source: FeatureSource = FeatureSource(  # noqa: RUF009 - frozen
        "dinov2-b", dim=768, patch=14, layer=11, norm=False, position_embedding="dinov2"
    )
    resolution: int = 840
    categories: tuple[str, ...] = ()
    megabytes: float | None = None
    sha256: str | None = None
    how: str = ""


# The categories of SPair-71k, by the dataset's own names.
_SPAIR = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dog", "horse"),
    *("motorbike", "person", "pottedplant", "sheep", "train", "tvmonitor"),
)
_DRIVE = "https://drive.google.com/file/d/1OmjT7lubOBPtIllWVTFCfEszDlfCJ_j_/view"

PUBLIC_SPHERES: dict[str, PublicSphere] = {
    sphere.name: sphere
    for sphere in (
        PublicSphere(
            "diysc-spair",
            "mapper of DIY-SC, trained on SPair-71k with the paper's code (Duenkel et al. 2025)",
            "https://github.com/odunkel/DIY-SC",
            "https://github.com/odunkel/DIY-SC/raw/HEAD/ckpts/sph_map/spair71k/ckpts/200.pth",
            f"The repository is CC0-1.0, but {_ASSUMED}",
            categories=_SPAIR,
        ),
        PublicSphere(
            "gsa",
            "mapper of GSA, trained on renders of single categories with the paper's code",
            "https://github.com/BGU-CS-VIL/GSA",
            "https://github.com/BGU-CS-VIL/GSA/raw/HEAD/sphere_extractor/checkpoints/sphere_mapper_gsa.pth",
            "CC BY-NC-SA 4.0: for non-commercial use, with attribution and under the same terms",
            # Its authors read it at 518 pixels, though with tokens after the norm, on which it was not trained.
            resolution=518,
        ),
        PublicSphere(
            "jamaisvu",
            "the paper's own mapper on SPair-71k, as linked by Jamais Vu (Mariotti et al. 2025)",
            "https://github.com/VICO-UoE/JamaisVu",
            None,
            f"No licence is stated for this file; {_ASSUMED}",
            categories=_SPAIR,
            how=f"It lies on Google Drive, which programs cannot fetch from reliably: save it from {_DRIVE} by hand",
        ),
    )
}


def public_folder(name: str) -> Path:
    """Where a published mapper is kept once it is imported: beside the Hub's cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / "spherecorr--spheres" / name


def downloaded_spheres() -> tuple[str, ...]:
    """Names of the published mappers that are on this machine."""
    return tuple(name for name in PUBLIC_SPHERES if (public_folder(name) / CONFIG).is_file())

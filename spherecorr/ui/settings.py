"""What the app offers, as settings of whoever starts it."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from spherecorr.backbones.registry import BACKBONES
from spherecorr.pipelines.recipes import TEACH, TEACH_FROM_NOTHING, TeachRecipe
from spherecorr.shipped import shipped_folder
from spherecorr.sphere.public import PUBLIC_SPHERES

# Few photographs are enough to begin with, a quarter is asked, and the curve of the losses has points.
TEACH_HERE = replace(TEACH, fewest=2, held_out=0.25, show_every=20)
TEACH_HERE_FROM_NOTHING = replace(TEACH_FROM_NOTHING, fewest=2, held_out=0.25, show_every=20)


def _default_teach_folder() -> Path:
    from huggingface_hub import constants

    on_a_space = "SPACE_ID" in os.environ
    return Path(tempfile.gettempdir() if on_a_space else constants.HF_HUB_CACHE) / "spherecorr--teach"


@dataclass(frozen=True)
class AppSettings:
    """What the app offers.

    Attributes:
        backbones: names for the menu; the first is chosen at the start.
        spheres: sphere checkpoints to offer: names, folders or Hub ids; the first is chosen at the start. By default
            mini and those of `sphere.public`, of which the menu shows what is on this machine.
        examples: folder of the example pairs.
        device: for the backbones, "auto" takes a GPU if there is one.
        asic: flat atlases for the panel Methods, a folder for each category, see `pipelines.compare`.
        deil: a sphere learned from single images, for that panel; a checkpoint or a run.
        data: names (see `data.registry`) and folders of datasets whose pairs the panel "Ground truth" offers.
        downloads: whether visitors may download what is missing.
        teach: offer the panel "Teach"; by default not on a Hugging Face Space.
        teach_folder: where visitors' photographs and the spheres that these taught are kept for some days; by default
            beside the Hub's cache, on a Space a temporary folder.
        teach_recipe: how photographs teach from a sphere.
        teach_from_nothing: and without one.
    """

    backbones: tuple[str, ...] = tuple(BACKBONES)
    spheres: tuple[str, ...] = ("mini", *PUBLIC_SPHERES)
    examples: Path = field(default_factory=lambda: shipped_folder("examples"))
    device: str = "auto"
    asic: Path | None = None
    deil: Path | None = None
    data: tuple[tuple[str, Path], ...] = ()
    downloads: bool = True
    teach: bool = field(default_factory=lambda: "SPACE_ID" not in os.environ)
    teach_folder: Path = field(default_factory=_default_teach_folder)
    teach_recipe: TeachRecipe = TEACH_HERE
    teach_from_nothing: TeachRecipe = TEACH_HERE_FROM_NOTHING

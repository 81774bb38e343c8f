"""What several pipelines share: progress, the choice of models, versions, and the list of what was left out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Protocol, TypeVar

from spherecorr.backbones import Backbone, load_backbone
from spherecorr.backbones.registry import parts_of
from spherecorr.errors import SpherecorrError
from spherecorr.evaluation.evaluate import LEFT_OUT
from spherecorr.files import write_atomic
from spherecorr.sphere.checkpoint import CONFIG, load_sphere
from spherecorr.sphere.mapper import SphereMapper

Item = TypeVar("Item")


class Progress(Protocol):
    """Shows how far a loop is."""

    def __call__(self, title: str, items: Sequence[Item], /) -> Iterable[Item]:
        """Yield the items in order; the title says what is done with them."""
        ...


class Notify(Protocol):
    """Is told in a sentence what will take long or much room, before it begins."""

    def __call__(self, sentence: str, /) -> None:
        """Show the sentence, or not."""
        ...


def silent(title: str, items: Sequence[Item]) -> Iterable[Item]:
    """A `Progress` that shows nothing."""
    return items


def ignore(sentence: str) -> None:
    """A `Notify` that shows nothing."""


def load_models(
    backbone_name: str | None, sphere_name: str | None, device: str = "auto"
) -> tuple[Backbone, SphereMapper | None]:
    """Load a backbone and its sphere mapper, each chosen by the other where only one is named.

    Args:
        backbone_name: see `load_backbone`; None takes what the sphere was trained on, else mini.
        sphere_name: see `load_sphere`, or "none"; None takes mini's for the backbone mini, else none.
        device: of both.
    """
    sphere = load_sphere_of(backbone_name, sphere_name, device)
    trained_on = sphere.settings.source if sphere else None
    # The mapper knows the layer and tokens, too; a backbone of another name is refused when the mapper is used.
    name = backbone_name or (trained_on.backbone if trained_on else "mini")
    return load_backbone(name, sphere=trained_on, device=device), sphere


def load_sphere_of(backbone_name: str | None, sphere_name: str | None, device: str = "auto") -> SphereMapper | None:
    """The mapper that is named; without a name mini's where a sphere reads mini's features, else None."""
    if sphere_name is None:
        sphere_name = "mini" if parts_of(backbone_name or "mini")[0] == "mini" else "none"
    return None if sphere_name == "none" else load_sphere(sphere_name, device=device)


def sphere_named(sphere_name: str | None, sphere: SphereMapper | None) -> str:
    """What results say of the sphere that `load_sphere_of` found."""
    return sphere_name or ("mini" if sphere else "none")


def versions() -> dict[str, str]:
    """Versions of what computes the result."""
    return {"python": python_version(), **{name: version(name) for name in ("spherecorr", "torch", "timm", "numpy")}}


def check_free(out: Path, recipe: str) -> None:
    """Refuse a folder whose checkpoint or photographs are not those of an earlier run of this recipe.

    Raises:
        SpherecorrError: the folder holds something else, which a checkpoint would overwrite.
    """
    config = out / CONFIG
    try:
        foreign = config.is_file() and json.loads(config.read_text(encoding="utf-8")).get("recipe") != recipe
    except (ValueError, AttributeError):
        foreign = True
    if foreign or (out / "viewpoints.csv").exists():
        raise SpherecorrError(f"'{out}' holds something else; name a new folder for the sphere.")


def write_left_out(folder: str | Path, broken: Sequence[str]) -> None:
    """Write one line for everything that could not be used."""
    write_atomic(Path(folder) / LEFT_OUT, "".join(f"{sentence}\n" for sentence in broken).encode())

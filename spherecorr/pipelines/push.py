"""A sphere checkpoint becomes a repository of the Hugging Face Hub, from which `load_sphere("owner/name")` loads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spherecorr.backbones.registry import Spec, find
from spherecorr.hub import push_files
from spherecorr.pipelines.cards import CARD, card_header, sphere_card
from spherecorr.sphere.checkpoint import CONFIG, DOMAIN, WEIGHTS, CheckpointError, load_sphere
from spherecorr.sphere.settings import SphereSettings

HUB_LICENCES = {
    "Apache-2.0": "apache-2.0",
    "CC0-1.0": "cc0-1.0",
    "CreativeML OpenRAIL-M": "creativeml-openrail-m",
}
"""Licences of backbones by the names that the Hub has for them; others are "other" there."""


def push_sphere(folder: str | Path, repository: str, *, private: bool = False, licence: str | None = None) -> str:
    """Upload a sphere checkpoint with its card; the folder stays as it is.

    A checkpoint without a card gets one, and a card without a YAML header gets the fields by which the Hub lists it.

    Args:
        folder: with `config.json` and `model.safetensors`.
        repository: `owner/name`; made if it is missing.
        private: make the repository private.
        licence: of the mapper, by the Hub's name for it. None: as the backbone's weights.

    Returns:
        Address of the repository's page.

    Raises:
        CheckpointError: the folder is no whole sphere checkpoint, or nobody knows its licence.
        HubError: as `hub.push_files`.
    """
    folder = Path(folder).expanduser()
    settings = _check(folder)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    fields = header_fields(settings, {"license": licence} if licence else _licence(settings, config))
    files = {name: (folder / name).read_bytes() for name in (CONFIG, WEIGHTS, DOMAIN) if (folder / name).is_file()}
    written = (folder / CARD).read_text(encoding="utf-8") if (folder / CARD).is_file() else None
    card = written or sphere_card(repository.rpartition("/")[2], settings, config)
    header = "" if card.startswith("---\n") else card_header(fields)
    files[CARD] = (header + card).encode()
    return push_files(repository, files, f"Sphere mapper {folder.resolve().name}", private=private)


def header_fields(settings: SphereSettings, licence: Mapping[str, str]) -> dict[str, str | list[str]]:
    """What the Hub is told of a sphere: licence, backbone and what it is for."""
    base = {"base_model": repository} if (repository := _repository(settings)) else {}
    tags = ["semantic-correspondence", "spherical-maps", "safetensors"]
    return {**licence, **base, "library_name": "spherecorr", "tags": tags}


def _check(folder: Path) -> SphereSettings:
    """Settings of a checkpoint that loads."""
    if not (folder / CONFIG).is_file() and (folder / "best" / CONFIG).is_file():
        raise CheckpointError(f"'{folder}' is a training run; push its checkpoint '{folder / 'best'}'.")
    if not folder.is_dir():
        raise CheckpointError(f"There is no folder '{folder}'; name the folder of a sphere checkpoint.")
    return load_sphere(folder, device="cpu").settings


def _licence(settings: SphereSettings, config: Mapping[str, Any]) -> dict[str, str]:
    """The licence of the backbone's weights, as a card says it."""
    if "imported_from" in config:
        raise CheckpointError("Others trained this mapper, and its terms are theirs; say its licence with --licence.")
    spec = _spec(settings)
    if spec is None:
        raise CheckpointError("Nobody knows the licence of this sphere's backbone; say the sphere's with --licence.")
    if spec.licence in HUB_LICENCES:
        return {"license": HUB_LICENCES[spec.licence]}
    return {"license": "other", "license_name": spec.licence.lower().replace(" ", "-")}


def _spec(settings: SphereSettings) -> Spec | None:
    return find(settings.source.backbone) if settings.source else None


def _repository(settings: SphereSettings) -> str | None:
    """Where the backbone's weights lie on the Hub, if they do."""
    spec = _spec(settings)
    if spec is None:
        name = settings.source.backbone if settings.source else ""
        return name.removeprefix("hf-hub:") if name.startswith("hf-hub:") else None
    return None if spec.repository is None or ":" in spec.repository else spec.repository

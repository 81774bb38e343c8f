"""Where the weights of a backbone lie: shipped, in a folder, or on the Hugging Face Hub. Imports no torch.

A ViT's name leads to a folder in timm's own layout (config.json and model.safetensors) or to a timm id with its file;
other backbones name their files in their spec.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from pathlib import Path

from spherecorr.backbones.registry import BACKBONES, AdapterSpec, HubFiles, Spec, TimmSpec, find, members
from spherecorr.errors import SpherecorrError
from spherecorr.hub import HubError, cached_file, fetch_file
from spherecorr.shipped import shipped_folder

WEIGHTS = "model.safetensors"
CONFIG = "config.json"


class BackboneError(SpherecorrError):
    """A backbone that cannot be loaded or used; the message says why and what to do."""


@dataclass(frozen=True)
class Availability:
    """Whether a backbone's files are on this machine, and what a download means.

    Attributes:
        here: it loads without a download.
        megabytes: about how much is to be downloaded; None if nothing is, or if nobody knows.
        licence: of the weights; None if nobody knows.
        note: one sentence for whoever chooses; may be empty.
        missing: files that are not here, as a path or as `owner/name/file`.
    """

    here: bool
    megabytes: float | None
    licence: str | None
    note: str
    missing: tuple[str, ...]


def availability(name: str) -> Availability:
    """Say whether a backbone's files are here. Asks no network.

    Raises:
        BackboneError: a name that nobody knows.
    """
    spec = find(name)
    if spec is None:
        missing = tuple(_missing(name, None))
        return Availability(not missing, None, _timm_licence(name), "", missing)
    lacking = {member: _missing(member.name, member) for member in members(spec)}
    megabytes = sum(_megabytes(member) for member, files in lacking.items() if files)
    missing = tuple(file for files in lacking.values() for file in files)
    return Availability(not missing, megabytes or None, spec.licence, spec.note, missing)


def weights_available(name: str) -> bool:
    """Whether a backbone loads without a download. Asks no network, and False for a name that nobody knows."""
    try:
        return availability(name).here
    except SpherecorrError:
        return False


def fetch(name: str) -> list[Path]:
    """Files of a backbone, downloaded where they are missing; of a ViT the weights alone.

    Raises:
        BackboneError: an unknown name, a missing or broken folder, no network, a gated or missing repository.
    """
    spec = find(name)
    if spec is None:
        return [locate(name)[1]]
    return [path for member in members(spec) for path in _fetch_member(member)]


def locate(name: str) -> tuple[str, Path]:
    """Find the weights of a ViT, downloading them where they are missing.

    Returns:
        timm's name for the model (`local-dir:...` or a timm id) and the file of its weights.

    Raises:
        BackboneError: as `fetch`; also for a backbone that is no ViT.
    """
    spec = find(name)
    if not (spec is None or isinstance(spec, TimmSpec)):
        raise BackboneError(f"Backbone '{name}' is no ViT of timm.")
    folder = _own_folder(name, spec)
    if folder is not None:
        _check_folder(name, folder)
        return f"local-dir:{folder}", folder / WEIGHTS
    try:
        paths = [path for files in _hub_files(name, spec) for path in fetch_files(files)]
    except HubError as error:
        raise BackboneError(f"{error} A copy on disk loads as 'local-dir:PATH'.") from error
    if name.startswith("hf-hub:"):
        folder = paths[0].parent
        _check_folder(name, folder)
        return f"local-dir:{folder}", paths[-1]
    return (spec.model if spec else name), paths[-1]


def fetch_files(files: HubFiles) -> list[Path]:
    """Paths of files of the Hub, in their order, downloaded where they are missing.

    Raises:
        HubError: see `hub.fetch_file`.
    """
    return [fetch_file(files.repository, filename, files.revision) for filename in files.filenames]


def _fetch_member(spec: Spec) -> list[Path]:
    if isinstance(spec, TimmSpec):
        return [locate(spec.name)[1]]
    try:
        return [path for files in spec.files for path in fetch_files(files)]
    except HubError as error:
        raise BackboneError(f"Backbone '{spec.name}' cannot be loaded: {error}") from error


def _missing(name: str, spec: Spec | None) -> list[str]:
    folder = _own_folder(name, spec)
    if folder is not None:
        return [str(folder / filename) for filename in (CONFIG, WEIGHTS) if not (folder / filename).is_file()]
    return [
        f"{files.repository}/{filename}"
        for files in _hub_files(name, spec)
        for filename in files.filenames
        if cached_file(files.repository, filename, files.revision) is None
    ]


def _own_folder(name: str, spec: Spec | None) -> Path | None:
    if isinstance(spec, TimmSpec) and spec.shipped:
        return shipped_folder("checkpoints") / spec.model
    return Path(name.removeprefix("local-dir:")).expanduser() if name.startswith("local-dir:") else None


def _hub_files(name: str, spec: Spec | None) -> tuple[HubFiles, ...]:
    if spec is not None:
        return spec.files
    if name.startswith("hf-hub:"):
        return (HubFiles(name.removeprefix("hf-hub:"), (CONFIG, WEIGHTS)),)
    return (HubFiles(_timm_repository(name), (WEIGHTS,)),)


def _megabytes(spec: Spec) -> float:
    """About how large the weights are: four bytes a parameter, two in files that say so."""
    if isinstance(spec, AdapterSpec):
        return 0  # `parameters` are its base's; its own are few
    weights = [name for files in spec.files for name in files.filenames if name.endswith(".safetensors")]
    return (2 if weights and all(".fp16." in name for name in weights) else 4) * spec.parameters


def _timm_licence(name: str) -> str | None:
    if name.startswith(("local-dir:", "hf-hub:")):
        return None
    import timm

    config = timm.get_pretrained_cfg(name)
    return config.license if config else None


def _timm_repository(name: str) -> str:
    import timm

    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        raise BackboneError(_unknown(name))
    _check_architecture(name, architecture)
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        tags = [model for model in timm.list_pretrained() if model.startswith(f"{architecture}.")]
        raise BackboneError(f"timm has no weights '{name}', only {', '.join(tags) or 'an untrained model'}.") from error
    if config is None or config.hf_hub_id is None:
        raise BackboneError(f"timm has no weights for '{name}' on the Hugging Face Hub.")
    return config.hf_hub_id


def _unknown(name: str) -> str:
    import timm

    strange = [part for part in name.split("+") if find(part) is None]
    if "+" in name:
        return f"There is no backbone '{name}': '{strange[0]}' is none of those that can be joined ({_names()})."
    near = difflib.get_close_matches(name, [*BACKBONES, *timm.list_models("*vit*", pretrained=True)], cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Known are {_names()}."
    return f"There is no backbone '{name}'. {hint} Any timm ViT, local-dir:PATH and hf-hub:owner/name load as well."


def _names() -> str:
    return ", ".join(BACKBONES)


def _check_architecture(name: str, architecture: str) -> None:
    from timm.models import is_model_in_modules

    if not is_model_in_modules(architecture, ("vision_transformer", "deit", "eva")):
        raise BackboneError(f"Backbone '{name}' is no plain ViT of timm ({architecture}); only those can be used.")


def _check_folder(name: str, folder: Path) -> None:
    for filename in (CONFIG, WEIGHTS):
        if not (folder / filename).is_file():
            raise BackboneError(f"The weights of backbone '{name}' are missing: there is no file {folder / filename}.")
    try:
        architecture = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["architecture"]
    except (ValueError, KeyError, TypeError) as error:
        raise BackboneError(f"{folder / CONFIG} is broken: it does not say which timm architecture it is.") from error
    _check_architecture(name, architecture)

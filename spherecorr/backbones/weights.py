"""Where the weights of a backbone lie: shipped, in a folder, or on the Hugging Face Hub. Imports no torch.

Every name leads to a folder in timm's own layout (config.json and model.safetensors) or to a timm id with its file.
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path

from spherecorr.backbones.registry import BACKBONES, BackboneInfo
from spherecorr.errors import SpherecorrError
from spherecorr.hub import HubError, cached_file, fetch_file
from spherecorr.shipped import shipped_folder

WEIGHTS = "model.safetensors"
CONFIG = "config.json"


class BackboneError(SpherecorrError):
    """A backbone that cannot be loaded or used; the message says why and what to do."""


def find(name: str) -> BackboneInfo | None:
    """The registry's entry of a short name or of a timm id; None for every other backbone."""
    return BACKBONES.get(name) or next((info for info in BACKBONES.values() if info.model == name), None)


def weights_available(name: str) -> bool:
    """Whether a backbone loads without a download. Asks no network, and False for a name that nobody knows."""
    info = find(name)
    try:
        folder = _own_folder(name, info)
        if folder is not None:
            return (folder / WEIGHTS).is_file() and (folder / CONFIG).is_file()
        repository = _repository(name, info)
        needed = (CONFIG, WEIGHTS) if name.startswith("hf-hub:") else (WEIGHTS,)
        return all(cached_file(repository, filename) for filename in needed)
    except SpherecorrError:
        return False


def locate(name: str) -> tuple[str, Path]:
    """Find a backbone's weights, downloading them where they are missing.

    Returns:
        timm's name for the model (`local-dir:...` or a timm id) and the file of its weights.

    Raises:
        BackboneError: an unknown name, a missing or broken folder, no network, a gated or missing repository.
    """
    info = find(name)
    folder = _own_folder(name, info)
    if folder is not None:
        _check_folder(name, folder)
        return f"local-dir:{folder}", folder / WEIGHTS
    repository = _repository(name, info)
    try:
        if name.startswith("hf-hub:"):
            folder = fetch_file(repository, CONFIG).parent
            weights = fetch_file(repository, WEIGHTS)
            _check_folder(name, folder)
            return f"local-dir:{folder}", weights
        return (info.model if info else name), fetch_file(repository, WEIGHTS)
    except HubError as error:
        raise BackboneError(f"{error} A copy on disk loads as 'local-dir:PATH'.") from error


def _own_folder(name: str, info: BackboneInfo | None) -> Path | None:
    if info is not None and info.shipped:
        return shipped_folder("checkpoints") / info.model
    return Path(name.removeprefix("local-dir:")).expanduser() if name.startswith("local-dir:") else None


def _repository(name: str, info: BackboneInfo | None) -> str:
    if info is not None:
        return info.repository
    if name.startswith("hf-hub:"):
        return name.removeprefix("hf-hub:")
    return _timm_repository(name)


def _timm_repository(name: str) -> str:
    import timm

    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        known = [*BACKBONES, *timm.list_models("*vit*", pretrained=True)]
        near = difflib.get_close_matches(name, known, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Known are {', '.join(BACKBONES)}."
        raise BackboneError(
            f"There is no backbone '{name}'. {hint} Any timm ViT, local-dir:PATH and hf-hub:owner/name load as well."
        )
    _check_architecture(name, architecture)
    try:
        repository = timm.get_pretrained_cfg(name).hf_hub_id
    except RuntimeError as error:
        tags = [model for model in timm.list_pretrained() if model.startswith(f"{architecture}.")]
        raise BackboneError(f"timm has no weights '{name}', only {', '.join(tags) or 'an untrained model'}.") from error
    if repository is None:
        raise BackboneError(f"timm has no weights for '{name}' on the Hugging Face Hub.")
    return repository


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

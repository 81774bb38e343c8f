"""Where the weights of a backbone lie: shipped, in a folder, or on the Hugging Face Hub. Imports no torch.

A ViT's name leads to a folder in timm's own layout (config.json and model.safetensors) or to a timm id with its file;
other backbones name their files in their spec.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from spherecorr.backbones.registry import BACKBONES, AdapterSpec, DiffusionSpec, HubFiles, Spec, TimmSpec, find, members
from spherecorr.errors import SpherecorrError
from spherecorr.hub import HubError, cached_file, fetch_file
from spherecorr.identity import digest
from spherecorr.shipped import shipped_folder
from spherecorr.transfer import Report

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
LOCAL = "local-dir:"

TEXT_ENCODER = "text_encoder/model.safetensors"
TOKENIZER = tuple(
    f"tokenizer/{name}" for name in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")
)
TEXT_FILES = ("text_encoder/config.json", TEXT_ENCODER, *TOKENIZER)
"""From these a prompt's embedding is made, once; then they are not needed any more."""
TEXT_MEGABYTES = 492


class BackboneError(SpherecorrError):
    """A backbone that cannot be loaded or used; the message says why and what to do."""


@dataclass(frozen=True)
class Availability:
    """Whether a backbone's files are on this machine, and what a download means.

    Attributes:
        here: it loads without a download.
        megabytes: about how much is to be downloaded; None if nothing is, or if nobody knows.
        licence: of the weights, each of several once; None if nobody knows.
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
    megabytes = sum(_megabytes(member, files) for member, files in lacking.items() if files)
    missing = tuple(file for files in lacking.values() for file in files)
    licence = ", ".join(dict.fromkeys(member.licence for member in members(spec)))
    return Availability(not missing, megabytes or None, licence, spec.note, missing)


def download_notice(name: str) -> str:
    """What somebody should know before a backbone is downloaded: title, licence, size, and what it wants.

    Returns:
        Some sentences; "" where nothing is missing.

    Raises:
        BackboneError: a name that nobody knows.
    """
    spec, found = find(name), availability(name)
    if found.here:
        return ""
    size = f"About {found.megabytes:,.0f} MB are to be downloaded." if found.megabytes else ""
    licence = f"Licence: {found.licence}." if found.licence else ""
    return " ".join(filter(None, (f"{spec.title if spec else name}.", licence, size, found.note)))


def weights_available(name: str) -> bool:
    """Whether a backbone loads without a download. Asks no network, and False for a name that nobody knows."""
    try:
        return availability(name).here
    except SpherecorrError:
        return False


def fetch(name: str, report: Report | None = None) -> list[Path]:
    """Files of a backbone, downloaded where they are missing; of a ViT the weights alone.

    `report` is told how far each download is; None: bars are drawn.

    Raises:
        BackboneError: an unknown name, a missing or broken folder, no network, a gated or missing repository.
    """
    spec = find(name)
    if spec is None:
        return [locate(name, report)[1]]
    return [path for member in members(spec) for path in _fetch_member(member, report)]


def locate(name: str, report: Report | None = None) -> tuple[str, Path]:
    """Find the weights of a ViT, downloading them where they are missing; for `report` see `fetch`.

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
        paths = [
            fetch_file(files.repository, filename, files.revision, report)
            for files in _hub_files(name, spec)
            for filename in files.filenames
        ]
    except HubError as error:
        raise BackboneError(f"{error} A copy on disk loads as 'local-dir:PATH'.") from error
    if name.startswith("hf-hub:"):
        folder = paths[0].parent
        _check_folder(name, folder)
        return f"local-dir:{folder}", paths[-1]
    return (spec.model if spec else name), paths[-1]


def fetch_from(name: str, repository: str, filename: str, revision: str | None, report: Report | None = None) -> Path:
    """Path of a backbone's file in a repository of the Hub or a folder `local-dir:PATH`, downloaded if it is missing.

    Raises:
        BackboneError: it is missing or out of reach; the message names the backbone.
    """
    if repository.startswith(LOCAL):
        path = _local_path(repository, filename)
        if not path.is_file():
            raise BackboneError(f"Backbone '{name}' cannot be loaded: there is no file {path}.")
        return path
    try:
        return fetch_file(repository, filename, revision, report)
    except HubError as error:
        raise BackboneError(f"Backbone '{name}' cannot be loaded: {error}") from error


def prompt_file(prompt: str) -> str:
    """Name of the file in a diffusion model's folder that keeps a prompt's embedding."""
    return f"prompt_{digest([prompt.encode()])}.safetensors" if prompt else "empty_prompt.safetensors"


def import_timm() -> ModuleType:
    """Import timm.

    Raises:
        BackboneError: the torchvision that timm imports was built for another torch.
    """
    try:
        import timm
    except (RuntimeError, AttributeError, OSError) as error:
        raise BackboneError(
            "torch and torchvision do not belong together, so that timm cannot be imported; install both anew in one "
            "command, `pip install --force-reinstall torch torchvision`."
        ) from error
    return timm


def _fetch_member(spec: Spec, report: Report | None) -> list[Path]:
    if isinstance(spec, TimmSpec):
        return [locate(spec.name, report)[1]]
    if isinstance(spec, DiffusionSpec) and (text := _text_files(spec)):
        _check_libraries(spec)
        _fetch_all(spec, text, report)
    return [path for files in spec.files for path in _fetch_all(spec, files, report)]


def _fetch_all(spec: Spec, files: HubFiles, report: Report | None) -> list[Path]:
    return [fetch_from(spec.name, files.repository, filename, files.revision, report) for filename in files.filenames]


def _check_libraries(spec: DiffusionSpec) -> None:
    """Before gigabytes are downloaded in vain."""
    for library in ("diffusers", "transformers"):
        if find_spec(library) is None:
            raise BackboneError(f"{library} is needed for backbone '{spec.name}'; run `pip install {library}` first.")


def _text_files(spec: DiffusionSpec) -> HubFiles | None:
    """What the prompt's embedding is made from, where it is not kept yet."""
    kept = _local_copy(spec.repository, prompt_file(spec.prompt), spec.revision)
    return None if kept else HubFiles(spec.repository, TEXT_FILES, spec.revision)


def _local_copy(repository: str, filename: str, revision: str | None) -> Path | None:
    """Path of a file that is here; asks no network."""
    if not repository.startswith(LOCAL):
        return cached_file(repository, filename, revision)
    path = _local_path(repository, filename)
    return path if path.is_file() else None


def _local_path(repository: str, filename: str) -> Path:
    return Path(repository.removeprefix(LOCAL)).expanduser() / filename


def _missing(name: str, spec: Spec | None) -> list[str]:
    folder = _own_folder(name, spec)
    if folder is not None:
        return [str(folder / filename) for filename in (CONFIG, WEIGHTS) if not (folder / filename).is_file()]
    return [
        f"{files.repository}/{filename}"
        for files in _hub_files(name, spec)
        for filename in files.filenames
        if _local_copy(files.repository, filename, files.revision) is None
    ]


def _own_folder(name: str, spec: Spec | None) -> Path | None:
    if isinstance(spec, TimmSpec) and spec.shipped:
        return shipped_folder("checkpoints") / spec.model
    return Path(name.removeprefix(LOCAL)).expanduser() if name.startswith(LOCAL) else None


def _hub_files(name: str, spec: Spec | None) -> tuple[HubFiles, ...]:
    if isinstance(spec, DiffusionSpec) and (text := _text_files(spec)):
        return (*spec.files, text)
    if spec is not None:
        return spec.files
    if name.startswith("hf-hub:"):
        return (HubFiles(name.removeprefix("hf-hub:"), (CONFIG, WEIGHTS)),)
    return (HubFiles(_timm_repository(name), (WEIGHTS,)),)


def _megabytes(spec: Spec, missing: list[str]) -> float:
    """About how large the missing weights are: four bytes a parameter, two in files that say so."""
    if isinstance(spec, AdapterSpec):
        return 0  # `parameters` are its base's; its own are few
    text = TEXT_MEGABYTES if any(file.endswith(TEXT_ENCODER) for file in missing) else 0
    wanted = [name for files in spec.files for name in files.filenames if name.endswith(".safetensors")]
    if not any(file.endswith(name) for file in missing for name in wanted):
        return text
    return (2 if all(".fp16." in name for name in wanted) else 4) * spec.parameters + text


def _timm_licence(name: str) -> str | None:
    if name.startswith((LOCAL, "hf-hub:")):
        return None
    config = import_timm().get_pretrained_cfg(name)
    return config.license if config else None


def _timm_repository(name: str) -> str:
    timm = import_timm()
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
    timm = import_timm()
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

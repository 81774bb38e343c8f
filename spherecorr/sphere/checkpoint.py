"""Sphere mappers on disk: a folder with `model.safetensors` and `config.json`, and the files of the paper's authors.

Beside them `domain.safetensors` may tell what the training's pictures looked like, see `sphere.domain`.

`config.json` holds the mapper's settings under "sphere" and, beside them, whatever its trainer wants to tell.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from spherecorr.device import pick_device
from spherecorr.errors import SpherecorrError
from spherecorr.files import write_atomic
from spherecorr.hub import HubError, cached_file, fetch_file
from spherecorr.identity import FeatureSource
from spherecorr.shipped import shipped_folder
from spherecorr.sphere.domain import Domain, DomainError, attach_domain, domain_of, load_domain, save_domain
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.public import CONFIG, PUBLIC_SPHERES, public_folder
from spherecorr.sphere.settings import SphereSettings

WEIGHTS = "model.safetensors"
DOMAIN = "domain.safetensors"

SHIPPED = {"mini": "mini-sphere"}

# What the authors' mapper was trained on: DINOv2 ViT-B/14 of the original release, last block before the norm.
AUTHORS_SOURCE = FeatureSource("dinov2-b", dim=768, patch=14, layer=11, norm=False, position_embedding="dinov2")
AUTHORS_MODULES = {"sphere_mapper.0.": "embed.", "sphere_mapper.2.": "blocks.0.", "sphere_mapper.3.": "head."}
AUTHORS_TRAINING_ONLY = ("sphere.weight", "prototypes.")


class CheckpointError(SpherecorrError):
    """A sphere checkpoint that cannot be loaded; the message says why and what to do."""


def load_sphere(source: str | Path, *, device: str = "auto") -> SphereMapper:
    """Load a sphere mapper, with its `sphere.domain` where the checkpoint has one.

    Args:
        source: "mini" (ships), a name of `sphere.public` that was downloaded, a checkpoint folder, a `.pth` file of the
            paper's authors, or a Hub id `owner/name`.
        device: "auto", "cpu", "cuda", ...

    Raises:
        CheckpointError: missing, damaged, or not a sphere checkpoint.
    """
    path = _path(source)
    if source in PUBLIC_SPHERES and not (path / CONFIG).is_file():
        raise CheckpointError(
            f"The sphere '{source}' is not on this machine. Fetch it with `spherecorr download sphere {source}`."
        )
    if path.suffix in (".pth", ".pt"):
        mapper = import_authors(path)
    else:
        mapper = _load_folder(_fetch(str(source)) if _is_hub_id(source, path) else path)
    return mapper.to(pick_device(device)).eval()


def checkpoint_files(source: str | Path) -> list[Path]:
    """Those files of a sphere checkpoint, named as for `load_sphere`, that are on this machine; asks no network."""
    path = _path(source)
    if path.suffix in (".pth", ".pt"):
        files = [path]
    elif _is_hub_id(source, path):
        files = [file for name in (CONFIG, WEIGHTS, DOMAIN) if (file := cached_file(str(source), name))]
    else:
        files = [path / CONFIG, path / WEIGHTS, path / DOMAIN]
    return [file for file in files if file.is_file()]


def sphere_settings(source: str | Path) -> SphereSettings | None:
    """Settings of a sphere checkpoint, named as for `load_sphere`; None where it is not here. Asks no network.

    Raises:
        CheckpointError: its files do not describe a sphere mapper.
    """
    files = {file.name: file for file in checkpoint_files(source)}
    if _path(source).suffix in (".pth", ".pt"):
        return import_authors(_path(source)).settings if files else None
    return _read_settings(files[CONFIG]) if {CONFIG, WEIGHTS} <= files.keys() else None


def save_sphere(mapper: SphereMapper, folder: str | Path, *, metadata: dict[str, Any] | None = None) -> None:
    """Write a mapper's weights, settings and domain into a folder; what is there is replaced only when complete.

    Args:
        mapper: the mapper.
        folder: made if it is missing.
        metadata: JSON-able entries to store beside the settings, such as {"training": {...}, "metrics": {...}}.
    """
    folder = Path(folder)
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in mapper.state_dict().items()}
    config = {**(metadata or {}), "sphere": dataclasses.asdict(mapper.settings)}
    write_atomic(folder / WEIGHTS, save(state))
    write_atomic(folder / CONFIG, (json.dumps(config, indent=2) + "\n").encode())
    if (domain := domain_of(mapper)) is not None:
        save_domain(domain, folder / DOMAIN)
    else:
        (folder / DOMAIN).unlink(missing_ok=True)  # another mapper's


def import_authors(path: str | Path) -> SphereMapper:
    """Read a state dict that the paper's public code wrote; its prototypes, used in training only, are left out.

    A mapper of 768 channels is taken for the paper's own, on DINOv2 ViT-B/14; others are known by their size alone.

    Raises:
        CheckpointError: no such file, damaged, or other keys.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"There is no sphere checkpoint '{path}'.")
    try:
        public = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on a file that is no pickle the reader fails in nearly any way
        raise CheckpointError(f"'{path}' is damaged, or holds more than a state dict of tensors.") from error
    first = public.get("sphere_mapper.0.weight") if isinstance(public, dict) else None
    if not isinstance(first, Tensor) or first.ndim != 2:
        raise CheckpointError(f"'{path}' is no state dict of the paper's authors: it has no sphere_mapper.0.weight.")
    if not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in public.items()):
        raise CheckpointError(f"'{path}' is no state dict of the paper's authors: not all of it are named tensors.")
    state = {_own_key(key): value for key, value in public.items() if not key.startswith(AUTHORS_TRAINING_ONLY)}
    width, dim = first.shape
    settings = SphereSettings(
        feature_dim=dim,
        width=None if width == dim // 2 else width,
        source=AUTHORS_SOURCE if dim == AUTHORS_SOURCE.dim else None,
        alpha=0.2,
    )
    return _fill(_new_mapper(settings), state, path)


def _own_key(key: str) -> str:
    for public, own in AUTHORS_MODULES.items():
        if key.startswith(public):
            return own + key.removeprefix(public)
    return key


def _path(source: str | Path) -> Path:
    if source in SHIPPED:
        return shipped_folder("checkpoints") / SHIPPED[source]
    return public_folder(str(source)) if source in PUBLIC_SPHERES else Path(source).expanduser()


def _is_hub_id(source: str | Path, path: Path) -> bool:
    return isinstance(source, str) and not path.exists() and re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", source) is not None


def _fetch(repository: str) -> Path:
    if all(cached_file(repository, name) for name in (CONFIG, WEIGHTS)):  # without asking for what it may not have
        return fetch_file(repository, WEIGHTS).parent
    try:
        fetch_file(repository, CONFIG)
        folder = fetch_file(repository, WEIGHTS).parent
    except HubError as error:
        raise CheckpointError(f"There is no folder '{repository}', and on the Hub: {error}") from error
    with contextlib.suppress(HubError):  # most have none
        fetch_file(repository, DOMAIN)
    return folder


def _load_folder(folder: Path) -> SphereMapper:
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise CheckpointError(
                f"The sphere checkpoint '{folder.name}' is missing: there is no file {folder / name}."
            )
    settings = _read_settings(folder / CONFIG)
    try:
        mapper = _new_mapper(settings)
    except (ValueError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{folder / CONFIG} does not describe a sphere mapper: {error}.") from error
    try:
        state = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{folder / WEIGHTS} is damaged ({error}); fetch or train it again.") from error
    _fill(mapper, state, folder / WEIGHTS)
    if (folder / DOMAIN).is_file():
        attach_domain(mapper, _domain(folder / DOMAIN, mapper.settings.feature_dim))
    return mapper


def _domain(path: Path, feature_dim: int) -> Domain:
    try:
        domain = load_domain(path)
    except DomainError as error:
        raise CheckpointError(str(error)) from error
    if len(domain.mean) != feature_dim:
        raise CheckpointError(f"{path} is of features of {len(domain.mean)} channels; the mapper takes {feature_dim}.")
    return domain


def _new_mapper(settings: SphereSettings) -> SphereMapper:
    """A mapper that waits for its weights: whatever a file says of its size, it takes no memory nor random numbers."""
    with torch.device("meta"):
        return SphereMapper(settings)


def _read_settings(path: Path) -> SphereSettings:
    try:
        return _settings(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} does not describe a sphere mapper: {error}.") from error


def _settings(config: dict[str, Any]) -> SphereSettings:
    if "sphere" not in config:
        raise ValueError('it has no entry "sphere"')
    entries = config["sphere"]
    source = entries.get("source")
    return SphereSettings(
        **{
            **entries,
            "source": None if source is None else FeatureSource(**source),
            "categories": tuple(entries.get("categories", ())),
        }
    )


def _fill(mapper: SphereMapper, state: dict[str, Tensor], path: Path) -> SphereMapper:
    wanted = {key: tuple(tensor.shape) for key, tensor in mapper.state_dict().items()}
    given = {key: tuple(tensor.shape) for key, tensor in state.items()}
    faults = [f"{key} is missing" for key in sorted(wanted.keys() - given.keys())]
    faults += [f"{key} is unknown" for key in sorted(given.keys() - wanted.keys())]
    faults += [
        f"{key} is {given[key]}, not {wanted[key]}" for key in wanted if given.get(key, wanted[key]) != wanted[key]
    ]
    if faults:
        rest = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise CheckpointError(f"The weights {path} do not fit the mapper: {', '.join(faults[:3])}{rest}.")
    for key, tensor in state.items():
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise CheckpointError(f"{path} is damaged: {key} holds values that are no finite numbers; fetch it again.")
    mapper.load_state_dict({key: tensor.float() for key, tensor in state.items()}, assign=True)
    return mapper.eval()

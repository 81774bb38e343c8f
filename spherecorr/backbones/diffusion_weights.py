"""Loading a Stable Diffusion model in diffusers' layout, without what only generating needs.

Of the repository it takes `unet/config.json`, `vae/config.json`, `scheduler/scheduler_config.json` and the weights of
UNet and VAE. The prompt's embedding is `empty_prompt.safetensors` beside these folders where it is there; else it is
computed once with transformers and kept there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from spherecorr.backbones.weights import TEXT_ENCODER, TOKENIZER, BackboneError, prompt_file
from spherecorr.files import write_atomic

WORKING_SHARE = 0.3
"""Memory of one image's pass at 512 pixels as a share of the weights', by `benchmarks/diffusion.py`."""

# Stable Diffusion 1's VAE is stored under the names that diffusers' attention had at first.
_OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def build(model: Any, config: Path, weights: Path, dtype: torch.dtype, without: tuple[str, ...] = ()) -> Any:
    """Build a model of diffusers and load its state dict strictly.

    Args:
        model: class of diffusers.
        config: its JSON configuration.
        weights: safetensors file of its state dict.
        dtype: of the parameters.
        without: submodules that are left out, with their weights.

    Raises:
        BackboneError: the configuration is of another class, or the weights are damaged or of another model.
    """
    settings = read_config(config)
    if settings.get("_class_name") != model.__name__:
        raise BackboneError(f"{config} describes a {settings.get('_class_name')}; a {model.__name__} is needed.")
    with torch.device("meta"):  # no memory and no random numbers for what is replaced at once
        built = model.from_config(settings)
    for name in without:
        setattr(built, name, None)
    try:
        with safe_open(weights, "pt") as file:
            kept = [key for key in file.keys() if key.partition(".")[0] not in without]
            state = {_present_name(key): file.get_tensor(key).to(dtype) for key in kept}
        built.load_state_dict(state, strict=True, assign=True)
    except (RuntimeError, SafetensorError, OSError) as error:
        raise BackboneError(f"{weights} is damaged, or holds no weights of what {config} describes.") from error
    return built


def prompt_embedding(prompt: str, folder: Path, fetch: Callable[[str], Path]) -> Tensor:
    """The text encoder's embedding of a prompt, from a small file in the model's folder.

    Args:
        prompt: text; the empty one is usual.
        folder: with `unet`, `vae`, ...; the file is written there if it is missing.
        fetch: path of a file of the model's repository, for the text encoder and the tokenizer.

    Returns:
        Float32 `[tokens, dim]`.

    Raises:
        BackboneError: the file is missing and transformers too, or the text encoder cannot be had; or it is damaged.
    """
    file = folder / prompt_file(prompt)
    if file.is_file():
        try:
            return load_file(file)["embedding"]
        except (SafetensorError, OSError, KeyError) as error:
            raise BackboneError(f"{file} holds no embedding of a prompt; delete it and retry.") from error
    transformers = import_library(
        "transformers", f"the embedding of the prompt '{prompt}', once, as there is no {file}"
    )
    text_encoder = fetch("text_encoder/config.json").parent
    fetch(TEXT_ENCODER)
    tokenizer, *_ = [fetch(filename).parent for filename in TOKENIZER]
    tokens = transformers.CLIPTokenizer.from_pretrained(tokenizer)(
        prompt, padding="max_length", truncation=True, return_tensors="pt"
    )
    with torch.no_grad():
        embedding = transformers.CLIPTextModel.from_pretrained(text_encoder)(tokens.input_ids)[0][0]
    embedding = embedding.float().contiguous()
    write_atomic(file, save({"embedding": embedding}))
    return embedding


def check_memory(name: str, parameters: float, dtype: torch.dtype, free: float | None, device: torch.device) -> None:
    """Refuse a model that does not fit, and say what would.

    Args:
        name: of the backbone.
        parameters: how many.
        dtype: of the parameters.
        free: bytes that are free; None where that is not known.
        device: for the message.

    Raises:
        BackboneError: it needs more than is free.
    """
    needed, half = needed_memory(parameters, dtype), needed_memory(parameters, torch.bfloat16)
    if free is None or needed <= free:
        return
    remedy = f"With dtype 'bfloat16' it needs {half / 1e9:.1f} GB." if half <= free else "'dinov2-b' needs below 1 GB."
    raise BackboneError(
        f"Backbone '{name}' needs about {needed / 1e9:.1f} GB, but only {free / 1e9:.1f} GB are free on {device}. "
        f"{remedy}"
    )


def needed_memory(parameters: float, dtype: torch.dtype) -> float:
    """Bytes of the weights and of one image's pass at 512 pixels."""
    return parameters * dtype.itemsize * (1 + WORKING_SHARE)


def free_memory(device: torch.device) -> float | None:
    """Bytes that are free on a GPU or in the machine; None where nobody tells."""
    if device.type == "cuda":
        # What a model that is gone has left to this process counts as free.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    if device.type != "cpu":
        return None
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file() and (found := re.search(r"MemAvailable:\s*(\d+)", meminfo.read_text())):
        return 1024 * float(found[1])  # counts what the system would give back of its file cache
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")) if hasattr(os, "sysconf") else None


def import_library(name: str, purpose: str) -> ModuleType:
    """Import a library that not everyone has, or say what for it is needed."""
    try:
        return import_module(name)
    except ImportError as error:
        raise BackboneError(f"{name} is needed for {purpose}; install it with `pip install {name}`.") from error


def read_config(path: Path) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise BackboneError(f"{path} is broken: it is no JSON object.") from error


def _present_name(key: str) -> str:
    return ".".join(_OLD_NAMES.get(part, part) for part in key.split("."))

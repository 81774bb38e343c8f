"""Small real models and pictures, made in a second: an app's backbones, spheres and examples for scripts and tests."""

from __future__ import annotations

import io
import json
from pathlib import Path

import timm
import torch
from PIL import Image, ImageDraw
from timm.models import save_for_hf

from spherecorr.backbones import load_backbone
from spherecorr.sphere.checkpoint import save_sphere
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.settings import SphereSettings

WIDTH = 64
COLOURS = ("red", "green", "blue", "orange", "purple", "black")
PICTURES = {"a.png": ((448, 336), (120, 90)), "b.png": ((300, 300), (80, 100))}
"""Sizes, and the blocks' upper left corner."""


def tiny_backbone(folder: Path, seed: int = 0) -> str:
    """Write a ViT of two blocks with random weights; returns its name."""
    torch.manual_seed(seed)
    shape = {"depth": 2, "embed_dim": WIDTH, "num_heads": 2, "img_size": 64, "num_classes": 0}
    save_for_hf(
        timm.create_model("vit_tiny_patch16_224", **shape), str(folder), model_args=shape, safe_serialization=True
    )
    return f"local-dir:{folder}"


def tiny_sphere(folder: Path, backbone: str, seed: int = 1, alpha: float = 0.35) -> str:
    """Write a sphere of random weights for a tiny backbone; returns its name."""
    source = load_backbone(backbone, device="cpu").source
    torch.manual_seed(seed)
    save_sphere(SphereMapper(SphereSettings(WIDTH, source=source, alpha=alpha)), folder)
    return str(folder)


def block_examples(folder: Path) -> Path:
    """Write two example pairs of coloured blocks, "blocks" and the same the other way round, "back"."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (size, corner) in PICTURES.items():
        blocks(size, corner).save(folder / name)
    pair = {"id": "blocks", "title": "Blocks", "source": "a.png", "target": "b.png", "category": "blocks"}
    named = [
        {"name": "red", "source": [140.5, 110.5], "target": [100.5, 120.5]},
        {"name": "blue", "source": [240.5, 110.5], "target": None},
    ]
    other = {"id": "back", "title": "Blocks, the other way round", "source": "b.png", "target": "a.png"}
    back = [{"name": "red", "source": [100.5, 120.5], "target": [140.5, 110.5]}]
    listing = [
        {**pair, "keypoints": named, "show": ["red", "blue"]},
        {**pair, **other, "keypoints": back, "show": ["red"]},
    ]
    (folder / "examples.json").write_text(json.dumps(listing))
    return folder


def blocks(size: tuple[int, int], corner: tuple[int, int], background: str = "#d8d8d8") -> Image.Image:
    """Six coloured squares on a plain background."""
    image = Image.new("RGB", size, background)
    draw = ImageDraw.Draw(image)
    for i, colour in enumerate(COLOURS):
        x, y = corner[0] + 48 * (i % 3), corner[1] + 48 * (i // 3)
        draw.rectangle((x, y, x + 47, y + 47), colour)
    return image


def encoded_png(image: Image.Image) -> bytes:
    """A picture's PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()

"""What to render."""

from __future__ import annotations

from dataclasses import dataclass

SPLITS = ("trn", "val", "test")


@dataclass(frozen=True)
class RenderSettings:
    """What to render.

    Attributes:
        split: "trn", "val" or "test"; each draws other objects.
        count: images in all, dealt out over the categories; every image shows another object.
        pairs: pairs per category; every image is the source of one before any is one again.
        categories: what to render. None: all.
        size: side of the pictures in pixels.
        seed: the same seed gives the same files.
        meshes: folder of meshes to render. None: procedural objects. See `render.meshes`.
        backgrounds: folder searched for photographs; every second picture gets one. None: plain and clouded ones.
        background_masks: folder with masks of the photographs' objects under the same paths, as .png; they are cut out
            of the backgrounds, so that no dog or car is taught to be background. None: photographs as they are.
        supersample: rays per pixel along each side.
        studio: put pale backdrops behind all objects, for pictures that people look at.
    """

    split: str = "trn"
    count: int = 1000
    pairs: int = 100
    categories: tuple[str, ...] | None = None
    size: int = 224
    seed: int = 0
    meshes: str | None = None
    backgrounds: str | None = None
    background_masks: str | None = None
    supersample: int = 1
    studio: bool = False

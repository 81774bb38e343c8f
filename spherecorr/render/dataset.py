"""Renders to disk in SPair-71k's layout, with two things that no photograph has: names and surface points.

ROOT/JPEGImages/<category>/<id>.jpg
ROOT/ImageAnnotation/<category>/<id>.json     SPair's keys, plus azimuth and elevation in degrees
ROOT/Segmentation/<category>/<id>.png         255 on the object
ROOT/SurfacePoints/<category>/<id>.png        8-bit (x, y, z): -1..1 of the object's half extents -> 0..255
ROOT/PairAnnotation/<split>/<n>-<source>-<target>:<category>.json and ROOT/Layout/large/<split>.txt
ROOT/keypoints.json                           category -> names: the n-th is SPair's key `str(n)`
ROOT/render-<split>.json                      the settings, and the files of the meshes
"""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from spherecorr.data.masks import read_mask
from spherecorr.errors import SpherecorrError
from spherecorr.files import list_files, write_atomic
from spherecorr.images import load_image
from spherecorr.render.backgrounds import photo_background, procedural_background, studio_background
from spherecorr.render.meshes import MeshObjects
from spherecorr.render.objects import ProceduralObjects
from spherecorr.render.scene import Rendering, random_camera, render
from spherecorr.render.settings import SPLITS, RenderSettings

Photograph: TypeAlias = tuple[str, str | None]  # a picture's path, and its object's mask's

MIN_SIZE = 32  # pixels; in smaller pictures parts vanish between the rays


def render_dataset(root: Path, settings: RenderSettings, processes: int = 2) -> None:
    """Render one split; images that are there already are kept, so an interrupted run can be repeated.

    Raises:
        SpherecorrError: an unknown category or split, too few or too small images, no photographs in `backgrounds`, no
            or broken meshes, or other settings in `root` before.
    """
    _check_split(settings)
    objects = MeshObjects(settings.meshes, settings.split) if settings.meshes else ProceduralObjects()
    categories = settings.categories or objects.categories
    settings = replace(settings, categories=categories)
    _check(settings, categories, objects)
    photos = _photographs(settings.backgrounds, settings.background_masks)
    names = _merged_names(root / "keypoints.json", categories, objects)
    _write_once(root / f"render-{settings.split}.json", {**asdict(settings), "files": objects.files})
    _write_json(root / "keypoints.json", names)
    jobs = [(categories[i % len(categories)], i) for i in range(settings.count)]
    with ProcessPoolExecutor(processes, initializer=_leave_with_parent) as pool:
        work = partial(_render_one, root, settings, objects, photos)
        for _ in _progress(pool.map(work, jobs, chunksize=8), len(jobs), f"rendering {settings.split}"):
            pass
    _write_pairs(root, settings, categories, jobs)


def image_id(split: str, category: str, index: int) -> str:
    """File stem of one image."""
    return f"{split}_{category}_{index:06d}"


def render_object(
    objects, category: str, seed: list[int], settings: RenderSettings, photos: list[Photograph]
) -> Rendering:
    """One picture, decided by its seed alone."""
    rng = np.random.default_rng(seed)
    shape = objects.make(category, rng)
    inner = settings.size * settings.supersample
    camera = random_camera(shape, inner, rng)
    if settings.studio:
        background = studio_background(inner, rng)
    elif photos and rng.random() < 0.5:
        path, mask = photos[rng.integers(len(photos))]
        photo = np.asarray(load_image(path))
        background = photo_background(photo, inner, rng, None if mask is None else read_mask(mask)[0])
    else:
        background = procedural_background(inner, rng)
    return render(shape, camera, background, rng)


def _leave_with_parent() -> None:
    """End this worker when the process that started it is killed; it would wait for work for ever."""

    def watch() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _render_one(root: Path, settings: RenderSettings, objects, photos: list[Photograph], job: tuple[str, int]) -> None:
    category, index = job
    stem = image_id(settings.split, category, index)
    annotation = root / "ImageAnnotation" / category / f"{stem}.json"
    if annotation.exists():
        return
    seed = [settings.seed, SPLITS.index(settings.split), index]
    rendering = render_object(objects, category, seed, settings, photos)
    save_rendering(root, stem, rendering, settings.size, objects.keypoint_names(category))


def save_rendering(root: Path, stem: str, rendering: Rendering, size: int, names: tuple[str, ...]) -> None:
    """Write one picture's files, scaled to `size`; the annotation comes last and marks it as complete."""
    category, factor = rendering.category, size / len(rendering.mask)
    shrink = partial(Image.Image.resize, size=(size, size))
    image = shrink(Image.fromarray(rendering.image), resample=Image.Resampling.LANCZOS)
    mask = shrink(Image.fromarray(rendering.mask.astype(np.uint8) * 255), resample=Image.Resampling.NEAREST)
    coded = ((rendering.surface + 1) * 127.5).round().astype(np.uint8)
    surface = shrink(Image.fromarray(coded), resample=Image.Resampling.NEAREST)
    for folder, ending, picture, options in (
        ("JPEGImages", "jpg", image, {"format": "JPEG", "quality": 92}),
        ("Segmentation", "png", mask, {"format": "PNG", "compress_level": 1}),
        ("SurfacePoints", "png", surface, {"format": "PNG", "compress_level": 1}),
    ):
        write_atomic(root / folder / category / f"{stem}.{ending}", _encode(picture, **options))
    rows, columns = np.nonzero(np.asarray(mask))
    points = {
        n: [round(p[0] * factor, 2), round(p[1] * factor, 2)] if p else None for n, p in rendering.keypoints.items()
    }
    _write_json(
        root / "ImageAnnotation" / category / f"{stem}.json",
        {
            "filename": f"{stem}.jpg",
            "image_width": size,
            "image_height": size,
            "image_depth": 3,
            "category": category,
            "bndbox": [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1],
            "kps": {str(k): points.get(names[k]) if k < len(names) else None for k in range(30)},
            "azimuth_id": int(rendering.camera.azimuth % 360 // 45),
            "azimuth": round(rendering.camera.azimuth % 360, 3),
            "elevation": round(rendering.camera.elevation, 3),
        },
    )


def _write_pairs(
    root: Path, settings: RenderSettings, categories: tuple[str, ...], jobs: list[tuple[str, int]]
) -> None:
    rng = np.random.default_rng([settings.seed, 99, SPLITS.index(settings.split)])
    lines: list[str] = []
    for category in categories:
        stems = [image_id(settings.split, c, i) for c, i in jobs if c == category]
        order = rng.permutation(len(stems))
        for k in range(settings.pairs):  # every image is a source before any is one again
            first = order[k % len(stems)]
            second = (first + rng.integers(1, len(stems))) % len(stems)
            source, target = stems[first], stems[second]
            lines.append(f"{len(lines):06d}-{source}-{target}:{category}")
            _write_json(
                root / "PairAnnotation" / settings.split / f"{lines[-1]}.json",
                _pair_annotation(root, category, source, target, lines[-1], len(lines) - 1),
            )
    write_atomic(root / "Layout" / "large" / f"{settings.split}.txt", ("\n".join(lines) + "\n").encode())


def _pair_annotation(root: Path, category: str, source: str, target: str, name: str, number: int) -> dict:
    """SPair's keys; `src_kps` and `trg_kps` hold the keypoints that both images show."""
    first, second = (
        json.loads((root / "ImageAnnotation" / category / f"{stem}.json").read_text()) for stem in (source, target)
    )
    common = [key for key in first["kps"] if first["kps"][key] and second["kps"][key]]
    size = [first["image_width"], first["image_height"], 3]
    return {
        "pair_id": number,
        "filename": name,
        "src_imname": f"{source}.jpg",
        "trg_imname": f"{target}.jpg",
        "src_imsize": size,
        "trg_imsize": size,
        "src_bndbox": first["bndbox"],
        "trg_bndbox": second["bndbox"],
        "category": category,
        "src_kps": [first["kps"][key] for key in common],
        "trg_kps": [second["kps"][key] for key in common],
        "kps_ids": common,
        "mirror": 0,
    }


def _check_split(settings: RenderSettings) -> None:
    if settings.split not in SPLITS:
        raise SpherecorrError(f"The split must be one of {', '.join(SPLITS)}; got '{settings.split}'.")


def _check(settings: RenderSettings, categories: tuple[str, ...], objects) -> None:
    unknown = sorted(set(categories) - set(objects.categories))
    if unknown:
        raise SpherecorrError(
            f"There is no {objects.kind} '{unknown[0]}'. Choose from: {', '.join(objects.categories)}."
        )
    if settings.size < MIN_SIZE:
        raise SpherecorrError(f"Pictures need at least {MIN_SIZE} pixels a side; got {settings.size}.")
    least = 2 * len(categories)
    if settings.count < least or settings.pairs < 1:
        raise SpherecorrError(
            f"Every category needs a pair of images: {len(categories)} categories take a count of at least "
            f"{least} and at least 1 pair; got {settings.count} and {settings.pairs}."
        )


def _merged_names(path: Path, categories: tuple[str, ...], objects) -> dict[str, list[str]]:
    """Keypoint names of all categories: those of other splits in the same folder, and these."""
    known = json.loads(path.read_text()) if path.exists() else {}
    names = {category: list(objects.keypoint_names(category)) for category in categories}
    for category in known.keys() & names.keys():
        if known[category] != names[category]:
            raise SpherecorrError(
                f"'{path}' has other keypoints of '{category}': meshes and procedural objects need a "
                "folder each. Choose another folder."
            )
    return known | names


def _photographs(folder: str | None, masks: str | None) -> list[Photograph]:
    """Photographs below a folder, each with its mask; with masks, only those that have one."""
    if folder is None:
        if masks is not None:
            raise SpherecorrError("Masks of backgrounds need the backgrounds; give their folder, too.")
        return []
    found = sorted(str(p) for p in list_files(Path(folder), "**/*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not found:
        raise SpherecorrError(f"There is no .jpg or .png picture in '{folder}' or below it.")
    if masks is None:
        return [(path, None) for path in found]
    pairs = [(path, Path(masks, Path(path).relative_to(folder)).with_suffix(".png")) for path in found]
    masked: list[Photograph] = [(path, str(mask)) for path, mask in pairs if mask.is_file()]
    if not masked:
        raise SpherecorrError(f"No picture in '{folder}' has a mask in '{masks}' under the same path, as .png.")
    return masked


def _write_once(path: Path, settings: dict) -> None:
    """Record the settings, or refuse to mix pictures of other settings into the same folder."""
    settings = json.loads(json.dumps(settings))
    if path.exists() and json.loads(path.read_text()) != settings:
        raise SpherecorrError(f"'{path}' was made with other settings. Choose another folder, or delete this one.")
    _write_json(path, settings)


def _write_json(path: Path, value: object) -> None:
    write_atomic(path, json.dumps(value).encode())


def _encode(picture: Image.Image, **options) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, **options)
    return buffer.getvalue()


def _progress(items: Iterator, total: int, title: str) -> Iterator:
    from tqdm import tqdm

    return tqdm(items, total=total, desc=title, unit="image")

"""Opening images: whatever a user hands over becomes one upright RGB picture, or one clear sentence."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from spherecorr.errors import SpherecorrError

ImageLike: TypeAlias = str | Path | Image.Image | np.ndarray

MIN_SIDE = 16
MAX_SIDE = 16_384
MAX_PIXELS = 100_000_000


class ImageError(SpherecorrError):
    """An image that cannot be used; the message says why and what to do."""


def load_image(source: ImageLike) -> Image.Image:
    """Open an image as upright RGB.

    EXIF rotation is applied, the first frame of an animation is taken, transparency is laid over white, 16-bit and
    CMYK pictures are converted.

    Args:
        source: a path, a PIL image, or a uint8 array `[h, w]`, `[h, w, 3]` or `[h, w, 4]`.

    Raises:
        ImageError: the file is missing, broken, no image, too small (under 16 px) or too large (over 16,384 px a side).
    """
    return _composite_on_white(_open(source))


def alpha_mask(source: ImageLike) -> np.ndarray | None:
    """Boolean `[h, w]` of the opaque pixels where the image has a transparent part, else None."""
    image = _open(source)
    if not image.has_transparency_data:
        return None
    opaque = np.asarray(image.convert("RGBA"))[..., 3] > 127
    return None if opaque.all() or not opaque.any() else opaque


def _open(source: ImageLike) -> Image.Image:
    if isinstance(source, np.ndarray):
        image = _from_array(source)
    elif isinstance(source, Image.Image):
        image = source
    else:
        image = _from_file(Path(source))
    what = f"'{Path(source).name}'" if isinstance(source, (str, Path)) else "The image"
    _check_size(image, what)
    try:
        image.load()
        return ImageOps.exif_transpose(image)
    except Exception as error:  # on a broken file Pillow's decoders raise nearly anything
        raise ImageError(f"{what} is damaged or cut off ({error}). Save it again and retry.") from error


def _from_file(path: Path) -> Image.Image:
    if not path.is_file():
        raise ImageError(f"There is no image file '{path}'.")
    try:
        with warnings.catch_warnings():
            # Sizes are checked below, in words of our own.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(path)
    except UnidentifiedImageError as error:
        raise ImageError(f"'{path.name}' is not an image that can be read. Use PNG, JPEG or WebP.") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"'{path.name}' is too large. Scale it down to at most {MAX_SIDE} pixels a side.") from error
    except Exception as error:  # see above
        raise ImageError(f"'{path.name}' cannot be opened ({error}).") from error


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise ImageError(
            f"An image array must be uint8 of shape [h, w], [h, w, 3] or [h, w, 4]; got {array.dtype} {array.shape}."
        )
    return Image.fromarray(array)


def _check_size(image: Image.Image, what: str) -> None:
    width, height = image.size
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"{what} is only {width} x {height} pixels. Use one of at least {MIN_SIDE} pixels a side.")
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise ImageError(
            f"{what} is {width} x {height} pixels, which is too large. "
            f"Scale it down to at most {MAX_SIDE} pixels a side and {MAX_PIXELS // 10**6} megapixels."
        )


def _composite_on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _from_high_depth(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _from_high_depth(image: Image.Image) -> Image.Image:
    """16-bit and float grey: PIL would clip at 255, so scale from the full range (or the data's own) instead."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0, posinf=0, neginf=0)
    low, high = (0.0, 65535.0) if image.mode.startswith("I") else (float(values.min()), float(values.max()))
    scaled = np.clip((values - low) / max(high - low, 1e-12) * 255, 0, 255)
    return Image.fromarray(scaled.round().astype(np.uint8)).convert("RGB")

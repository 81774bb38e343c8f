"""Opening images: whatever a user hands over becomes one upright RGB picture, or one clear sentence.

Every picture, mask and surface file of the package is opened here. Pillow raises nearly any exception on a broken file,
fails on EXIF tags that have nothing to do with the picture, and refuses PNG files for the length of their texts.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import IO, TypeAlias, TypeVar

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from spherecorr.errors import SpherecorrError

ImageLike: TypeAlias = str | Path | Image.Image | np.ndarray
Value = TypeVar("Value")

MIN_SIDE = 16
MAX_SIDE = 16_384
MAX_PIXELS = 100_000_000

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the picture upright."""
SIDEWAYS = (5, 6, 7, 8)
"""Orientations that swap width and height."""
ORIENTED_INFO = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")
"""Entries of `Image.info` that may hold an orientation."""

RUN_BY_OTHERS = ("EPS", "WMF", "FPX", "MIC", "GRIB", "BUFR", "HDF5")
"""Formats that are programs, or that Pillow hands to other programs: Ghostscript would run what an EPS file says."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
PNG_ORIENTED_TEXTS = (b"XML:com.adobe.xmp\0\0", b"Raw profile type exif\0")
"""How the texts begin that may hold an orientation; XMP is stored uncompressed."""


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


def open_picture(path: str | Path) -> Image.Image:
    """Open and decode a file as it is stored, in its own mode and whatever its size, but upright.

    Raises:
        ImageError: the file is missing, broken or no image; the message names it.
    """
    return _named(Path(path), _upright_copy)


def picture_size(path: str | Path) -> tuple[int, int]:
    """(width, height) of the upright picture, from the file's head; PNG files are decoded.

    Raises:
        ImageError: the file is missing, broken or no image; the message names it.
    """
    return _named(Path(path), _upright_size)


def _named(path: Path, use: Callable[[Image.Image], Value]) -> Value:
    try:
        return _read(path, use)
    except Exception as error:  # on a broken file Pillow's decoders raise nearly anything
        raise ImageError(f"'{path}' cannot be read as a picture ({_text(error)}).") from error


def _open(source: ImageLike) -> Image.Image:
    """The source upright and in its own mode; an image that is upright already is returned itself."""
    if isinstance(source, np.ndarray):
        source = _from_array(source)
    path = None if isinstance(source, Image.Image) else Path(source)
    what = "The image" if path is None else f"'{path.name}'"

    def use(image: Image.Image) -> Image.Image:
        _check_size(image, what)
        return _upright(image) if path is None else _upright_copy(image)

    if path is not None and not os.path.isfile(path):  # False, too, for names that no system takes
        raise ImageError(f"There is no image file '{source}'.")
    try:
        return use(source) if isinstance(source, Image.Image) else _read(Path(source), use)
    except SpherecorrError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{what} is not an image that can be read. Use PNG, JPEG or WebP.") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{what} is too large. Scale it down to at most {MAX_SIDE} pixels a side.") from error
    except Exception as error:  # see above
        if isinstance(error, OSError) and error.strerror:
            raise ImageError(f"{what} cannot be opened ({error.strerror}).") from error
        raise ImageError(f"{what} is damaged or cut off ({_text(error)}). Save it again and retry.") from error


def _read(path: Path, use: Callable[[Image.Image], Value]) -> Value:
    """What `use` makes of an image file. Raises whatever Pillow raises."""
    try:
        with _open_lazily(path) as image:
            return use(image)
    except SpherecorrError:
        raise
    except ValueError:  # among others, the length of a PNG file's texts
        content = path.read_bytes()
        if not content.startswith(PNG_SIGNATURE):
            raise
    with _open_lazily(BytesIO(_without_texts(content))) as image:
        return use(image)


def _open_lazily(file: Path | IO[bytes]) -> Image.Image:
    with warnings.catch_warnings():
        # Sizes are checked here, in words of our own.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(file, formats=_formats())


@cache
def _formats() -> list[str]:
    Image.init()
    return [name for name in Image.ID if name not in RUN_BY_OTHERS]


def _without_texts(png: bytes) -> bytes:
    """A PNG file's bytes without the chunks of text and colour profiles, but for those that may hold an orientation.

    Pillow's limits of their lengths are settings of the whole process, which are not ours to change.
    """
    kept, start = [png[: len(PNG_SIGNATURE)]], len(PNG_SIGNATURE)
    while start < len(png):
        end = start + 12 + int.from_bytes(png[start : start + 4], "big")  # length, kind, content, checksum
        kind, content = png[start + 4 : start + 8], png[start + 8 : end - 4]
        if kind not in PNG_TEXTS or content.startswith(PNG_ORIENTED_TEXTS):
            kept.append(png[start:end])
        start = end
    return b"".join(kept)


def _upright(image: Image.Image) -> Image.Image:
    """Decode, and apply the orientation; the result holds none, so that it is never applied twice."""
    image.load()
    method = None if image.format == "TIFF" else TURNS.get(_orientation(image) or 1)  # Pillow itself turns TIFF files
    if method is None:
        return image
    upright = image.transpose(method)
    for key in ORIENTED_INFO:
        upright.info.pop(key, None)
    return upright


def _upright_copy(image: Image.Image) -> Image.Image:
    """As `_upright`, independent of the file, which may be closed; it keeps the file's format."""
    upright = _upright(image)
    copy = upright.copy() if upright is image else upright
    copy.format = image.format
    return copy


def _upright_size(image: Image.Image) -> tuple[int, int]:
    if isinstance(image, TiffImageFile):  # whether `size` is upright before decoding depends on Pillow's version
        tags = image.tag_v2
        width, height = tags[ExifTags.Base.ImageWidth], tags[ExifTags.Base.ImageLength]
        orientation = tags.get(ExifTags.Base.Orientation)
    else:
        if image.format == "PNG":
            image.load()  # the orientation may stand behind the pixels
        (width, height), orientation = image.size, _orientation(image)
    return (height, width) if orientation in SIDEWAYS else (width, height)


def _orientation(image: Image.Image) -> int | None:
    """The EXIF orientation, read alone: other tags may hold anything."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # EXIF that cannot be parsed says nothing
        return None
    return value if isinstance(value, int) else None


def _text(error: Exception) -> str:
    """An exception's message in one line."""
    return " ".join(str(error).split()) or type(error).__name__


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
    """Grey of 16 bits, 32 bits or floats: PIL would clip at 255, so scale from the full range instead.

    It is 0 to 65,535 for 16 bits. Integers of 32 bits mostly hold 8 or 16 bits: values up to 255 are taken as 8 bits,
    others up to 65,535 as 16 bits. Whatever lies outside, and floats, are scaled from the least to the largest value.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0, posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I") and low >= 0 and high <= 65535:
        low, high = 0.0, 255.0 if image.mode == "I" and high <= 255 else 65535.0
    scaled = np.clip((values - low) / max(high - low, 1e-12) * 255, 0, 255)
    return Image.fromarray(scaled.round().astype(np.uint8)).convert("RGB")

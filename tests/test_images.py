"""Whatever a user hands over becomes one upright RGB picture, or one clear sentence."""

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from spherecorr.images import ImageError, alpha_mask, load_image, open_picture, picture_size

RED, WHITE = (255, 0, 0), (255, 255, 255)


def colours(image: Image.Image) -> list[tuple[int, int, int]]:
    """The top-left and the bottom-right pixel."""
    assert image.mode == "RGB"
    return [image.getpixel((0, 0)), image.getpixel((image.width - 1, image.height - 1))]


def half_transparent(mode: str) -> Image.Image:
    """32 x 32, its upper half opaque black, its lower half transparent over hidden black."""
    image = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 32, 16))
    return image.convert(mode)


def test_a_path_an_image_and_an_array_give_the_same(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, size=(20, 30, 3), dtype=np.uint8)
    Image.fromarray(array).save(tmp_path / "image.png")
    for source in [tmp_path / "image.png", str(tmp_path / "image.png"), Image.fromarray(array), array]:
        assert np.array_equal(np.asarray(load_image(source)), array)


def test_the_callers_image_is_left_alone():
    image = Image.new("RGB", (20, 20), RED)
    load_image(image).putpixel((0, 0), WHITE)
    assert image.getpixel((0, 0)) == RED


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "YCbCr", "HSV"])
def test_opaque_modes_become_rgb(mode):
    image = Image.new("RGB", (32, 32), "white")
    image.paste((0, 0, 0), (16, 16, 32, 32))
    assert colours(load_image(image.convert(mode))) == [WHITE, (0, 0, 0)]
    assert alpha_mask(image.convert(mode)) is None


def test_grey_and_rgba_arrays():
    assert colours(load_image(np.full((20, 20), 7, dtype=np.uint8))) == [(7, 7, 7)] * 2
    assert colours(load_image(np.zeros((20, 20, 4), dtype=np.uint8))) == [WHITE] * 2


def test_cmyk_jpeg(tmp_path):
    Image.new("CMYK", (32, 32), (0, 255, 255, 0)).save(tmp_path / "print.jpg", quality=95)
    # JPEG rounds colours by a few levels.
    np.testing.assert_allclose(colours(load_image(tmp_path / "print.jpg")), [RED] * 2, atol=4)


def test_16_bit_grey_png_keeps_its_range(tmp_path):
    values = np.zeros((20, 20), dtype=np.uint16)
    values[10:] = 65535
    values[:10] = 32896  # 128 / 255 of the range
    cv2.imwrite(str(tmp_path / "deep.png"), values)
    assert colours(load_image(tmp_path / "deep.png")) == [(128, 128, 128), WHITE]


def test_16_bit_colour_png(tmp_path):
    bgr = np.zeros((20, 20, 3), dtype=np.uint16)
    bgr[..., 2] = 65535
    cv2.imwrite(str(tmp_path / "deep.png"), bgr)
    assert colours(load_image(tmp_path / "deep.png")) == [RED] * 2


@pytest.mark.parametrize(
    ("values", "grey"),
    [
        ((0, 128, 255), (0, 128, 255)),  # 8 bits in 32
        ((0, 32896, 65535), (0, 128, 255)),  # 16 bits in 32
        ((-1000, 0, 1000), (0, 128, 255)),  # neither: from the least to the largest
        ((100_000, 150_000, 200_000), (0, 128, 255)),
    ],
)
def test_32_bit_tiff_is_scaled_by_the_bits_it_uses(tmp_path, values, grey):
    Image.fromarray(np.repeat(np.array([values], dtype=np.int32), 16, axis=0).repeat(16, axis=1)).save(
        tmp_path / "deep.tif"
    )
    image = load_image(tmp_path / "deep.tif")
    assert [image.getpixel((x, 0))[0] for x in (0, 16, 32)] == list(grey)


def test_a_dark_16_bit_picture_stays_dark(tmp_path):
    cv2.imwrite(str(tmp_path / "night.png"), np.full((20, 20), 255, dtype=np.uint16))
    assert colours(load_image(tmp_path / "night.png")) == [(1, 1, 1)] * 2


def test_float_tiff_is_scaled_from_its_own_range(tmp_path):
    values = np.full((20, 20), -1.0, dtype=np.float32)
    values[10:] = 3.0
    values[5, 5] = np.nan
    Image.fromarray(values).save(tmp_path / "depth.tif")
    assert colours(load_image(tmp_path / "depth.tif")) == [(0, 0, 0), WHITE]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_transparency_is_laid_over_white(mode, tmp_path):
    image = half_transparent("RGBA")
    if mode == "P":  # a palette with one transparent entry, as GIFs and small PNGs have
        image = image.quantize()
        image.save(tmp_path / "image.png")
        image = Image.open(tmp_path / "image.png")
    else:
        image = image.convert(mode)
    assert image.mode == mode
    assert colours(load_image(image)) == [(0, 0, 0), WHITE]


def test_alpha_mask_is_the_opaque_part():
    mask = alpha_mask(half_transparent("RGBA"))
    assert mask[:16].all() and not mask[16:].any()
    assert alpha_mask(Image.new("RGBA", (20, 20), (0, 0, 0, 255))) is None  # nothing transparent
    assert alpha_mask(Image.new("RGBA", (20, 20), (0, 0, 0, 0))) is None  # nothing to see


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_gives_an_upright_picture(orientation, tmp_path):
    upright = np.full((40, 60, 3), 255, dtype=np.uint8)
    upright[:20, :30] = RED  # red in the top-left quarter
    # How a camera that notes this orientation has stored the picture.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "photo.png", exif=exif)
    image = load_image(tmp_path / "photo.png")
    assert image.size == (60, 40)
    assert np.array_equal(np.asarray(image), upright)
    # Loading the loaded picture again must not turn it a second time.
    assert np.array_equal(np.asarray(load_image(image)), upright)


def quarter_red() -> np.ndarray:
    """64 x 32 in white, but red in the top-left quarter, which JPEG's blocks of 16 do not cross."""
    picture = np.full((32, 64, 3), 255, dtype=np.uint8)
    picture[:16, :32] = RED
    return picture


EXACT = {".jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}
"""Settings that keep colours, but for JPEG's rounding."""


def turned(path, exif: Image.Exif | bytes, **options) -> None:
    """Save `quarter_red` as a camera held upright stores it (orientation 6)."""
    stored = Image.fromarray(np.ascontiguousarray(quarter_red().transpose(1, 0, 2)[::-1]))
    stored.save(path, exif=exif, **options)


def is_upright(path) -> bool:
    """Whether every way to open a file turns it once; JPEG rounds colours by a few levels."""
    images = [load_image(path), load_image(load_image(path)), open_picture(path), load_image(open_picture(path))]
    close = all(np.abs(np.asarray(image, dtype=int) - quarter_red()).max() < 8 for image in images)
    return close and picture_size(path) == (64, 32)


@pytest.mark.parametrize("name", ["photo.png", "photo.jpg", "photo.webp", "photo.tif"])
def test_every_format_is_turned_once(name, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned(tmp_path / name, exif, **EXACT.get(name[-4:], {}))
    assert is_upright(tmp_path / name)


def test_a_compressed_tiff_is_turned_once(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned(tmp_path / "photo.tif", exif, compression="tiff_lzw")
    assert is_upright(tmp_path / "photo.tif")


def test_an_odd_tag_does_not_hide_the_orientation(tmp_path):
    """XResolution as bytes, which Pillow reads but cannot write again."""
    entries = struct.pack("<HHII", 0x0112, 3, 1, 6) + struct.pack("<HHI4s", 0x011A, 7, 4, b"abc\0")
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + struct.pack("<I", 0)
    turned(tmp_path / "photo.jpg", exif, **EXACT[".jpg"])
    assert is_upright(tmp_path / "photo.jpg")


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0no TIFF at all", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"])
def test_exif_that_is_none_loses_no_picture(exif, tmp_path):
    Image.fromarray(quarter_red()).save(tmp_path / "photo.jpg", exif=exif, **EXACT[".jpg"])
    assert is_upright(tmp_path / "photo.jpg")


LONG = "Long ago. " * 200_000  # 2 MB, which Pillow refuses


def with_long_text(path, compressed: bool = True, **options) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("story", LONG, zip=compressed)
    texts.add_text("comment", LONG, zip=compressed)
    Image.fromarray(quarter_red()).save(path, pnginfo=texts, icc_profile=LONG.encode(), **options)


def test_long_texts_and_profiles_lose_no_picture(tmp_path):
    path, settings = tmp_path / "long.png", (PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY)
    with_long_text(path)
    with pytest.raises(ValueError, match="MAX_TEXT_CHUNK"):
        Image.open(path)
    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(is_upright, [path] * 8))
    assert settings == (PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY)
    with pytest.raises(ValueError, match="MAX_TEXT_CHUNK"):  # for others all is as it was
        Image.open(path)


def test_a_long_text_behind_the_pixels_loses_no_picture(tmp_path):
    path = tmp_path / "long.png"
    Image.fromarray(quarter_red()).save(path)
    text = b"comment\0\0" + zlib.compress(LONG.encode())
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text + struct.pack(">I", zlib.crc32(b"zTXt" + text))
    path.write_bytes(path.read_bytes()[:-12] + chunk + path.read_bytes()[-12:])
    assert is_upright(path)


def test_a_long_text_does_not_hide_the_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    texts = PngImagePlugin.PngInfo()
    texts.add_text("comment", LONG, zip=True)
    turned(tmp_path / "exif.png", exif, pnginfo=texts)
    assert is_upright(tmp_path / "exif.png")
    texts.add_itxt("XML:com.adobe.xmp", '<rdf:Description tiff:Orientation="6"/>')
    turned(tmp_path / "xmp.png", b"", pnginfo=texts)
    assert is_upright(tmp_path / "xmp.png")


def test_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, WHITE)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert colours(load_image(tmp_path / "moving.gif")) == [RED] * 2


def test_missing_file(tmp_path):
    with pytest.raises(ImageError, match=r"There is no image file '.*nowhere\.png'"):
        load_image(tmp_path / "nowhere.png")
    with pytest.raises(ImageError, match="There is no image file"):
        load_image(tmp_path)  # a folder


def test_text_file_with_an_images_name(tmp_path):
    (tmp_path / "notes.png").write_text("no picture")
    with pytest.raises(ImageError, match=r"'notes\.png' is not an image that can be read"):
        load_image(tmp_path / "notes.png")


def test_no_other_program_is_run_to_read_a_picture(tmp_path, monkeypatch):
    """Pillow would have Ghostscript run an EPS file."""
    path = tmp_path / "program.png"
    Image.new("RGB", (40, 40), "red").save(path, "EPS")
    monkeypatch.setattr("subprocess.Popen", None)
    with pytest.raises(ImageError, match=r"'program.png' is not an image that can be read"):
        load_image(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp", "tif", "bmp"])
def test_truncated_file(suffix, tmp_path):
    path = tmp_path / f"cut.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, size=(64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match=r"'cut\..*' (is damaged or cut off|cannot be opened|is not an image)"):
        load_image(path)


def test_broken_bytes_never_give_another_kind_of_error(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "broken"
    image = Image.fromarray(rng.integers(0, 256, size=(32, 32, 3), dtype=np.uint8))
    refused = 0
    for kind in ["PNG", "JPEG", "GIF", "WEBP"]:
        image.save(path, kind)
        whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
        for _ in range(40):
            broken = whole.copy()
            broken[rng.integers(0, min(400, len(broken)), size=5)] = rng.integers(0, 256, size=5)
            path.write_bytes(broken.tobytes())
            try:
                load_image(path)
            except ImageError:
                refused += 1
    assert refused > 40  # most of these really are broken


def test_a_chunk_of_impossible_length_is_damage(tmp_path):
    """Pillow raises SyntaxError here."""
    path = tmp_path / "broken.png"
    Image.fromarray(quarter_red()).save(path)
    content = path.read_bytes()
    place = content.index(b"IDAT") - 4
    path.write_bytes(content[:place] + b"\0\0\0\1" + content[place + 4 :])
    with pytest.raises(ImageError, match=r"'broken\.png' is damaged or cut off"):
        load_image(path)
    for read in (open_picture, picture_size):
        with pytest.raises(ImageError, match=r"broken\.png' cannot be read as a picture \(.*\)\.$"):
            read(path)


def test_opening_keeps_the_mode_and_the_size(tmp_path):
    """For masks and the like: nothing is converted and no size refused."""
    Image.new("P", (3, 2)).save(tmp_path / "tiny.png")
    image = open_picture(tmp_path / "tiny.png")
    assert (image.mode, image.size, image.format) == ("P", (3, 2), "PNG")


def test_the_whole_path_names_a_file_of_a_dataset(tmp_path):
    for read in (open_picture, picture_size):
        with pytest.raises(ImageError) as mistake:
            read(tmp_path / "car" / "gone.png")
        assert str(mistake.value).startswith(f"'{tmp_path / 'car' / 'gone.png'}' cannot be read as a picture (")


@pytest.mark.parametrize("size", [(1, 1), (15, 300), (300, 15)])
def test_too_small(size):
    with pytest.raises(ImageError, match=f"only {size[0]} x {size[1]} pixels. Use one of at least 16"):
        load_image(Image.new("RGB", size))


def test_too_long(tmp_path):
    Image.new("1", (20_000, 20)).save(tmp_path / "long.png")
    with pytest.raises(ImageError, match=r"'long\.png' is 20000 x 20 pixels, which is too large"):
        load_image(tmp_path / "long.png")


@pytest.mark.parametrize("side", [12_000, 16_000])
def test_too_many_pixels_are_refused_before_they_are_decoded(side, tmp_path):
    """A file that only claims its size; with 16,000 a side Pillow itself calls it a bomb."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(png)
    with pytest.raises(ImageError, match=r"'bomb\.png' is .*too large"):
        load_image(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    "array", [np.zeros((20, 20), dtype=np.float32), np.zeros((20, 20, 2), dtype=np.uint8), np.zeros(20, dtype=np.uint8)]
)
def test_arrays_of_other_kinds(array):
    with pytest.raises(ImageError, match="An image array must be uint8 of shape"):
        load_image(array)

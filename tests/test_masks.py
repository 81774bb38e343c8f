"""Which pixels of a mask file are the object: every kind of file with an obvious answer, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from spherecorr.data.masks import VOC_CLASSES, read_mask, voc_colours
from spherecorr.data.records import DatasetError, ImageRecord
from spherecorr.data.spair import SPair71k

HORSE, PERSON, VOID = 13, 15, 255


def stripes(*values, dtype=np.uint8) -> np.ndarray:
    """A column of four pixels for each value, side by side."""
    return np.repeat(np.repeat(np.array([values], dtype), 4, axis=0), 4, axis=1)


def save(path, image):
    """Write a picture or an array."""
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path)
    return path


def read(path, category=None) -> tuple[list[bool], str]:
    """Whether each stripe is the object, and how the file was read."""
    mask, kind = read_mask(path, category)
    assert mask.dtype == bool and mask.ndim == 2
    assert all(len(set(mask[:, i : i + 4].ravel())) == 1 for i in range(0, mask.shape[1], 4))
    return mask[0, ::4].tolist(), kind


def in_colours(numbers: np.ndarray, palette: np.ndarray | None = None) -> Image.Image:
    """A picture with a palette, PASCAL's unless another is given."""
    image = Image.fromarray(numbers, "P")
    image.putpalette((voc_colours() if palette is None else palette).astype(np.uint8).tobytes())
    return image


def refused(path, category=None) -> str:
    with pytest.raises(DatasetError) as mistake:
        read_mask(path, category)
    message = str(mistake.value)
    assert str(path) in message and "\n" not in message and message.endswith("255 on the object and 0 elsewhere.")
    return message


# Two values


@pytest.mark.parametrize("values", [(0, 255), (0, 1), (0, 100)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_of_two_values_the_one_that_is_not_0_is_the_object(tmp_path, values, dtype):
    path = save(tmp_path / "mask.tif", stripes(*values, dtype=dtype))
    assert read(path, "horse") == ([False, True], "binary")


def test_one_bit(tmp_path):
    assert read(save(tmp_path / "mask.png", stripes(False, True, dtype=bool))) == ([False, True], "binary")


def test_black_and_white_in_any_order_of_the_palette_and_one_colour_on_black(tmp_path):
    palette = np.zeros((256, 3))
    palette[0] = 255
    assert read(save(tmp_path / "white_first.png", in_colours(stripes(1, 0), palette))) == ([False, True], "binary")
    palette[0] = (255, 0, 0)
    assert read(save(tmp_path / "red_first.png", in_colours(stripes(1, 0), palette))) == ([False, True], "binary")
    rgb = np.zeros((4, 8, 3), np.uint8)
    rgb[:, 4:] = (0, 60, 0)  # a dark green
    assert read(save(tmp_path / "green.png", rgb)) == ([False, True], "binary")


@pytest.mark.parametrize(("value", "expected"), [(0, [False]), (255, [True]), (1, [True])])
def test_a_mask_of_one_value_is_empty_or_full(tmp_path, value, expected):
    assert read(save(tmp_path / "mask.png", stripes(value)), "horse") == (expected, "binary")


# Maps of PASCAL's classes


@pytest.mark.parametrize("form", [lambda numbers: numbers, in_colours], ids=["grey", "palette"])
def test_the_rider_is_no_part_of_the_horse_and_the_border_of_neither(tmp_path, form):
    path = save(tmp_path / "map.png", form(stripes(0, HORSE, PERSON, VOID)))
    assert read(path, "horse") == ([False, True, False, False], "class map")
    assert read(path, "person") == ([False, False, True, False], "class map")


def test_maps_in_16_bits_and_in_colours_of_their_own(tmp_path):
    numbers = stripes(0, HORSE, PERSON, VOID)
    path = save(tmp_path / "deep.png", numbers.astype(np.uint16))
    assert read(path, "horse") == ([False, True, False, False], "class map")
    palette = np.random.default_rng(0).integers(0, 256, (256, 3))
    palette[0] = 0
    path = save(tmp_path / "own.png", in_colours(numbers, palette))
    assert read(path, "horse") == ([False, True, False, False], "class map")


def test_every_class_is_found_by_its_number(tmp_path):
    path = save(tmp_path / "map.png", in_colours(stripes(*range(21))))
    for number, name in enumerate(VOC_CLASSES, start=1):
        assert read(path, name) == ([i == number for i in range(21)], "class map")


def test_a_map_without_the_category_says_what_it_holds(tmp_path):
    for name, form in (("grey.png", lambda numbers: numbers), ("palette.png", in_colours)):
        message = refused(save(tmp_path / name, form(stripes(0, PERSON, VOID))), "horse")
        assert "15 (person)" in message and "'horse' is none of them" in message
    assert "15 (person)" in refused(save(tmp_path / "only.png", stripes(0, PERSON)), "horse")
    assert "255" in refused(save(tmp_path / "void.png", in_colours(stripes(0, VOID))), "horse")


def test_several_numbers_without_a_class_are_ambiguous(tmp_path):
    path = save(tmp_path / "map.png", stripes(0, HORSE, PERSON))
    assert "13 (horse), 15 (person); which is the object is not known" in refused(path)
    assert "'mug' is none of them" in refused(path, "mug")
    assert "255" in refused(save(tmp_path / "border_or_object.png", stripes(0, 1, 255)), "horse")


def test_one_number_needs_no_class_and_a_palette_tells_its_border(tmp_path):
    assert read(save(tmp_path / "one.png", stripes(0, 7)), "mug") == ([False, True], "binary")
    path = save(tmp_path / "border.png", in_colours(stripes(0, 1, VOID)))
    assert read(path, "horse") == ([False, True, False], "binary")


def test_pascals_palette():
    """As the devkit lists it: aeroplane, bicycle, car, horse, tvmonitor, void."""
    assert voc_colours()[[0, 1, 2, 7, 13, 20, 255]].tolist() == [
        *([0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 128], [192, 0, 128], [0, 64, 128]),
        [224, 224, 192],
    ]


# Soft masks


def test_a_soft_mask_is_the_object_above_half(tmp_path):
    expected = ([False, False, False, True, True], "soft")
    assert read(save(tmp_path / "8.png", stripes(0, 60, 127, 128, 250)), "horse") == expected
    assert read(save(tmp_path / "16.png", stripes(0, 300, 32767, 32768, 60000, dtype=np.uint16))) == expected
    assert read(save(tmp_path / "32.tif", stripes(0, 60, 127, 128, 250, dtype=np.int32))) == expected
    assert read(save(tmp_path / "float.tif", stripes(0, 0.1, 0.5, 0.51, 1, dtype=np.float32))) == expected
    assert read(save(tmp_path / "rgb.png", np.stack([stripes(0, 60, 127, 128, 250)] * 3, axis=2))) == expected


def test_several_dim_values_are_ambiguous(tmp_path):
    """Numbers of parts or instances, as likely as a soft mask."""
    assert "none above 127.5, half of its range" in refused(save(tmp_path / "parts.png", stripes(0, 21, 22, 90)))


@pytest.mark.parametrize("name", ["mask.jpg", "mask.webp"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_noise_of_compression_is_no_object(tmp_path, name, mode):
    y, x = np.mgrid[:64, :64]
    disc = (x - 31.5) ** 2 + (y - 31.5) ** 2 < 20**2
    Image.fromarray(disc.astype(np.uint8) * 255).convert(mode).save(tmp_path / name, quality=30)
    assert ((np.asarray(Image.open(tmp_path / name).convert("L")) > 0) != disc).mean() > 0.05  # noise all around
    mask, kind = read_mask(tmp_path / name, "horse")
    assert kind == "soft" and (mask != disc).mean() < 0.01  # pixels of the edge alone


# Cut-outs and pictures


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_cut_out_is_what_is_opaque(tmp_path, mode):
    image = Image.new("RGBA", (16, 4), (9, 9, 9))  # as dark as its background
    image.putalpha(Image.fromarray(stripes(0, 127, 128, 255)))
    assert read(save(tmp_path / "cut.png", image.convert(mode)), "horse") == ([False, False, True, True], "cut-out")


def test_a_transparent_background_does_not_hide_classes(tmp_path):
    image = in_colours(stripes(0, HORSE, PERSON))
    image.save(tmp_path / "map.png", transparency=0)
    assert read(tmp_path / "map.png", "horse") == ([False, True, False], "class map")


def test_alpha_that_is_the_same_everywhere_says_nothing(tmp_path):
    image = Image.fromarray(stripes(0, 255)).convert("RGBA")
    assert read(save(tmp_path / "mask.png", image)) == ([False, True], "binary")


def test_a_photograph_is_no_mask(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    for name in ("photo.png", "photo.jpg"):
        assert "has several colours" in refused(save(tmp_path / name, noise))


def test_a_mask_is_turned_with_its_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stripes(0, 255)).save(tmp_path / "mask.png", exif=exif)
    mask, _ = read_mask(tmp_path / "mask.png")
    assert mask.shape == (8, 4) and not mask[:4].any() and mask[4:].all()


def test_a_broken_mask_is_named(tmp_path):
    (tmp_path / "mask.png").write_bytes(b"no picture")
    for name in ("mask.png", "gone.png"):
        with pytest.raises(DatasetError, match=rf"{name}' cannot be read as a picture \("):
            read_mask(tmp_path / name)


# As records read them


def test_a_record_reads_its_category(tmp_path):
    mask = save(tmp_path / "map.png", stripes(0, HORSE, PERSON, VOID))
    record = ImageRecord("horse/a", tmp_path / "a.jpg", (16, 4), "horse", None, {}, mask=mask)
    assert record.load_mask()[0, ::4].tolist() == [False, True, False, False]


@pytest.mark.parametrize("folder", ["no_azimuth_id", "one_picture_1to40"])
def test_spairs_segmentation(test_data, folder):
    """Class numbers in grey: 13 for horses, 15 for their riders."""
    root = test_data / "data" / "odd_files" / "spair" / folder
    image = SPair71k(root).images("trn")[0]
    numbers = np.asarray(Image.open(image.mask))
    assert set(np.unique(numbers)) == {0, HORSE, PERSON}
    assert np.array_equal(image.load_mask(), numbers == HORSE)

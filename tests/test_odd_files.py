"""The test data's odd files: what is sound is read rightly, what is not is refused in one sentence that names it.

Small cases of the same kinds are made in test_images, test_masks, test_files, test_datasets and test_spair, which need
no test data.
"""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spherecorr.data.check import check_split
from spherecorr.data.folder import Folder
from spherecorr.data.records import DatasetError
from spherecorr.data.spair import SPair71k
from spherecorr.evaluation.evaluate import evaluate
from spherecorr.evaluation.inputs import read_pairs
from spherecorr.features import FeatureMap
from spherecorr.geometry import pad_to_square
from spherecorr.identity import FeatureSource
from spherecorr.images import ImageError, load_image, open_picture, picture_size

ODD = Path(os.environ.get("SPHERECORR_TEST_DATA", "nowhere")) / "data" / "odd_files"
pytestmark = [
    pytest.mark.skipif(not ODD.is_dir(), reason="SPHERECORR_TEST_DATA names no folder with data/odd_files"),
    pytest.mark.filterwarnings("ignore::UserWarning:PIL"),  # Pillow's, about EXIF and palettes
]
PHOTO, GREY = (138, 107, 109), (117, 117, 117)
"""Mean colours of the picture that nearly all files hold, and of its grey form."""

# Name -> size when upright, and mean colour; or what the refusal says. Those in pass/ were always read so.
IMAGES = {
    "fail/exif_orient6_resolution_as_bytes.jpg": ((48, 64), PHOTO),
    "fail/png16_12bit.png": ((64, 48), (7, 7, 7)),  # 12 of 16 bits, so it is dark
    "fail/png16_full.png": ((64, 48), GREY),
    "fail/png_broken_chunk_length.png": "is damaged or cut off",
    "fail/png_giant_header.png": "is too large",
    "fail/png_icc_2MB.png": ((64, 48), PHOTO),
    "fail/png_itxt_2MB.png": ((64, 48), PHOTO),
    "fail/png_ztxt_2MB.png": ((64, 48), PHOTO),
    "fail/tall_1to40.png": ((40, 1600), (137, 110, 112)),
    "fail/tif_int32_0_255.tif": ((64, 48), GREY),
    "fail/tiff_orient6.tif": ((48, 64), PHOTO),
    "fail/tiff_orient6_lzw.tif": ((48, 64), PHOTO),
    **{f"pass/anim.{ending}": ((64, 48), PHOTO) for ending in ("gif", "png", "webp")},
    "pass/avif_orient6.avif": ((48, 64), PHOTO),
    "pass/exif_blank.jpg": ((64, 48), PHOTO),
    "pass/exif_doubled_marker_orient6.jpg": ((48, 64), PHOTO),
    "pass/exif_no_tiff_header.jpg": ((64, 48), PHOTO),
    "pass/exif_orient0.jpg": ((64, 48), PHOTO),
    "pass/exif_orient6_as_long.jpg": ((48, 64), PHOTO),
    "pass/exif_orient6_as_text.jpg": ((64, 48), PHOTO),
    "pass/exif_orient6_ifd_pointer_beyond.jpg": ((48, 64), PHOTO),
    "pass/exif_orient6_two_resolutions.jpg": ((48, 64), PHOTO),
    "pass/exif_orient6_two_values.jpg": ((48, 64), PHOTO),
    **{f"pass/exif_orient_{i}.jpg": ((64, 48), PHOTO) for i in range(1, 5)},
    **{f"pass/exif_orient_{i}.jpg": ((48, 64), PHOTO) for i in range(5, 9)},
    "pass/exif_truncated_ifd.jpg": ((64, 48), PHOTO),
    "pass/jpg_cmyk.jpg": ((64, 48), PHOTO),
    "pass/jpg_cut.jpg": "is damaged or cut off",
    "pass/jpg_no_eoi.jpg": "is damaged or cut off",
    "pass/jpg_trailing_junk.jpg": ((64, 48), PHOTO),
    "pass/mpo_orient6.jpg": ((48, 64), PHOTO),
    "pass/one_pixel_wide.png": "is only 1 x 200 pixels",
    "pass/png16_grey_trns.png": ((64, 48), GREY),
    "pass/png16_rgb.png": ((64, 48), PHOTO),
    "pass/png16_rgba.png": ((64, 48), (219, 184, 197)),  # over white, as the following with transparency
    "pass/png_1bit.png": ((64, 48), GREY),
    "pass/png_bad_crc.png": "is damaged or cut off",
    "pass/png_cut.png": "is damaged or cut off",
    "pass/png_la.png": ((64, 48), (194, 194, 194)),
    "pass/png_orient6.png": ((48, 64), PHOTO),
    "pass/png_palette_trns.png": ((64, 48), (142, 109, 112)),
    "pass/png_palette_trns_bytes.png": ((64, 48), (196, 162, 172)),
    "pass/tall_16x640.png": ((16, 640), (134, 109, 110)),
    "pass/tif16_rgb.tif": ((64, 48), PHOTO),
    "pass/tif_cmyk.tif": ((64, 48), PHOTO),
    "pass/tif_float.tif": ((64, 48), (119, 119, 119)),
    "pass/tif_lab.tif": ((64, 48), PHOTO),
    "pass/tif_ycbcr.tif": "is damaged or cut off",
    "pass/webp_orient6.webp": ((48, 64), PHOTO),
    "pass/xmp_orient6.jpg": ((48, 64), PHOTO),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images(name):
    path, expected = ODD / "images" / name, IMAGES[name]
    if isinstance(expected, str):
        with pytest.raises(ImageError, match=f"'{path.name}' {expected}") as mistake:
            load_image(path)
        assert "\n" not in str(mistake.value)
        return
    size, colour = expected
    image = load_image(path)
    assert image.size == size == picture_size(path) == open_picture(path).size
    assert load_image(image).tobytes() == load_image(open_picture(path)).tobytes() == image.tobytes()
    # Lossy formats and rounding of the table: a level and a half.
    np.testing.assert_allclose(np.asarray(image).mean(axis=(0, 1)), colour, atol=1.5)


def test_no_image_is_forgotten():
    assert {f"{path.parent.name}/{path.name}" for path in (ODD / "images").glob("*/*")} == set(IMAGES)


def test_broken_images_of_a_dataset_are_left_out(tmp_path):
    """Every file as a picture of a folder: the sound ones stay, each other one has its sentence."""
    for name in IMAGES:
        shutil.copy(ODD / "images" / name, tmp_path / Path(name).name)
    rows = [f"{Path(name).name},car,0" for name in IMAGES]
    (tmp_path / "viewpoints.csv").write_text("\n".join(["image,category,azimuth", *rows]))
    broken: list[str] = []
    count = check_split(Folder(tmp_path), "all", broken)
    refused = [Path(name).name for name, expected in IMAGES.items() if isinstance(expected, str)]
    assert len(broken) == len(refused)
    assert all(any(f"{name}'" in sentence for sentence in broken) for name in refused)
    assert count.images == len({Path(name).stem for name in IMAGES} - {Path(name).stem for name in refused})


# File -> the azimuths of its rows, or what the refusal says.
TABLES = {
    "fail/blank_spreadsheet_rows.csv": [10],
    "pass/csv_azimuth_degree_sign.csv": "line 2' has the azimuth '10°', which is no number of degrees",
    "pass/csv_backslash.csv": "cannot be read as a picture",
    "pass/csv_bin_8.csv": "line 2' has the azimuth bin 8, which is none of 0 to 7",
    "pass/csv_bin_float.csv": "line 2' has neither an azimuth nor an azimuth_bin of 0 to 7",
    "pass/csv_bom.csv": [10],
    "pass/csv_both_conflict.csv": [10],
    "pass/csv_category_slash.csv": [10],
    "pass/csv_cp1252.csv": "viewpoints.csv' is no text file",
    "pass/csv_cr_only.csv": [10, 20],
    "pass/csv_crlf.csv": [10],
    "pass/csv_dup.csv": [10, 200],
    "pass/csv_dup_header.csv": [20],
    "pass/csv_elev_100.csv": "line 2' has the elevation 100.0, which is not -90 to 90 degrees",
    "pass/csv_empty_category.csv": [10],
    "pass/csv_nan_azimuth.csv": "line 2' has the azimuth 'nan', which is no number of degrees",
    "pass/csv_neg_azimuth.csv": [349.5],
    "pass/csv_nfd.csv": "cannot be read as a picture",  # a decomposed name of a file that has a composed one
    "pass/csv_plain.csv": [10, 20],
    "pass/csv_quoted_newline.csv": [10, 20],
    "pass/csv_same_stem.csv": [10, 200],
    "pass/csv_semicolons.csv": "viewpoints.csv' lacks the column 'image'",
    "pass/csv_semicolons_comma_decimal.csv": "viewpoints.csv' lacks the column 'image'",
    "pass/csv_spaces_header.csv": "viewpoints.csv' lacks the column 'category'",
    "pass/csv_spaces_values.csv": "cannot be read as a picture",
    "pass/csv_tabs.csv": "viewpoints.csv' lacks the column 'image'",
    "pass/csv_trailing_commas.csv": [10],
    "pass/csv_u2028.csv": "line 3' has another number of fields than the header",
    "pass/csv_upper_header.csv": "viewpoints.csv' lacks the column 'image'",
    "pass/csv_utf16.csv": "viewpoints.csv' is no text file",
    "pass/csv_utf8_umlaut.csv": [10],
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(name, tmp_path):
    for picture in ("a0.jpg", "a1.jpg", "a0.png", "sub dir/ä.JPG"):
        (tmp_path / picture).parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 48)).save(tmp_path / picture)
    shutil.copy(ODD / "csv" / name, tmp_path / "viewpoints.csv")
    expected = TABLES[name]
    if isinstance(expected, str):
        with pytest.raises(DatasetError) as mistake:
            Folder(tmp_path).images("all")
        assert expected in str(mistake.value) and str(tmp_path) in str(mistake.value)
    else:
        assert [image.azimuth for image in Folder(tmp_path).images("all")] == expected


def test_no_table_is_forgotten():
    assert {f"{path.parent.name}/{path.name}" for path in (ODD / "csv").glob("*/*")} == set(TABLES)


def test_spair_without_azimuths_evaluates():
    dataset = SPair71k(ODD / "spair" / "no_azimuth_id")
    (pair,) = read_pairs(dataset, "trn")
    assert pair.source.azimuth_bin is None and pair.source.viewpoint is None
    frame = pad_to_square(pair.source.size, 80, 10)
    # Both pictures have the same keypoint at the same place, and the same features everywhere.
    same = FeatureMap(torch.randn(4, 8, 8, generator=torch.manual_seed(0)), frame, FeatureSource("by-hand", 4, 10, 0))
    report = evaluate(dataset.pairs("trn"), {pair.source.id: same, pair.target.id: same})
    assert report.value("PCK", "raw") == 1


def test_masks_of_spair_are_the_categorys(tmp_path):
    count = check_split(SPair71k(ODD / "spair" / "no_azimuth_id"), "trn")
    assert count.mask_kinds == {"class map": count.masks}

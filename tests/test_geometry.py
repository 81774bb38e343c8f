"""Pixels and cells: exact hand-made cases, and round trips over many random framings."""

import numpy as np
import pytest
from PIL import Image

from spherecorr.errors import SpherecorrError
from spherecorr.geometry import (
    Framing,
    cells_to_image,
    frame_image,
    mask_to_cells,
    pad_to_square,
    resize_to_fit,
    stretch_to_square,
)


def random_framings(count: int = 100) -> list[Framing]:
    """Image sizes from thumbnails to panoramas, framed every way, with the patch sizes of the field."""
    rng = np.random.default_rng(0)
    framings = []
    for _ in range(count):
        size = tuple(int(side) for side in rng.integers(16, 3000, size=2))
        patch = int(rng.choice([8, 14, 16]))
        resolution = patch * int(rng.integers(4, 64))
        framings += [frame(size, resolution, patch) for frame in (resize_to_fit, pad_to_square, stretch_to_square)]
    return framings


def all_cells(framing: Framing) -> np.ndarray:
    columns, rows = np.meshgrid(np.arange(framing.grid[0]), np.arange(framing.grid[1]))
    return np.stack([columns, rows], axis=-1)


def test_half_pixel_by_hand():
    framing = resize_to_fit((28, 28), 28, 14)  # scale 1: two by two cells of 14 pixels
    assert framing.grid == (2, 2) and framing.scale == (1.0, 1.0)
    assert framing.to_pixel((0, 0)).tolist() == [7, 7]
    assert framing.to_pixel((1, 0)).tolist() == [21, 7]
    # The last pixel of the first cell has its centre at 13.5, the first one of the next cell at 14.5.
    assert framing.to_cell([(13.5, 0.5), (14.5, 0.5)]).tolist() == [[0, 0], [1, 0]]
    # A cell's edge belongs to the cell that starts there; the image's far edge to the last cell.
    assert framing.to_cell([(0, 0), (14, 14), (28, 28)]).tolist() == [[0, 0], [1, 1], [1, 1]]


def test_scaled_image_by_hand():
    framing = resize_to_fit((112, 56), 28, 14)  # 112 x 56 -> 28 x 14: a cell is 56 original pixels wide
    assert framing.grid == (2, 1) and framing.input_size == (28, 14)
    assert framing.to_pixel([(0, 0), (1, 0)]).tolist() == [[28, 28], [84, 28]]
    assert framing.to_cell([(55.5, 10), (56.5, 40)]).tolist() == [[0, 0], [1, 0]]


def test_padded_image_by_hand():
    framing = pad_to_square((112, 56), 56, 14)  # 56 x 28 in the middle of 56 x 56: one row of cells above, one below
    assert framing.grid == (4, 4) and framing.offset == (0.0, 14.0) and framing.content_size == (56, 28)
    assert framing.to_pixel((0, 1)).tolist() == [14, 14]
    assert framing.content_cells().tolist() == [[False] * 4, [True] * 4, [True] * 4, [False] * 4]
    # The image's edges belong to its own cells, not to the padding's.
    assert framing.to_cell([(0, 0), (112, 56)]).tolist() == [[0, 1], [3, 2]]


@pytest.mark.parametrize(
    ("size", "resolution", "patch", "grid"),
    [
        ((500, 375), 448, 16, (28, 21)),
        ((375, 500), 448, 16, (21, 28)),
        ((640, 480), 518, 14, (37, 28)),  # 480 * 518 / 640 = 388.5 px: 27.75 patches
        ((16, 3000), 448, 14, (1, 32)),  # never less than one patch
    ],
)
def test_fit_keeps_the_aspect_ratio_up_to_half_a_patch(size, resolution, patch, grid):
    assert resize_to_fit(size, resolution, patch).grid == grid


def test_stretched_image_by_hand():
    framing = stretch_to_square((112, 56), 28, 14)  # two by two cells of 56 x 28 original pixels
    assert framing.grid == (2, 2) and framing.scale == (0.25, 0.5) and framing.content_size == (28, 28)
    assert framing.to_pixel([(0, 0), (1, 1)]).tolist() == [[28, 14], [84, 42]]
    assert framing.to_cell([(55.5, 27.5), (56.5, 28.5), (112, 56)]).tolist() == [[0, 0], [1, 1], [1, 1]]
    assert framing.content_cells().all()


@pytest.mark.parametrize("frame", [pad_to_square, stretch_to_square])
def test_squares_refuse_a_resolution_between_patches(frame):
    with pytest.raises(SpherecorrError, match="Resolution 450 is not a multiple of the patch size 14"):
        frame((100, 50), 450, 14)


def test_cells_survive_the_way_over_pixels():
    for framing in random_framings():
        cells = all_cells(framing)[framing.content_cells()]
        assert np.array_equal(framing.to_cell(framing.to_pixel(cells)), cells)


def test_to_grid_and_from_grid_are_inverse():
    rng = np.random.default_rng(1)
    for framing in random_framings():
        points = rng.uniform(0, framing.image_size, size=(50, 2))
        # Relative to image sides up to 3,000 px this is a few units in the last place of a double.
        np.testing.assert_allclose(framing.from_grid(framing.to_grid(points)), points, rtol=0, atol=1e-9)


def test_a_point_lies_at_most_half_a_cell_from_its_cells_centre():
    rng = np.random.default_rng(2)
    for framing in random_framings():
        points = rng.uniform(0, framing.image_size, size=(50, 2))
        distance = np.abs(framing.to_pixel(framing.to_cell(points)) - points)
        assert (distance <= framing.patch / 2 / np.array(framing.scale) + 1e-6).all()


def test_every_corner_falls_into_a_cell_that_holds_some_of_the_image():
    for framing in random_framings():
        width, height = framing.image_size
        cells = framing.to_cell([(0, 0), (width, 0), (0, height), (width, height)])
        starts, ends = framing.from_grid(cells), framing.from_grid(cells + 1)
        assert (starts < framing.image_size).all() and (ends > 0).all()


def test_framed_images_have_the_inputs_size():
    for framing in random_framings(10):
        framed = frame_image(Image.new("RGB", framing.image_size, "white"), framing)
        assert framed.shape == (*framing.input_size[::-1], 3) and framed.dtype == np.uint8
        # White on black padding: what is lit is exactly the resized image.
        content = framing.content_size
        assert (framed > 0).all(axis=-1).sum() == content[0] * content[1]


@pytest.mark.parametrize("frame", [resize_to_fit, pad_to_square])
def test_a_bright_patch_arrives_in_its_cell_and_comes_back(frame):
    framing = frame((320, 200), 224, 14)
    for column, row in [(3, 4), (1, 6), (14, 7), (9, 8)]:
        (left, top), (right, bottom) = framing.from_grid([(column, row), (column + 1, row + 1)])
        pixels = np.zeros((200, 320, 3), dtype=np.uint8)
        pixels[round(top) : round(bottom), round(left) : round(right)] = 255

        framed = frame_image(Image.fromarray(pixels), framing)
        columns, rows = framing.grid
        brightness = framed[..., 0].reshape(rows, 14, columns, 14).mean(axis=(1, 3))
        brightest = np.unravel_index(brightness.argmax(), brightness.shape)
        centre = ((left + right) / 2, (top + bottom) / 2)
        assert brightest[::-1] == (column, row) == tuple(framing.to_cell(centre))

        back = cells_to_image(brightness, framing)
        peak_row, peak_column = np.unravel_index(back.argmax(), back.shape)
        # The centre of the brightest pixel is the patch's centre, to half a pixel on each axis.
        assert abs(peak_column + 0.5 - centre[0]) <= 0.5 and abs(peak_row + 0.5 - centre[1]) <= 0.5


def test_cells_to_image_by_hand():
    framing = resize_to_fit((4, 2), 4, 2)  # two cells of 2 x 2 pixels, centres at x = 1 and x = 3
    values = np.array([[0.0, 1.0]])
    blocks = cells_to_image(values, framing, smooth=False)
    assert blocks.tolist() == [[0, 0, 1, 1]] * 2
    # Pixel centres 0.5, 1.5, 2.5, 3.5 against cell centres 1 and 3; outside them the nearest value.
    smooth = cells_to_image(values, framing)
    assert smooth.tolist() == [[0, 0.25, 0.75, 1]] * 2


def test_cells_to_image_of_another_size_and_with_channels():
    framing = pad_to_square((100, 50), 56, 14)
    values = np.zeros((4, 4, 3))
    values[1:3] = (1.0, 2.0, 3.0)
    shown = cells_to_image(values, framing, size=(40, 20), smooth=False)
    assert shown.shape == (20, 40, 3)
    assert (shown == (1.0, 2.0, 3.0)).all()  # the padding's rows are cut away


def test_blocks_agree_with_to_cell():
    for framing in random_framings(20):
        columns, rows = framing.grid
        index = np.arange(rows * columns).reshape(rows, columns)
        shown = cells_to_image(index, framing, size=(64, 48), smooth=False)
        step = np.array(framing.image_size) / (64, 48)
        cells = framing.to_cell([(10.5, 20.5) * step, (63.5, 0.5) * step])
        assert [shown[20, 10], shown[0, 63]] == [index[row, column] for column, row in cells]


def test_a_mask_cell_needs_more_than_half_coverage():
    framing = resize_to_fit((28, 14), 28, 14)
    for width, expected in [(6, [False, False]), (7, [False, False]), (8, [True, False]), (28, [True, True])]:
        mask = np.zeros((14, 28), dtype=bool)
        mask[:, :width] = True
        assert mask_to_cells(mask, framing).tolist() == [expected]


def test_a_mask_never_covers_padding():
    for framing in random_framings(20):
        mask = np.ones(framing.image_size[::-1], dtype=bool)
        assert not (mask_to_cells(mask, framing) & ~framing.content_cells()).any()


def test_check_points():
    framing = resize_to_fit((100, 50), 28, 14)
    assert framing.check_points([(0, 0), (100, 50)]).tolist() == [[0, 0], [100, 50]]
    assert framing.check_points([]).shape == (0, 2)
    with pytest.raises(SpherecorrError, match=r"Point \(100.5, 3\) lies outside the image, which is 100 x 50 pixels"):
        framing.check_points([(1, 1), (100.5, 3)])
    with pytest.raises(SpherecorrError, match="not a finite number"):
        framing.check_points([(float("nan"), 1)])
    for broken in [(1, 2), [(1, 2, 3)], [(1, 2), (3,)], [("a", "b")]]:
        with pytest.raises(SpherecorrError, match="list of \\(x, y\\) pairs"):
            framing.check_points(broken)

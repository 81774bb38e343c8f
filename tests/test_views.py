import numpy as np
import pytest
import torch
from PIL import Image

from spherecorr.features import FeatureMap, SphereMap
from spherecorr.geometry import resize_to_fit
from spherecorr.identity import FeatureSource
from spherecorr.matching.match import match_images
from spherecorr.matching.similarity import ImageFeatures
from spherecorr.views.matches import COLOURS, draw_pins, match_figure, overlay_heat, text_colour
from spherecorr.views.pca import paint_cells, pca_pictures
from spherecorr.views.sphere_plot import MAX_PATCHES, camera, great_circle, sphere_figure, sphere_patches
from spherecorr.views.spheremap import sphere_picture

GREY = Image.new("RGB", (300, 200), "#808080")
SOURCE = FeatureSource("tiny", dim=4, patch=10, layer=0)


def changed(before, after):
    return np.argwhere((np.asarray(before) != np.asarray(after)).any(axis=-1))[:, ::-1] + 0.5


def sphere_map(vector, framing):
    points = torch.tensor(vector, dtype=torch.float32)[:, None, None]
    return SphereMap(points.expand(3, framing.grid[1], framing.grid[0]).clone(), framing)


def test_a_pin_has_its_colour_at_the_point_and_stands_above_it():
    drawn = draw_pins(GREY, np.array([[150.5, 120.5]]))
    assert drawn.getpixel((150, 120)) == (0xE2, 0x01, 0x34)
    xs, ys = changed(GREY, drawn).T
    assert abs(xs.mean() - 150.5) < 1
    assert 120.5 < ys.max() < 124  # only the rim of the tip reaches below the point
    assert GREY.getpixel((150, 120)) == (128, 128, 128)  # the given image is left alone


def test_a_pin_at_the_top_edge_hangs_below_its_point():
    ys = changed(GREY, draw_pins(GREY, np.array([[150.5, 2.5]])))[:, 1]
    assert ys.max() > 15


@pytest.mark.parametrize("spread", [0, 3, 8, 15], ids="{} px apart".format)
def test_the_heads_of_near_pins_spread_out_so_that_every_number_can_be_read(spread):
    steps = np.arange(12)[:, None] * np.array([[spread / 2, spread / 3]])
    drawn = np.asarray(draw_pins(GREY, np.array([[100.5, 90.5]]) + steps, active=4)).reshape(-1, 3)
    radius = 2.6 * 3  # for an image of 300 pixels
    for colour in COLOURS:
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (drawn == rgb).all(axis=1).sum() > 0.5 * np.pi * radius**2  # the rest is the number


def test_the_tips_of_near_pins_stay_where_they_are_and_are_not_covered():
    points = np.array([[150.5, 100.5], [156.5, 100.5], [150.5, 106.5], [158.5, 110.5]])
    drawn = draw_pins(GREY, points, active=2)
    for (x, y), colour in zip(points.astype(int).tolist(), COLOURS, strict=False):
        assert drawn.getpixel((x, y)) == tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def test_pins_may_lie_in_corners_or_nowhere():
    corners = np.array([[0, 0], [300, 0], [0, 200], [300, 200], [np.nan, np.nan]])
    assert draw_pins(GREY, corners).size == GREY.size


def test_the_active_pin_is_larger():
    point = np.array([[150.5, 120.5]])
    assert len(changed(GREY, draw_pins(GREY, point, active=0))) > 1.3 * len(changed(GREY, draw_pins(GREY, point)))


def test_there_are_twelve_colours_and_their_numbers_can_be_read():
    assert len(set(COLOURS)) == 12
    assert text_colour("#ffffff") == "black" and text_colour("#000080") == "white"


def test_heat_is_brightest_where_the_similarity_is_highest_and_leaves_the_image_alone_at_opacity_0():
    framing = resize_to_fit((300, 200), 300, 10)
    row = np.full((20, 30), -np.inf)
    row[5:15, 5:25] = 0.1
    row[10, 20] = 0.9  # its centre is at (205, 105)
    hot = np.asarray(overlay_heat(GREY, row, framing, 1.0)).astype(int).sum(axis=2)
    y, x = np.unravel_index(hot.argmax(), hot.shape)
    assert abs(x + 0.5 - 205) <= 2 and abs(y + 0.5 - 105) <= 2
    assert overlay_heat(GREY, row, framing, 0.0) is GREY
    assert not len(changed(GREY, overlay_heat(GREY, np.full((20, 30), -np.inf), framing, 1.0)))


def test_cells_are_painted_where_they_lie_and_background_is_black():
    framing = resize_to_fit((40, 20), 40, 10)
    colours = np.zeros((2, 4, 3))
    colours[0, 3] = 1, 0, 0
    colours[1, 0] = 0, 1, 0
    foreground = np.ones((2, 4), dtype=bool)
    foreground[1, 0] = False
    picture = paint_cells(colours, framing, foreground, (80, 40))
    assert picture.getpixel((79, 0)) == (255, 0, 0)
    assert picture.getpixel((0, 39)) == (0, 0, 0)


def test_pca_gives_equal_features_equal_colours_in_both_images():
    framing = resize_to_fit((60, 60), 60, 10)
    torch.manual_seed(0)
    features = torch.randn(4, 6, 6)
    maps = [FeatureMap(f, framing, SOURCE) for f in (features, features.flip(2))]
    left, right = pca_pictures(maps, None, [(60, 60), (60, 60)])
    assert not len(changed(left, right.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))


def test_the_sphere_map_shows_x_y_z_as_red_green_blue():
    framing = resize_to_fit((60, 60), 60, 10)
    assert sphere_picture(sphere_map((1, 0, -1), framing), None, (60, 60)).getpixel((30, 30)) == (255, 128, 0)


def test_great_circles_stay_on_the_sphere_and_take_the_short_way():
    arc = great_circle(np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), steps=3)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(arc, [[1, 0, 0], [half, half, 0], [0, 1, 0]], atol=1e-12)


@pytest.mark.parametrize("end", [(1.0, 0, 0), (-1.0, 0, 0)])
def test_great_circles_of_equal_and_of_opposite_points_are_finite(end):
    arc = great_circle(np.array([1.0, 0, 0]), np.array(end))
    np.testing.assert_allclose(np.linalg.norm(arc, axis=1), 1)
    np.testing.assert_allclose(arc[-1], end, atol=1e-12)


def test_the_camera_looks_from_the_point_and_never_along_its_own_up():
    assert camera(np.array([0, 2.0, 0]), distance=1.5)["eye"] == {"x": 0, "y": 1.5, "z": 0}
    assert camera(np.array([0, 0, 1.0]))["up"] == {"x": 0, "y": 1, "z": 0}
    assert camera(np.zeros(3))["eye"]["x"] > 0


def test_patches_are_the_foreground_in_image_colours():
    framing = resize_to_fit((60, 60), 60, 10)
    image = Image.new("RGB", (60, 60), (10, 20, 30))
    foreground = np.zeros((6, 6), dtype=bool)
    foreground[2, 3] = True
    patches = sphere_patches(sphere_map((0, 0, 1), framing), image, foreground)
    assert patches.points.tolist() == [[0, 0, 1]] and patches.colours == ["rgb(10,20,30)"]
    large = resize_to_fit((600, 600), 600, 10)
    assert len(sphere_patches(sphere_map((0, 0, 1), large), image, None).points) <= MAX_PATCHES


def test_the_sphere_shows_points_matches_and_arcs_and_turns_to_the_active_point():
    framing = resize_to_fit((60, 60), 60, 10)
    patches = sphere_patches(sphere_map((0, 0, 1), framing), GREY, None)
    selected = np.array([[0, 1.0, 0], [1.0, 0, 0]])
    matched = np.array([[0, 0, 1.0], [np.nan] * 3])  # the second has no match: no arc, no diamond
    figure = sphere_figure(patches, patches, selected, matched, active=0)
    names = [trace.name for trace in figure.data]
    assert [name for name in names if name] == ["source", "target", "match of 1", "point 1", "point 2"]
    eye = figure.layout.scene.camera.eye
    assert (eye.x, eye.z) == (0, 0) and eye.y > 1


def test_the_figure_shows_source_and_raw_and_with_a_sphere_two_more():
    framing = resize_to_fit((60, 60), 60, 10)
    torch.manual_seed(0)
    features = FeatureMap(torch.randn(4, 6, 6), framing, SOURCE)
    image = Image.new("RGB", (60, 60), "white")
    bare, full = ImageFeatures(features), ImageFeatures(features, sphere_map((0, 0, 1), framing))
    two = match_figure(image, image, match_images(bare, bare, [(25, 35)]))
    four = match_figure(image, image, match_images(full, full, [(25, 35)]))
    assert (two.width - 12) * 2 == four.width - 12

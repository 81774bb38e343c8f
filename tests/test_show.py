"""One line in a notebook: what it shows, how large that is, and what is refused."""

import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor
from plotly.graph_objects import Figure, Scatter

from spherecorr.data.records import ImageRecord, PairRecord
from spherecorr.errors import SpherecorrError
from spherecorr.evaluation.comparison import Comparison, MethodResult
from spherecorr.evaluation.cost import Cost
from spherecorr.evaluation.evaluate import evaluate
from spherecorr.evaluation.scoring import score_pairs
from spherecorr.features import FeatureMap
from spherecorr.geometry import resize_to_fit
from spherecorr.identity import FeatureSource
from spherecorr.markup import html_table
from spherecorr.matching.match import match
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.settings import SphereSettings
from spherecorr.views import show
from spherecorr.views.curves import COLOURS
from spherecorr.views.globe import SIDE, TITLE, globe_picture
from spherecorr.views.sphere_plot import Patches, on_sphere
from spherecorr.views.stills import still

SOURCE = FeatureSource("<tiny>", dim=64, patch=10, layer=0)
SIZE = (300, 200)
FRONT = np.array([1.0, 0, 0])
NOTHING = Patches(np.zeros((0, 3)), [])


@pytest.fixture(scope="module")
def pair():
    """Two pictures, their features, and a tiny random sphere."""
    torch.manual_seed(0)
    images = [Image.new("RGB", SIZE, colour) for colour in ("#808080", "#a0b0c0")]
    maps = [FeatureMap(torch.randn(64, 20, 30), resize_to_fit(SIZE, 300, 10), SOURCE) for _ in images]
    return images, maps, SphereMapper(SphereSettings(64)).eval()


@pytest.fixture(scope="module")
def scored(pair):
    """A report of one pair whose features are the same at two keypoints, and its table."""
    _, maps, sphere = pair
    boxes = (0.0, 0.0, 300.0, 200.0)
    left = ImageRecord("a", "a.png", SIZE, "thing", boxes, {"one": (55, 45), "two": (205, 145)})
    right = ImageRecord("b", "b.png", SIZE, "thing", boxes, {"one": (55, 45), "two": None})
    pairs, features = [PairRecord("p", left, right)], {"a": maps[0], "b": maps[0]}
    options = {"thresholds": (0.1,), "protocols": ("corrected",)}
    found = {name: sphere.sphere_map(one) for name, one in features.items()}
    table = score_pairs(pairs, features, found, (0.0, 1.0, 0.5), **options)
    return evaluate(pairs, features, sphere=sphere, resamples=0, **options), table


def jpeg(shown):
    return Image.open(io.BytesIO(base64.b64decode(shown._repr_mimebundle_()["image/jpeg"])))


def colour_share(image, colour, tolerance=30):
    """How many pixels of a picture have about this colour."""
    return (np.abs(np.asarray(image.convert("RGB"), dtype=int) - colour).max(axis=-1) < tolerance).sum()


def test_a_match_is_a_jpeg_whose_wide_pictures_stand_in_two_rows(pair):
    images, maps, sphere = pair
    shown = show.match(images, match(*maps, [(55, 45)], sphere=sphere))
    assert shown.image.size == (2 * 363 + show.GAP, 2 * (show.MATCHED + show.CAPTION))
    assert set(shown._repr_mimebundle_()) == {"text/plain", "image/jpeg"} and jpeg(shown).size == shown.image.size
    halves = shown.image.height // 2
    for box in ((0, 0), (371, 0), (0, halves), (371, halves)):  # a red pin in each of the four pictures
        part = shown.image.crop((*box, box[0] + 363, box[1] + halves))
        assert colour_share(part, (0xE2, 0x01, 0x34)) > 100
    bare = show.match(images, match(*maps, [(55, 45)]))
    assert bare.image.size == (2 * 363 + show.GAP, show.MATCHED + show.CAPTION)


def test_a_large_picture_is_kept_and_shown_small():
    shown = show.Shown(Image.new("RGB", (3000, 10)))
    assert jpeg(shown).size == (show.WIDEST, 3) and shown.image.width == 3000
    assert jpeg(show.Shown(Image.new("RGB", (3000, 1)))).height == 1


def test_pictures_may_be_paths_and_arrays(pair, tmp_path):
    images, maps, _ = pair
    images[0].save(tmp_path / "a.png")
    for given in (tmp_path / "a.png", str(tmp_path / "a.png"), np.asarray(images[0])):
        assert show.pca([given, images[1]], maps).image.size == show.pca(images, maps).image.size


def test_pca_and_sphere_maps_stand_below_their_pictures(pair):
    images, maps, sphere = pair
    for shown in (show.pca(images, maps), show.pca(images, maps, sphere), show.sphere_maps(images, maps, sphere)):
        assert shown.image.size == (2 * 330 + show.GAP, 2 * show.HEIGHT + show.GAP)
        assert shown.image.getpixel((165, 110)) == (0x80, 0x80, 0x80)  # the picture above
        assert shown.image.getpixel((165, 340)) != (0x80, 0x80, 0x80)


def test_captions_stand_above_and_small_pictures_keep_their_pixels():
    dot = Image.new("RGB", (16, 16), "white")
    dot.putpixel((8, 8), (0, 0, 0))
    shown = show.pictures([dot, dot], ["first", "second"]).image
    assert shown.height == show.HEIGHT + show.CAPTION
    assert set(shown.crop((0, show.CAPTION, show.HEIGHT, shown.height)).get_flattened_data()) == {
        (255, 255, 255),
        (0, 0, 0),
    }


def test_the_sphere_is_a_plotly_figure_and_a_still_picture(pair):
    images, maps, sphere = pair
    shown = show.sphere(images, maps, sphere, match(*maps, [(55, 45), (205, 145)], sphere=sphere))
    bundle = shown._repr_mimebundle_()
    assert json.loads(json.dumps(bundle))[show.PLOTLY].keys() >= {"data", "layout"}
    assert "text/html" not in bundle  # Plotly's own would bring its whole library along
    assert "point 2" in [trace.name for trace in shown.figure.data]
    assert show.sphere(images, maps, sphere).image.size == shown.image.size


def test_pictures_and_maps_that_do_not_belong_together_are_refused(pair):
    images, maps, sphere = pair
    with pytest.raises(SpherecorrError, match="1 pictures and 2 maps"):
        show.pca(images[:1], maps)
    with pytest.raises(SpherecorrError, match="their sizes are 200 x 300 and 300 x 200"):
        show.pca([images[0], Image.new("RGB", (200, 300))], maps)
    with pytest.raises(SpherecorrError, match="source and target; got 3"):
        show.sphere([*images, images[0]], maps, sphere)


def test_a_report_is_two_plots_and_a_table(scored):
    report, _ = scored
    shown = show.report(report).image
    for colour in COLOURS.values():
        assert colour_share(shown, ImageColor.getrgb(colour)) > 30  # of raw, sphere and fused, at least in the legends
    text = report._repr_html_()
    assert "1 pairs, 1 keypoints; 1 more are absent" in text
    assert '<th scope="row">PCK@0.1, pooled</th><td>100.0</td>' in text


def test_a_comparison_is_its_table(scored):
    text = Comparison({"mine & yours": MethodResult(scored[0], "raw", Cost(0.25, 0.001, 5e6, "cpu", 1))})._repr_html_()
    assert '<th scope="row">mine &amp; yours</th>' in text and "<td>250.0</td><td>1.0</td><td>5</td>" in text


def test_the_keypoints_of_a_pair_name_the_absent_one(scored):
    shown = show.keypoints(scored[1])
    assert [name for trace in shown.figure.data for name in trace.y].count("two (absent)") >= 1
    assert colour_share(shown.image, (0xE2, 0x01, 0x34)) > 50  # its diamond
    assert colour_share(shown.image, (0x00, 0x9F, 0x81)) > 50  # and the dot of the one that is found


def test_a_feature_map_tells_what_it_is(pair):
    one = pair[1][0]
    assert repr(one) == "FeatureMap(<tiny> [64, 20, 30] of 300 x 200 pixels)"
    text = one._repr_html_()
    assert "&lt;tiny&gt;" in text and "<tiny>" not in text and "64 channels, 30 x 20 cells" in text
    picture = Image.open(io.BytesIO(base64.b64decode(text.partition("base64,")[2].partition('"')[0])))
    assert picture.size == (210, 140) and len(text) < 10_000


def test_a_feature_map_of_one_channel_and_with_parts_has_a_picture(pair):
    framing = resize_to_fit((40, 40), 40, 10)
    thin = FeatureMap(torch.ones(1, 4, 4), framing, SOURCE)
    assert "data:image/png" in thin._repr_html_()
    both = FeatureMap(pair[1][0].features, pair[1][0].framing, SOURCE, (thin,))
    assert "1 parts" in repr(both) and "part 1" in both._repr_html_()


def test_matches_are_a_table_with_their_flags(pair):
    _, maps, sphere = pair
    bare = match(*maps, [(55, 45)])._repr_html_()
    assert "55, 45" in bare and "fused" not in bare and "angle" not in bare
    full = match(*maps, [(55, 45)] * 30, sphere=sphere)
    full.symmetric_mistake[:], full.visible[:] = False, True
    full.symmetric_mistake[1], full.visible[2] = True, False
    rows = full._repr_html_().split("<tr>")[2:]
    assert len(rows) == 24 and "the first 24 of 30 points" in full._repr_html_()
    assert "mistake" not in rows[0] and "likely symmetric mistake" in rows[1] and "not visible" in rows[2]


def test_tables_are_escaped():
    text = html_table("a < b", ["", "<script>"], [["&", "<b>"]])
    assert "<script>" not in text and "<b>" not in text
    assert "<caption>a &lt; b</caption>" in text and '<th scope="row">&amp;</th><td>&lt;b&gt;</td>' in text
    assert "<thead>" not in html_table("", (), [["name", "value"]])


def test_the_globe_shows_what_faces_the_camera_on_the_left_and_the_rest_on_the_right():
    red, blue = Patches(FRONT[None], ["rgb(255,0,0)"]), Patches(-FRONT[None], ["rgb(0,0,255)"])
    picture = globe_picture(red, blue, np.zeros((0, 3)), np.zeros((0, 3)))
    middle = TITLE + SIDE // 2
    assert picture.getpixel((SIDE // 2, middle)) == (255, 0, 0)
    assert picture.getpixel((SIDE + SIDE // 2, middle)) == (0, 0, 255)


def test_the_globe_is_seen_from_outside():
    """Who looks at the front has the object's left, +y, at the right hand, and +z above."""
    points = np.array([[0.6, 0.8, 0], [0.6, 0, 0.8]])
    picture = globe_picture(Patches(points, ["rgb(255,0,0)", "rgb(0,0,255)"]), NOTHING, *[np.zeros((0, 3))] * 2, FRONT)
    pixels = np.asarray(picture).astype(int)
    (red_y, red_x), (blue_y, blue_x) = (
        np.argwhere((pixels == colour).all(axis=-1)).mean(axis=0) for colour in ((255, 0, 0), (0, 0, 255))
    )
    assert red_x > SIDE / 2 + 100 and abs(red_y - TITLE - SIDE / 2) < 2
    assert blue_y < TITLE + SIDE / 2 - 100 and abs(blue_x - SIDE / 2) < 2


def test_points_without_a_match_have_no_diamond_on_the_globe():
    alone = globe_picture(Patches(FRONT[None], ["white"]), NOTHING, FRONT[None], np.full((1, 3), np.nan))
    up = np.array([[0.6, 0, 0.8]])
    matched = globe_picture(Patches(FRONT[None], ["white"]), NOTHING, FRONT[None], up)
    assert colour_share(matched, (0xE2, 0x01, 0x34)) > colour_share(alone, (0xE2, 0x01, 0x34)) + 100


def test_points_are_found_on_the_sphere(pair):
    _, maps, sphere = pair
    found = sphere.sphere_map(maps[0])
    places = on_sphere(found, np.array([[5.0, 15.0], [np.nan, np.nan]]))
    np.testing.assert_allclose(places[0], found.points[:, 1, 0])
    assert np.isnan(places[1]).all()


def test_a_still_plot_has_its_lines_where_the_numbers_are():
    line = {"color": "#ff0000", "width": 3}
    ranges = {"xaxis": {"range": [0, 1]}, "yaxis": {"range": [0, 1]}}
    low = still(Figure(Scatter(x=[0, 1], y=[0.25, 0.25], mode="lines", line=line)).update_layout(**ranges))
    high = still(Figure(Scatter(x=[0, 1], y=[0.75, None], mode="lines", line=line)).update_layout(**ranges))
    rows = np.argwhere((np.asarray(low) == (255, 0, 0)).all(axis=-1))[:, 0]
    assert len(rows) and low.height / 2 < rows.mean() < low.height
    assert not colour_share(high, (255, 0, 0))  # one end is missing


def test_what_lies_outside_the_axes_is_not_drawn():
    mark = {"color": "#ff0000", "symbol": "diamond"}
    ranges = {"xaxis": {"range": [0, 1]}, "yaxis": {"range": [0, 1]}}
    outside = Figure(Scatter(x=[0.5, 1.5], y=[-0.1, 0.5], mode="markers", marker=mark)).update_layout(**ranges)
    assert not colour_share(still(outside), (255, 0, 0))


@pytest.mark.parametrize("values", [[], [None], [2.0], [0.0, 1e-9], [-1e6, 1e6]])
def test_any_values_make_a_plot(values):
    figure = Figure(Scatter(x=values, y=values, mode="lines+markers", line={"color": "red"}, marker={"color": "red"}))
    assert still(figure).size[0] == 520

import importlib
import json
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from spherecorr.errors import SpherecorrError
from spherecorr.matching.match import MatchResult
from spherecorr.ui.api import Api
from spherecorr.ui.blocks import build_demo, launch
from spherecorr.ui.cache import Cache
from spherecorr.ui.engine import Engine
from spherecorr.ui.handlers import COMPUTING, Handlers
from spherecorr.ui.session import MAX_POINTS, NO_SPHERE, SHOWN_SIDE, Controls, Picture, Visit
from spherecorr.ui.table import csv_text, match_records

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # gr.Warning outside a page

EMPTY_PAGE_PARTS = ("source", "raw", "sphere", "fused")


@pytest.fixture(scope="module")
def handlers(tiny_app):
    return Handlers(Engine(tiny_app))


@pytest.fixture
def controls(tiny_app):
    return Controls(tiny_app.backbones[0], tiny_app.spheres[0])


def values(controls):
    """Control values as the page hands them over."""
    return [getattr(controls, name) for name in Controls.__dataclass_fields__]


def opened(handlers, controls):
    """The visit with the example open and its features computed."""
    visit = handlers.open_example(Visit(), "blocks", *values(controls)).visit
    handlers.settle(visit, *values(controls))
    return visit


def click(x, y):
    return gr.SelectData(None, {"index": [x, y], "value": None})


def skipped(part):
    return part == gr.skip()


# The cache


def test_a_value_is_made_once_even_if_many_ask_at_once():
    cache, made = Cache(3), []

    def make():
        time.sleep(0.05)
        made.append(1)
        return "value"

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: cache.get("key", make), range(8))) == {"value"}
    assert len(made) == 1


def test_what_was_used_longest_ago_is_dropped():
    cache = Cache(2)
    for key in "ab":
        cache.get(key, str)
    cache.get("a", str)
    cache.get("c", str)
    assert [key in cache for key in "abc"] == [True, False, True]


def test_weights_count_and_one_value_that_is_too_heavy_is_still_kept():
    cache = Cache(10, weigh=len)
    cache.get("small", lambda: "xxx")
    cache.get("large", lambda: "x" * 20)
    assert "small" not in cache and "large" in cache


def test_a_failure_is_passed_on_and_not_kept():
    cache = Cache(2)
    with pytest.raises(ZeroDivisionError):
        cache.get("key", lambda: 1 / 0)
    assert cache.get("key", lambda: 5) == 5


# What a visit holds


def test_shown_and_original_pixels_are_inverse():
    picture = Picture("a.png", "0", (4000, 1500), "a.png")
    assert picture.shown_size == (SHOWN_SIDE, 288)
    points = np.array([[0, 0], [4000, 1500], [123.4, 567.8]])
    np.testing.assert_allclose(picture.from_shown(picture.to_shown(points)), points)
    np.testing.assert_allclose(picture.to_shown(points)[1], picture.shown_size)


def test_points_come_and_go():
    visit = Visit(source=Picture("a.png", "0", (100, 100), "a.png"))
    visit = visit.with_point((10.0, 10.0)).with_point((50.0, 50.0))
    assert visit.active == 1
    assert visit.with_point((10.5, 9.5)).active == 0  # a click on a pin chooses it
    assert len(visit.with_point((10.5, 9.5)).points) == 2
    assert visit.without_last_point().points == ((10.0, 10.0),)
    assert visit.without_points().without_last_point() == visit.without_points()


def test_a_thirteenth_point_is_refused():
    visit = Visit(source=Picture("a.png", "0", (1000, 1000), "a.png"))
    for i in range(MAX_POINTS):
        visit = visit.with_point((50.0 * i, 10.0))
    with pytest.raises(SpherecorrError, match="12 points already"):
        visit.with_point((500.0, 500.0))


# Events


def test_the_example_opens_with_its_points_and_gets_all_its_matches(handlers, controls):
    fresh = Handlers(Engine(handlers.engine.settings))
    page = fresh.open_example(Visit(), "blocks", *values(controls))
    assert page.visit.points == ((140.5, 110.5), (240.5, 110.5))
    assert COMPUTING in page.status
    page = fresh.settle(page.visit, *values(controls))
    assert [getattr(page, part).size for part in EMPTY_PAGE_PARTS] == [(768, 576)] + 3 * [(768, 768)]
    assert page.table.count("<tr") == 3
    again = fresh.settle(fresh.open_example(Visit(), "blocks", *values(controls)).visit, *values(controls))
    assert all(skipped(part) for part in again)  # nothing was missing any more


def test_a_click_becomes_a_point_in_original_pixels(handlers, controls):
    visit = opened(handlers, controls)
    page = handlers.click_source(click(400, 300), visit, *values(controls))  # shown 768 x 576, original 448 x 336
    np.testing.assert_allclose(page.visit.points[-1], (400.5 * 448 / 768, 300.5 * 336 / 576))
    assert page.visit.active == 2
    assert page.source.getpixel((400, 300)) == (0xFF, 0xC3, 0x3B)  # the third colour


def test_a_click_before_the_features_are_there_keeps_the_point(handlers, controls):
    visit = opened(handlers, controls)
    slow = replace(controls, preset="balanced")
    page = handlers.click_source(click(400, 300), visit, *values(slow))
    assert len(page.visit.points) == 3 and COMPUTING in page.status
    assert not skipped(handlers.settle(page.visit, *values(slow)).raw)


def test_what_a_visit_holds_is_small_and_one_visit_does_not_change_another(handlers, controls):
    first = second = opened(handlers, controls)
    first = handlers.click_source(click(400, 300), first, *values(controls)).visit
    assert len(pickle.dumps(first)) < 2000
    assert len(second.points) == 2
    assert handlers.redraw(second, *values(controls)).table.count("<tr") == 3


def test_visits_at_the_same_time_do_not_disturb_each_other(tiny_app, controls):
    shared = Handlers(Engine(tiny_app))

    def visit(i):
        own = replace(controls, alpha=i / 8, preset=("fast", "balanced")[i % 2])
        state = opened(shared, own)
        page = shared.click_source(click(100 + 50 * i, 300), state, *values(own))
        return page.visit.points[-1], np.asarray(page.fused).tobytes()

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(visit, range(8)))
    assert together == [visit(i) for i in range(8)]


def test_undo_and_clear(handlers, controls):
    visit = opened(handlers, controls)
    page = handlers.undo(visit, *values(controls))
    assert page.visit.points == visit.points[:1] and page.table.count("<tr") == 2
    page = handlers.clear(visit, *values(controls))
    assert page.visit.points == () and "No points yet" in page.table


def test_alpha_moves_the_fused_match_and_marks_it(handlers, controls):
    visit = opened(handlers, controls)
    ends = [replace(controls, alpha=alpha) for alpha in (0.0, 1.0)]
    results = [handlers.engine.match(visit.source, visit.target, visit.points, end) for end in ends]
    np.testing.assert_array_equal(results[0].fused.xy, results[0].raw.xy)
    np.testing.assert_array_equal(results[1].fused.xy, results[1].sphere.xy)
    usual = handlers.engine.match(visit.source, visit.target, visit.points, controls)
    moved = (results[1].fused.xy != usual.fused.xy).any(axis=(1, 2)).sum()
    assert moved
    assert handlers.redraw(visit, *values(ends[1])).table.count("moved by alpha") == moved
    assert "moved by alpha" not in handlers.redraw(visit, *values(controls)).table


def test_a_click_on_a_target_finds_the_source_point_backwards(handlers, controls):
    visit = handlers.clear(opened(handlers, controls), *values(controls)).visit
    page = handlers.click_target("raw")(click(300, 350), visit, *values(controls))
    clicked = visit.target.from_shown(np.array([300.5, 350.5])).tolist()
    back = handlers.engine.match(visit.target, visit.source, [clicked], controls).raw.xy[0, 0]
    np.testing.assert_allclose(page.visit.points, [back])
    assert "backwards from the raw target" in page.status


def test_swap_makes_the_best_matches_the_points(handlers, controls):
    visit = opened(handlers, controls)
    fused = handlers.engine.match(visit.source, visit.target, visit.points, controls).fused.xy[:, 0]
    page = handlers.swap(visit, *values(controls))
    assert (page.visit.source, page.visit.target) == (visit.target, visit.source)
    np.testing.assert_allclose(page.visit.points, fused)


def test_the_mirror_image_is_another_picture(handlers, controls):
    visit = opened(handlers, controls)
    page = handlers.mirror(visit, *values(controls))
    mirrored = handlers.engine.shown(page.visit.target)
    assert (
        mirrored.transpose(Image.Transpose.FLIP_LEFT_RIGHT).tobytes() == handlers.engine.shown(visit.target).tobytes()
    )
    assert handlers.mirror(page.visit, *values(controls)).visit == visit


def test_the_foreground_is_the_opaque_part_where_there_is_one(handlers, controls, tmp_path):
    image = Image.new("RGBA", (320, 320), (200, 30, 30, 0))
    image.paste((200, 30, 30, 255), (160, 0, 320, 320))
    image.save(tmp_path / "right half.png")
    picture = handlers.engine.open(tmp_path / "right half.png")
    mask = handlers.engine.foreground(picture, controls)
    assert mask[:, 14:].all() and not mask[:, :14].any()
    mirrored = handlers.engine.foreground(replace(picture, mirrored=True), controls)
    np.testing.assert_array_equal(mirrored, mask[:, ::-1])
    assert handlers.engine.foreground(picture, replace(controls, foreground=False)) is None


def test_the_sphere_and_the_pictures_are_there(handlers, controls):
    visit = opened(handlers, controls)
    figure = json.loads(handlers.plot(visit, *values(controls))["figure"])
    assert [trace["name"] for trace in figure["data"] if "point" in trace.get("name", "")] == ["point 1", "point 2"]
    assert all(picture is not None for picture in handlers.pictures(visit, *values(controls)))


# Without a sphere, without weights


@pytest.mark.parametrize("change", ["none", "missing", "corrupt", "other features"])
def test_without_a_fitting_sphere_raw_matches_stay_and_a_sentence_says_why(tiny_app, controls, tmp_path, change):
    folder = tmp_path / "sphere"
    if change == "corrupt":
        folder.mkdir()
        (folder / "config.json").write_text("{")
        (folder / "model.safetensors").write_bytes(b"nothing")
    if change == "other features":
        from spherecorr.sphere.checkpoint import save_sphere
        from spherecorr.sphere.mapper import SphereMapper
        from spherecorr.sphere.settings import SphereSettings

        save_sphere(SphereMapper(SphereSettings(32)), folder)
    sphere = NO_SPHERE if change == "none" else str(folder)
    handlers = Handlers(Engine(replace(tiny_app, spheres=(str(folder),))))
    controls = replace(controls, sphere=sphere)
    visit = handlers.open_example(Visit(), "blocks", *values(controls)).visit
    page = handlers.settle(visit, *values(controls))
    assert page.table.count("<tr") == 3
    assert "spherecorr train" in page.status
    assert "spherecorr train" in handlers.plot(visit, *values(controls))["message"]
    assert handlers.pictures(visit, *values(controls))[2:] == [None, None]
    assert skipped(handlers.recommended_alpha(*values(controls)))


def test_a_backbone_without_weights_says_how_to_get_them_and_the_page_stays_alive(handlers, controls):
    visit = opened(handlers, controls)
    absent = replace(controls, backbone="dinov2-s")
    assert COMPUTING in handlers.redraw(visit, *values(absent)).status
    assert "hf download timm/vit_small_patch14_dinov2" in handlers.settle(visit, *values(absent)).status
    assert "hf download" in handlers.plot(visit, *values(absent))["message"]
    assert handlers.pictures(visit, *values(absent)) == [None] * 4
    assert not skipped(handlers.redraw(visit, *values(controls)).raw)


# Bad input


def bad_files(folder):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8))
    noise.save(folder / "whole.jpg")
    (folder / "cut.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:20_000])
    (folder / "text.png").write_text("no image")
    (folder / "empty.png").write_bytes(b"")
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    Image.new("L", (20_000, 20)).save(folder / "long.png")
    return {"cut.jpg": "cut off", "text.png": "not an image", "empty.png": "not an image", "dot.png": "only 1 x 1"} | {
        "long.png": "too large"
    }


@pytest.mark.parametrize("name", ["cut.jpg", "text.png", "empty.png", "dot.png", "long.png"])
def test_files_that_cannot_be_used_get_one_sentence_and_the_visit_stays(handlers, controls, tmp_path, name):
    words = bad_files(tmp_path)[name]
    visit = opened(handlers, controls)
    page = handlers.upload_source(visit, str(tmp_path / name), *values(controls))
    assert words in page.status
    assert skipped(page.visit) and skipped(page.source)


@pytest.mark.parametrize("kind", ["cmyk.jpg", "sixteen.png", "alpha.png", "moving.gif"])
def test_unusual_images_are_fine(handlers, controls, tmp_path, kind):
    path = tmp_path / kind
    if kind == "cmyk.jpg":
        Image.new("CMYK", (200, 100), (0, 200, 0, 0)).save(path)
    elif kind == "sixteen.png":
        Image.fromarray(np.arange(20_000, dtype=np.uint16).reshape(100, 200) * 3).save(path)
    elif kind == "alpha.png":
        Image.new("RGBA", (200, 100), (200, 0, 0, 128)).save(path)
    else:
        frames = [Image.new("RGB", (200, 100), colour) for colour in ("red", "blue")]
        frames[0].save(path, save_all=True, append_images=frames[1:])
    visit = handlers.upload_target(opened(handlers, controls), str(path), *values(controls)).visit
    assert not skipped(handlers.settle(visit, *values(controls)).fused)


def test_an_exif_rotated_photograph_is_upright(handlers, controls, tmp_path):
    image = Image.new("RGB", (400, 200), "white")
    image.paste("red", (0, 0, 400, 40))  # a red stripe along the stored image's top
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it by 90 degrees clockwise: the stripe is then on the right
    image.save(tmp_path / "rotated.jpg", exif=exif)
    page = handlers.upload_source(opened(handlers, controls), str(tmp_path / "rotated.jpg"), *values(controls))
    assert page.visit.source.size == (200, 400) and page.visit.points == ()
    red, green, _ = page.source.getpixel((370, 400))
    assert red > 240 and green < 20


def test_one_image_alone_asks_for_the_other(handlers, controls, tiny_app):
    page = handlers.upload_source(Visit(), str(tiny_app.examples / "a.png"), *values(controls))
    assert "Upload a target image" in page.status
    page = handlers.click_source(click(10, 10), page.visit, *values(controls))
    assert len(page.visit.points) == 1
    assert all(skipped(part) for part in handlers.settle(page.visit, *values(controls)))
    assert "message" in handlers.plot(page.visit, *values(controls))
    for event in (handlers.undo, handlers.clear, handlers.swap, handlers.redraw):
        event(page.visit, *values(controls))
        event(Visit(), *values(controls))
    assert "Upload a target image first" in handlers.mirror(page.visit, *values(controls)).status
    assert "Upload an image first" in handlers.click_source(click(10, 10), Visit(), *values(controls)).status


def test_a_picture_that_is_gone_asks_for_it_again(tiny_app, controls, tmp_path):
    engine = Engine(tiny_app)
    path = tmp_path / "gone.png"
    Image.new("RGB", (100, 100)).save(path)
    picture = engine.open(path)
    path.unlink()
    with pytest.raises(SpherecorrError, match=r"'gone.png' is no longer held. Upload it again."):
        engine.features(picture, controls)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"alpha": 1.5}, "between 0 and 1"),
        ({"backbone": "other"}, "Unknown backbone 'other'"),
        ({"sphere": "x"}, "Unknown sphere"),
    ],
)
def test_values_that_no_page_sends_are_refused(handlers, controls, change, words):
    visit = opened(handlers, controls)
    wrong = values(replace(controls, **change))
    assert any(words in str(page.status) for page in (handlers.redraw(visit, *wrong), handlers.settle(visit, *wrong)))


# Table and export


def test_records_and_csv_hold_the_same_numbers(handlers, controls):
    visit = opened(handlers, controls)
    result = handlers.engine.match(visit.source, visit.target, visit.points, replace(controls, ranks=2))
    records = match_records(result)
    assert json.loads(json.dumps(records)) == records
    assert [len(record["fused"]) for record in records] == [2, 2]
    header, first, _ = csv_text(records).splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    assert [float(row["raw_x"]), float(row["raw_y"])] == records[0]["raw"][0]["xy"]
    assert row["number"] == "1" and float(row["source_x"]) == 140.5


def test_records_without_a_sphere_leave_its_columns_empty(handlers, controls):
    visit = opened(handlers, controls)
    plain = replace(controls, sphere=NO_SPHERE)
    result = handlers.engine.match(visit.source, visit.target, visit.points, plain)
    assert isinstance(result, MatchResult) and result.sphere is None
    header, first, _ = csv_text(match_records(result)).splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    assert row["sphere_x"] == row["visible"] == ""


# The app as a whole


def test_the_module_has_a_demo_and_only_named_endpoints_are_public():
    demo = importlib.import_module("app").demo
    visible = {d["api_name"] for d in demo.config["dependencies"] if d["api_visibility"] == "public"}
    assert visible == {"match", "features_pca"}


@pytest.fixture(scope="module")
def client(tiny_app):
    demo = build_demo(tiny_app)
    _, address, _ = launch(demo=demo, prevent_thread_lock=True)
    yield Client(address, verbose=False)
    demo.close()


def images(tiny_app):
    return [handle_file(tiny_app.examples / name) for name in ("a.png", "b.png")]


def test_programs_match_through_the_api(client, handlers, controls, tiny_app):
    points = [[140.5, 110.5], [240.5, 110.5]]
    records = client.predict(*images(tiny_app), points, k=3, api_name="/match")
    visit = opened(handlers, controls)
    advised = replace(controls, ranks=3, alpha=0.35)  # the sphere's own recommendation, since no alpha was given
    expected = handlers.engine.match(visit.source, visit.target, points, advised)
    assert records == match_records(expected)


def test_programs_get_pca_pictures(client, tiny_app):
    pictures = client.predict(*images(tiny_app), api_name="/features_pca")
    assert [picture[:22] for picture in pictures] == ["data:image/png;base64,"] * 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"points": [[9999, 1]]}, "lies outside the image"),
        ({"points": [["nan", 1]]}, "not a finite number"),
        ({"points": [[1]]}, "list of .x, y. pairs"),
        ({"points": []}, "1 to 12 points"),
        ({"points": [[1, 1]] * 13}, "1 to 12 points"),
        ({"alpha": 1.2}, "must lie between 0 and 1"),
        ({"k": 0}, "whole number from 1 to 100"),
        ({"backbone": "other"}, "Unknown backbone 'other'"),
        ({"backbone": "dinov2-s"}, "hf download"),
        ({"sphere": "other"}, "Unknown sphere"),
        ({"resolution": "huge"}, "Resolution is"),
    ],
    ids=str,
)
def test_programs_get_one_sentence_for_bad_input(client, tiny_app, arguments, words):
    with pytest.raises(AppError, match=words):
        client.predict(*images(tiny_app), **{"points": [[10, 10]], **arguments}, api_name="/match")


def test_programs_cannot_read_the_servers_files(handlers, tiny_app):
    file = {"path": str(tiny_app.examples / "a.png"), "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(gr.Error, match=r"uploaded files"):
        Api(handlers.engine).match(file, file, [[10, 10]])

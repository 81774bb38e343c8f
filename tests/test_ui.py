import json
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

import gradio as gr
import numpy as np
import pytest
from app_driver import App, skipped, values
from PIL import Image

from spherecorr.ui.cache import Cache
from spherecorr.ui.drawing import COMPUTING
from spherecorr.ui.engine import Engine
from spherecorr.ui.failures import INTERNAL_ERROR
from spherecorr.ui.session import NO_SPHERE, Session

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # gr.Warning outside a page


@pytest.fixture
def gate(monkeypatch):
    """Features that are computed from here on wait until this event is set."""
    gate, extract = Event(), Engine._extract

    def wait_and_extract(*arguments):
        assert gate.wait(60)
        return extract(*arguments)

    monkeypatch.setattr(Engine, "_extract", wait_and_extract)
    yield gate
    gate.set()


# Events


def test_the_example_opens_with_its_points_and_gets_all_its_matches(tiny_app, controls):
    app, session = App(tiny_app), Session()
    app.handlers.open_example(session, "blocks")
    assert session.visit.points == ((140.5, 110.5), (240.5, 110.5))
    page = app.draw(session, controls)
    assert COMPUTING in page.status and page.table == ""
    assert page.source.getpixel((241, 190)) == (0xE2, 0x01, 0x34)  # the points are there already
    app.handlers.settle(session, *values(controls))
    page = app.draw(session, controls)
    assert [getattr(page, part).size for part in ("source", "raw", "sphere", "fused")] == [(768, 576)] + 3 * [
        (768, 768)
    ]
    assert page.table.count("<tr") == 3
    assert skipped(app.handlers.settle(session, *values(controls)))  # nothing is missing any more


def test_every_event_answers_a_new_revision(app, controls):
    session = app.open(controls)
    events = [app.handlers.undo, app.handlers.clear, app.handlers.mirror, app.handlers.redraw]
    revisions = [event(session) for event in events]
    revisions.append(app.click(session, controls, 10, 10))
    revisions.append(app.handlers.upload_source(session, "no file"))
    assert revisions == sorted(set(revisions))


def test_a_click_becomes_a_point_in_original_pixels(app, controls):
    session = app.open(controls)
    app.click(session, controls, 400.5, 300.5)  # shown 768 x 576, original 448 x 336
    np.testing.assert_allclose(session.visit.points[-1], (400.5 * 448 / 768, 300.5 * 336 / 576))
    assert session.visit.active == 2
    assert app.draw(session, controls).source.getpixel((400, 300)) == (0xFF, 0xC3, 0x3B)  # the third colour


def test_clicks_before_the_features_are_there_are_kept_and_matched_when_these_arrive(tiny_app, controls, gate):
    app, session = App(tiny_app), Session()
    app.handlers.open_example(session, "blocks")
    with ThreadPoolExecutor(1) as pool:
        settling = pool.submit(app.handlers.settle, session, *values(controls))
        for x in (400, 500, 600):
            app.click(session, controls, x, 300)
            page = app.draw(session, controls)
            assert COMPUTING in page.status and page.source.getpixel((x, 300)) != (0xD8, 0xD8, 0xD8)
        gate.set()
        assert settling.result() == session.revision  # a new revision: the page draws again
    assert app.draw(session, controls).table.count("<tr") == 6


def test_the_example_chosen_while_another_is_computed_is_the_one_that_is_drawn(tiny_app, controls, gate):
    app, session = App(tiny_app), Session()
    app.handlers.open_example(session, "blocks")
    with ThreadPoolExecutor(1) as pool:
        settling = pool.submit(app.handlers.settle, session, *values(controls))
        app.handlers.open_example(session, "back")
        gate.set()
        settling.result()
    app.handlers.settle(session, *values(controls))
    page = app.draw(session, controls)
    assert page.source.size == (768, 768) and page.table.count("<tr") == 2


def test_features_are_asked_for_again_if_they_were_dropped_before_they_were_drawn(tiny_app, controls):
    app, session = App(replace(tiny_app)), Session()
    app.handlers.open_example(session, "blocks")
    asked = app.draw(session, controls).needs
    assert app.draw(session, controls).needs == asked  # a page that waits does not ask twice
    app.handlers.settle(session, *values(controls))
    app.engine._features = Cache(1)
    assert app.draw(session, controls).needs != asked


def test_a_click_on_a_picture_that_has_been_replaced_meanwhile_is_no_point_of_the_new_one(app, controls):
    session = app.open(controls)
    old = session.visit.shown["source"]["key"]
    app.handlers.open_example(session, "back")
    event = gr.EventData(None, {"pane": "source", "x": 10.0, "y": 10.0, "key": old})
    app.handlers.click(session, event, *values(controls))
    assert len(session.visit.points) == 1
    assert "click again" in app.draw(session, controls).status


def test_clicks_at_the_same_time_are_all_kept(app, controls):
    session = app.open(controls)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: app.click(session, controls, 60 * i + 20, 500), range(8)))
    assert {round(x * 768 / 448) for x, _ in session.visit.points[2:]} == {60 * i + 20 for i in range(8)}


def test_what_a_visit_holds_is_small_and_one_visit_does_not_change_another(app, controls):
    first, second = app.open(controls), app.open(controls)
    app.click(first, controls, 400, 300)
    assert len(pickle.dumps(first.visit)) < 2000
    assert len(second.visit.points) == 2
    assert app.draw(second, controls).table.count("<tr") == 3


def test_visits_at_the_same_time_do_not_disturb_each_other(tiny_app, controls):
    shared = App(tiny_app)

    def visit(i):
        own = replace(controls, alpha=i / 8, preset=("fast", "balanced")[i % 2])
        session = shared.open(own)
        shared.click(session, own, 100 + 50 * i, 300)
        return session.visit.points[-1], np.asarray(shared.draw(session, own).fused).tobytes()

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(visit, range(8)))
    assert together == [visit(i) for i in range(8)]


def test_undo_and_clear(app, controls):
    session = app.open(controls)
    first = session.visit.points[:1]
    app.handlers.undo(session)
    assert session.visit.points == first and app.draw(session, controls).table.count("<tr") == 2
    app.handlers.clear(session)
    assert session.visit.points == () and "No points yet" in app.draw(session, controls).table


def test_alpha_moves_the_fused_match_and_marks_it(app, controls):
    session = app.open(controls)
    ends = [replace(controls, alpha=alpha) for alpha in (0.0, 1.0)]
    results = [app.match(session, end) for end in ends]
    np.testing.assert_array_equal(results[0].fused.xy, results[0].raw.xy)
    np.testing.assert_array_equal(results[1].fused.xy, results[1].sphere.xy)
    usual = app.match(session, replace(controls, alpha=0.35))  # what the sphere recommends
    moved = (results[1].fused.xy != usual.fused.xy).any(axis=(1, 2)).sum()
    assert moved
    assert app.draw(session, ends[1]).table.count("moved by alpha") == moved
    assert "moved by alpha" not in app.draw(session, replace(controls, alpha=0.35)).table


def test_a_click_on_a_target_finds_the_source_point_backwards(app, controls):
    session = app.open(controls)
    app.handlers.clear(session)
    app.click(session, controls, 300.5, 350.5, "raw")
    source, target = session.visit.pair
    clicked = target.from_shown(np.array([300.5, 350.5])).tolist()
    back = app.engine.match(target, source, [clicked], controls).raw.xy[0, 0]
    np.testing.assert_allclose(session.visit.points, [back])
    assert "backwards from the raw target" in app.draw(session, controls).status


def test_swap_makes_the_best_matches_the_points(app, controls):
    session = app.open(controls)
    fused, (source, target) = app.match(session, controls).fused.xy[:, 0], session.visit.pair
    app.handlers.swap(session, *values(controls))
    assert session.visit.pair == (target, source)
    np.testing.assert_allclose(session.visit.points, fused)


def test_the_mirror_image_is_another_picture(app, controls):
    session = app.open(controls)
    before = session.visit
    app.handlers.mirror(session)
    mirrored = app.engine.shown(session.visit.target)
    assert mirrored.transpose(Image.Transpose.FLIP_LEFT_RIGHT).tobytes() == app.engine.shown(before.target).tobytes()
    app.handlers.mirror(session)
    assert session.visit == before


def test_the_foreground_is_the_opaque_part_where_there_is_one(app, controls, tmp_path):
    image = Image.new("RGBA", (320, 320), (200, 30, 30, 0))
    image.paste((200, 30, 30, 255), (160, 0, 320, 320))
    image.save(tmp_path / "right half.png")
    picture = app.engine.open(tmp_path / "right half.png")
    mask = app.engine.foreground(picture, controls)
    assert mask[:, 14:].all() and not mask[:, :14].any()
    mirrored = app.engine.foreground(replace(picture, mirrored=True), controls)
    np.testing.assert_array_equal(mirrored, mask[:, ::-1])
    assert app.engine.foreground(picture, replace(controls, foreground=False)) is None


def test_the_sphere_and_the_pictures_are_there(app, controls):
    session = app.open(controls)
    figure = json.loads(app.drawing.plot(session, *values(controls))["figure"])
    assert [trace["name"] for trace in figure["data"] if "point" in trace.get("name", "")] == ["point 1", "point 2"]
    assert all(isinstance(picture, Image.Image) for picture in app.drawing.pictures(session, *values(controls))[:4])


def test_while_features_are_computed_neither_the_sphere_nor_the_pictures_show_the_old_pair(tiny_app, controls):
    app, session = App(tiny_app), Session()
    app.handlers.open_example(session, "blocks")
    assert app.drawing.plot(session, *values(controls)) == {"message": COMPUTING}
    assert app.drawing.pictures(session, *values(controls))[:4] == [None] * 4


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
    app = App(replace(tiny_app, spheres=(str(folder),)))
    controls = replace(controls, sphere=sphere)
    session = app.open(controls)
    page = app.draw(session, controls)
    assert page.table.count("<tr") == 3
    assert "spherecorr train" in page.status
    assert "spherecorr train" in app.drawing.plot(session, *values(controls))["message"]
    assert app.drawing.pictures(session, *values(controls))[2:4] == [None, None]
    assert skipped(app.handlers.recommended_alpha(*values(controls)))


def test_a_backbone_without_weights_says_how_to_get_them_and_the_page_stays_alive(app, controls):
    session = app.open(controls)
    absent = replace(controls, backbone="dinov2-s")
    assert COMPUTING in app.draw(session, absent).status
    app.handlers.settle(session, *values(absent))
    page = app.draw(session, absent)
    assert "spherecorr download dinov2-s" in page.status
    assert skipped(page.needs)  # it is not tried again and again
    assert "spherecorr download" in app.drawing.plot(session, *values(absent))["message"]
    assert app.drawing.pictures(session, *values(absent))[:4] == [None] * 4
    assert skipped(app.handlers.recommended_alpha(*values(absent)))
    app.click(session, absent, 400, 300)
    assert "spherecorr download" in app.draw(session, absent).status
    assert app.draw(session, controls).table.count("<tr") == 4


# Faults of the program


@pytest.mark.parametrize("part", ["event", "draw", "plot", "pictures", "recommended_alpha"])
def test_a_fault_of_the_program_is_no_mistake_of_the_user(app, controls, monkeypatch, caplog, part):
    session = app.open(controls)
    for name in ("match", "subject", "sphere", "open"):
        monkeypatch.setattr(app.engine, name, lambda *_: np.zeros(2) @ np.zeros(3))  # numpy raises a ValueError
    with warnings.catch_warnings(record=True) as toasts:  # gr.Warning outside a page
        warnings.simplefilter("always")
        if part == "event":
            app.handlers.open_example(session, "blocks")
            said = session.note[0]
        elif part == "draw":
            said = app.draw(session, controls).status
        elif part == "plot":
            said = app.drawing.plot(session, *values(controls))["message"]
        elif part == "pictures":
            assert app.drawing.pictures(session, *values(controls)) == [*[None] * 4, session.revision]
            said = session.note[0]
        else:
            assert skipped(app.handlers.recommended_alpha(*values(controls)))
            said = str(toasts[0].message)
    assert INTERNAL_ERROR in said
    assert "Traceback" in caplog.text and "matmul" in caplog.text


def test_features_that_fail_end_in_a_sentence(tiny_app, controls, monkeypatch):
    app, session = App(tiny_app), Session()
    app.handlers.open_example(session, "blocks")
    monkeypatch.setattr(app.engine, "_extract", lambda *_: np.zeros(2) @ np.zeros(3))
    app.handlers.settle(session, *values(controls))
    assert INTERNAL_ERROR in app.draw(session, controls).status
    assert app.drawing.plot(session, *values(controls)) == {"message": INTERNAL_ERROR}


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
def test_files_that_cannot_be_used_get_one_sentence_and_the_visit_stays(app, controls, tmp_path, name):
    words = bad_files(tmp_path)[name]
    session = app.open(controls)
    before = session.visit
    app.handlers.upload_source(session, str(tmp_path / name))
    assert words in app.draw(session, controls).status
    assert session.visit == before
    app.handlers.undo(session)
    assert words not in app.draw(session, controls).status


@pytest.mark.parametrize("kind", ["cmyk.jpg", "sixteen.png", "alpha.png", "moving.gif"])
def test_unusual_images_are_fine(app, controls, tmp_path, kind):
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
    session = app.open(controls)
    app.handlers.upload_target(session, str(path))
    app.handlers.settle(session, *values(controls))
    assert app.draw(session, controls).fused.size == (768, 384)
    assert app.draw(session, controls).table.count("<tr") == 3


def test_an_exif_rotated_photograph_is_upright(app, controls, tmp_path):
    image = Image.new("RGB", (400, 200), "white")
    image.paste("red", (0, 0, 400, 40))  # a red stripe along the stored image's top
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it by 90 degrees clockwise: the stripe is then on the right
    image.save(tmp_path / "rotated.jpg", exif=exif)
    session = app.open(controls)
    app.handlers.upload_source(session, str(tmp_path / "rotated.jpg"))
    assert session.visit.source.size == (200, 400) and session.visit.points == ()
    red, green, _ = app.draw(session, controls).source.getpixel((370, 400))
    assert red > 240 and green < 20


def test_one_image_alone_asks_for_the_other(app, controls, tiny_app):
    session, empty = Session(), Session()
    app.handlers.upload_source(session, str(tiny_app.examples / "a.png"))
    assert "Upload a target image" in app.draw(session, controls).status
    app.click(session, controls, 10, 10)
    assert len(session.visit.points) == 1
    assert skipped(app.handlers.settle(session, *values(controls)))
    assert "message" in app.drawing.plot(session, *values(controls))
    for visit in (session, empty):
        app.handlers.undo(visit)
        app.handlers.clear(visit)
        app.handlers.swap(visit, *values(controls))
        app.handlers.redraw(visit)
        assert "Upload a" in app.draw(visit, controls).status
    app.handlers.mirror(empty)
    assert "Upload a target image first" in app.draw(empty, controls).status


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"alpha": 1.5}, "between 0 and 1"),
        ({"backbone": "other"}, "Unknown backbone 'other'"),
        ({"sphere": "x"}, "Unknown sphere"),
    ],
)
def test_values_that_no_page_sends_are_refused(app, controls, change, words):
    session = app.open(controls)
    assert words in app.draw(session, replace(controls, **change)).status

"""The app's server side, event by event: what the page's script is told to show."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from app_driver import App, skipped, values
from PIL import Image

from spherecorr.errors import SpherecorrError
from spherecorr.ui.cache import Cache
from spherecorr.ui.drawing import COMPUTING
from spherecorr.ui.engine import Engine
from spherecorr.ui.failures import INTERNAL_ERROR
from spherecorr.ui.panels.pictures import paint_pca, paint_sphere_maps
from spherecorr.ui.session import NO_SPHERE, Controls, Session


@pytest.fixture
def gate(monkeypatch):
    """Features that are computed from here on wait until this event is set."""
    gate, extract = Event(), Engine._extract_features

    def wait_and_extract(*arguments):
        assert gate.wait(60)
        return extract(*arguments)

    monkeypatch.setattr(Engine, "_extract_features", wait_and_extract)
    yield gate
    gate.set()


def shown_picture(shown, role):
    """The shown copy of the source or target."""
    return Image.open(shown["pictures"][role]["picture"])


# Events


def test_an_example_opens_with_its_points_and_gets_files_to_be_matched_from_when_its_features_are_there(
    tiny_app, controls
):
    app, session = App(tiny_app), Session()
    app.choose(session, "blocks")
    shown = app.draw(session, controls)
    assert shown["points"] == ((140.5, 110.5), (240.5, 110.5)) and shown["example"] == "blocks"
    assert shown["status"] == (COMPUTING, "busy") and "ready" not in shown
    assert [shown_picture(shown, role).size for role in ("source", "target")] == [(768, 576), (768, 768)]
    app.handlers.settle(session, *values(controls))
    shown = app.draw(session, controls)
    assert shown["ready"] and shown["sphere"]["alpha"] == 0.35
    files = [shown["pictures"][role][kind] for role in ("source", "target") for kind in ("features", "surface")]
    assert all(Path(file).stat().st_size > 1000 for file in [*files, shown["globe"]])
    assert skipped(app.handlers.settle(session, *values(controls)))  # nothing is missing any more


def test_files_that_gradio_has_deleted_are_written_again(app, controls):
    session = app.open(controls)
    file = Path(app.draw(session, controls)["pictures"]["source"]["features"])
    before = file.read_bytes()
    file.unlink()
    assert app.draw(session, controls)["pictures"]["source"]["features"] == str(file)
    assert file.read_bytes() == before


def test_every_event_answers_a_new_revision(app, controls, tmp_path):
    session = app.open(controls)
    revisions = [app.do(session, kind) for kind in ("mirror", "swap", "clear-marks", "no such command", "upload")]
    revisions.append(app.choose(session, "back"))
    assert revisions == sorted(set(revisions))


def test_other_pictures_bring_points_and_what_leaves_the_source_leaves_the_points_to_the_page(app, controls, tiny_app):
    session = app.open(controls)
    opening = app.draw(session, controls)["opening"]
    app.do(session, "mirror")
    app.upload(session, "target", tiny_app.examples / "a.png")
    assert app.draw(session, controls)["opening"] == opening  # the page keeps its points
    app.upload(session, "source", tiny_app.examples / "b.png")
    shown = app.draw(session, controls)
    assert shown["opening"] != opening and shown["points"] == ()
    app.do(session, "swap", points=[[10.5, 20]])
    assert app.draw(session, controls)["points"] == ((10.5, 20.0),)


def test_the_example_chosen_while_another_is_computed_is_the_one_that_is_drawn(tiny_app, controls, gate):
    app, session = App(tiny_app), Session()
    app.choose(session, "blocks")
    with ThreadPoolExecutor(1) as pool:
        settling = pool.submit(app.handlers.settle, session, *values(controls))
        app.choose(session, "back")
        gate.set()
        settling.result()
    app.handlers.settle(session, *values(controls))
    shown = app.draw(session, controls)
    assert shown["example"] == "back" and shown["ready"] and shown["pictures"]["source"]["size"] == (300, 300)


def test_a_page_that_waits_is_drawn_when_another_visitor_was_quicker(tiny_app, controls):
    app, session, other = App(replace(tiny_app)), Session(), Session()
    app.choose(session, "blocks")
    assert COMPUTING in app.draw(session, controls)["status"]
    app.choose(other, "blocks")
    app.handlers.settle(other, *values(controls))
    before = session.revision
    assert app.handlers.settle(session, *values(controls)) == session.revision != before
    assert app.draw(session, controls)["ready"]
    assert skipped(app.handlers.settle(session, *values(controls)))


def test_features_are_asked_for_again_if_they_were_dropped_before_they_were_drawn(tiny_app, controls):
    app, session = App(replace(tiny_app)), Session()
    app.choose(session, "blocks")
    asked = app.needs(session, controls)
    assert app.needs(session, controls) == asked  # a page that waits does not ask twice
    app.handlers.settle(session, *values(controls))
    app.engine._features = Cache(1)
    assert app.needs(session, controls) != asked


def test_a_page_whose_visit_was_forgotten_is_told_to_load_again(app, controls):
    forgotten = Session()
    app.do(forgotten, "mirror")
    assert app.draw(forgotten, controls) == {"forgotten": True}


def test_commands_at_the_same_time_are_all_done(app, controls):
    session = app.open(controls)
    path = [[150.0, 110.0], [200.0, 110.0]]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: app.mark(session, "object", path), range(8)))
    assert len(session.visit.source.strokes) == 8


def test_what_a_visit_holds_is_small_and_one_visit_does_not_change_another(app, controls):
    first, second = app.open(controls), app.open(controls)
    app.do(first, "mirror")
    assert len(pickle.dumps(first.visit)) < 2000
    assert not second.visit.target.mirrored
    assert app.draw(second, controls)["pictures"] != app.draw(first, controls)["pictures"]


def test_visits_at_the_same_time_do_not_disturb_each_other(tiny_app, controls):
    shared = App(tiny_app)

    def visit(i):
        own = replace(controls, preset=("fast", "balanced")[i % 2])
        session = shared.open(own, ("blocks", "back")[i // 2 % 2])
        return shared.draw(session, own)["pictures"]

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(visit, range(8)))
    assert together == [visit(i) for i in range(8)]


def test_alpha_moves_the_fused_match(app, controls):
    session = app.open(controls)
    results = [app.match(session, replace(controls, alpha=alpha)) for alpha in (0.0, 1.0)]
    np.testing.assert_array_equal(results[0].fused.xy, results[0].raw.xy)
    np.testing.assert_array_equal(results[1].fused.xy, results[1].sphere.xy)


def test_the_note_of_an_event_is_said_once(app, controls):
    session = app.open(controls)
    app.do(session, "no such command")
    assert "reload" in app.draw(session, controls)["note"][0]
    assert app.draw(session, controls)["note"] is None


def test_the_mirror_image_is_another_picture(app, controls):
    session = app.open(controls)
    before = session.visit
    app.do(session, "mirror")
    mirrored = app.engine.shown(session.visit.target)
    assert mirrored.transpose(Image.Transpose.FLIP_LEFT_RIGHT).tobytes() == app.engine.shown(before.target).tobytes()
    app.do(session, "mirror")
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


def test_pca_and_sphere_maps_are_painted_at_the_shown_size(app, controls):
    session = app.open(controls)
    for paint in (paint_pca, paint_sphere_maps):
        assert [picture.size for picture in paint(app.engine, session, controls)] == [(768, 576), (768, 768)]


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
    shown = app.draw(session, controls)
    assert shown["ready"] and shown["sphere"] is None and shown.get("globe") is None
    assert "spherecorr train" in shown["problem"]
    assert paint_sphere_maps(app.engine, session, controls) == [None, None]


def test_a_backbone_without_weights_says_how_to_get_them_and_the_page_stays_alive(app, controls):
    session = app.open(controls)
    absent = replace(controls, backbone="dinov2-s")
    assert COMPUTING in app.draw(session, absent)["status"]
    app.handlers.settle(session, *values(absent))
    shown = app.draw(session, absent)
    assert "spherecorr download dinov2-s" in shown["status"][0] and "ready" not in shown
    assert skipped(app.needs(session, absent))  # it is not tried again and again
    assert app.draw(session, controls)["ready"]


# Faults of the program


@pytest.mark.parametrize("part", ["event", "draw", "settle"])
def test_a_fault_of_the_program_is_no_mistake_of_the_user(tiny_app, controls, monkeypatch, caplog, part):
    app, session = App(tiny_app), Session()
    app.choose(session, "blocks")
    if part == "draw":
        app.handlers.settle(session, *values(controls))
    for name in ("subject", "sphere", "open", "_extract"):
        monkeypatch.setattr(app.engine, name, lambda *_: np.zeros(2) @ np.zeros(3))  # numpy raises a ValueError
    if part == "event":
        app.choose(session, "back")
        said = session.note[0]
    else:
        app.handlers.settle(session, *values(controls))
        said = app.draw(session, controls)["status"][0]
    assert INTERNAL_ERROR in said
    assert "Traceback" in caplog.text and "matmul" in caplog.text


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
    app.upload(session, "source", tmp_path / name)
    shown = app.draw(session, controls)
    assert words in shown["note"][0] and session.visit == before


def test_only_files_that_were_uploaded_can_be_opened(app, controls, tiny_app):
    session = app.open(controls)
    before = session.visit
    for path in (str(tiny_app.examples / "a.png"), "/etc/passwd", "", None, 5, "a\0b", ["x"], {"path": "x"}):
        app.do(session, "upload", role="source", path=path)
        assert session.visit == before and "uploaded files" in app.draw(session, controls)["note"][0]


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
    app.upload(session, "target", path)
    app.handlers.settle(session, *values(controls))
    shown = app.draw(session, controls)
    assert shown["ready"] and shown_picture(shown, "target").size == (768, 384)


def test_an_exif_rotated_photograph_is_upright(app, controls, tmp_path):
    image = Image.new("RGB", (400, 200), "white")
    image.paste("red", (0, 0, 400, 40))  # a red stripe along the stored image's top
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it by 90 degrees clockwise: the stripe is then on the right
    image.save(tmp_path / "rotated.jpg", exif=exif)
    session = app.open(controls)
    app.upload(session, "source", tmp_path / "rotated.jpg")
    assert session.visit.source.size == (200, 400) and session.visit.points == ()
    red, green, _ = shown_picture(app.draw(session, controls), "source").getpixel((370, 400))
    assert red > 240 and green < 20


def test_one_image_alone_asks_for_the_other(app, controls, tiny_app):
    session, empty = Session(), Session()
    empty.arrived = True
    app.upload(session, "source", tiny_app.examples / "a.png")
    assert "upload a target image" in app.draw(session, controls)["status"][0]
    assert skipped(app.handlers.settle(session, *values(controls)))
    assert "upload a source and a target image" in app.draw(empty, controls)["status"][0]
    app.do(empty, "swap")
    app.do(empty, "mirror")
    assert "Upload a target image first" in app.draw(empty, controls)["note"][0]


@pytest.mark.parametrize(
    ("menu", "words"),
    [(("other", "mini", "fast"), "Unknown backbone 'other'"), (("mini", "x", "fast"), "Unknown")],
)
def test_menu_entries_that_do_not_exist_are_refused(app, controls, menu, words):
    session = app.open(controls)
    assert words in app.drawing.draw(session, *menu, {}).shown["status"][0]


BAD_VIEWS = [
    {"alpha": 1.5}, {"alpha": "x"}, {"alpha": None}, {"alpha": float("nan")}, {"ranks": 0}, {"ranks": 1e9},
    {"points": [[1, 2, 3]]}, {"points": 5}, {"points": [[float("inf"), 0]]}, {"points": [[1, 1]] * 13},
    {"points": [["a", "b"]]}, {"points": None},
]  # fmt: skip


@pytest.mark.parametrize("view", BAD_VIEWS, ids=str)
def test_views_that_no_page_sends_are_refused(view):
    with pytest.raises(SpherecorrError):
        Controls.of_page("mini", "mini", "fast", view)


@pytest.mark.parametrize("view", [None, "text", [], {}, {"panel": "<b>"}], ids=str)
def test_a_view_that_says_little_has_its_defaults(view):
    controls = Controls.of_page("mini", "none", "fine", view)
    assert (controls.alpha, controls.points, controls.foreground) == (0.2, (), True)

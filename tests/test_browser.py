"""The explorer in headless Chromium, with mini: what a person sees, and that it is what Python says."""

import csv
import io
import json
import zipfile

import numpy as np
import pytest
from explorer import (
    MARKS,
    canvas,
    click,
    colour_at,
    hover,
    number_pair,
    on_screen,
    open_page,
    points,
    records,
    rows,
    settled,
    wait_for_status,
    watch,
)
from PIL import Image

from spherecorr.shipped import shipped_folder
from spherecorr.ui.engine import Engine
from spherecorr.ui.records import match_records
from spherecorr.ui.session import Controls
from spherecorr.ui.settings import AppSettings
from spherecorr.views.matches import COLOURS

pytestmark = MARKS
CONTROLS = Controls("mini", "mini", alpha=0.5)
KINDS = ("raw", "sphere", "fused")
# Features come as int16, so a similarity is off by less than this; where two cells are nearer, either is the best.
STEP = 2e-5


@pytest.fixture(scope="module")
def engine():
    return Engine(AppSettings(backbones=("mini",), spheres=("mini",), device="cpu"))


@pytest.fixture(scope="module")
def context(browser):
    """What one person's pages share: above all Gradio's scripts, which are loaded once."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context
    context.close()


@pytest.fixture
def page(context, mini_address):
    """The page with the first example open; at its end no console error and no request to elsewhere has happened."""
    page = context.new_page()
    troubles = watch(page, mini_address)
    open_page(page, mini_address)
    yield page
    page.evaluate("() => localStorage.clear()")
    page.close()
    assert not troubles


def pair(engine, example="car"):
    folder = shipped_folder("examples")
    return [engine.open(folder / f"{example}-{side}.jpg") for side in "ab"]


def test_a_thousand_points_are_matched_as_python_matches_them_to_the_cell(page, engine, mini_address):
    for example in ("car", "horse"):
        open_page(page, mini_address, f"?example={example}")
        source, target = pair(engine, example)
        asked = np.random.default_rng(0).uniform((0, 0), source.size, (500, 2))
        controls = Controls("mini", "mini", alpha=0.5, ranks=3)
        there = page.evaluate(
            """(points) => points.map((point) => {
                const found = window.spherecorr.pair.match(point, { alpha: 0.5, foreground: true, ranks: 3 });
                const rows = ['raw', 'sphere', 'fused'].map((kind) => [found[kind].xy, found[kind].score]);
                const { rawCycle, fusedCycle, rawAngle, nearestAngle, mistake, visible } = found;
                return [rows, rawCycle, fusedCycle, rawAngle, nearestAngle, mistake, visible];
            })""",
            asked.tolist(),
        )
        here = engine.match(source, target, [tuple(point) for point in asked], controls)
        same = np.ones(len(asked), dtype=bool)
        for kind, columns in zip(KINDS, zip(*(found[0] for found in there), strict=True), strict=True):
            ranked = getattr(here, kind)
            xy, score = (np.array([row[part] for row in columns]) for part in (0, 1))
            np.testing.assert_allclose(score, ranked.score, atol=STEP)
            equal = (np.abs(xy - ranked.xy) < 1e-6).all(axis=2)
            assert equal.mean() > 0.998  # the others are ties to within the step, as the equal scores say
            same &= equal[:, 0]
        for column, name in enumerate(("raw_cycle", "fused_cycle", "raw_angle", "nearest_angle"), start=1):
            found = np.array([row[column] for row in there])
            close = np.isclose(found[same], getattr(here, name)[same], atol=0.02)
            assert close.mean() > 0.998, name
        for column, name in ((5, "symmetric_mistake"), (6, "visible")):
            assert [row[column] for row in np.array(there, object)[same]] == getattr(here, name)[same].tolist()


def test_a_click_pins_a_point_and_its_matches_on_all_targets_without_asking_the_server(page, engine):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    before = len(points(page))
    click(page, "source", (280.5, 160.5))
    assert points(page)[-1] == pytest.approx((280.5, 160.5), abs=1.5)  # a screen pixel is 1.5 of the picture
    cells = rows(page)[before]
    for name, text in zip(KINDS, cells[2:5], strict=True):
        colour = colour_at(page, name, np.array(number_pair(text)))
        wanted = [int(COLOURS[before][i : i + 2], 16) for i in (1, 3, 5)]
        assert np.abs(np.subtract(colour, wanted)).max() < 60, name  # the tip of the pin
    page.wait_for_timeout(400)  # for whatever might still be asked
    assert not asked
    here = engine.match(*pair(engine), [tuple(point) for point in points(page)], CONTROLS)
    assert records(page) == match_records(here)


def test_pointing_shows_where_a_place_goes_and_nothing_stays_when_the_pointer_leaves(page):
    def shown():
        settled(page)
        return page.evaluate("() => window.spherecorr.panes.raw.canvas.toDataURL()")

    resting = shown()
    hover(page, "source", (300, 200))
    over_source = shown()
    hover(page, "sphere", (300, 200))
    assert page.evaluate("() => window.spherecorr.panes.source.scene.ghosts.length") == 1
    page.mouse.move(5, 5)
    assert over_source != resting and shown() == resting


def test_a_click_on_a_target_asks_backwards(page, engine):
    clicked = (300.5, 330.5)
    click(page, "sphere", clicked)
    source, target = pair(engine)
    back = engine.match(target, source, [clicked], CONTROLS).sphere.xy[0, 0]
    near = np.linalg.norm(np.subtract(points(page), back), axis=1) < 8  # the pin that was there already, or a new one
    assert near.any()
    if len(points(page)) == 5:
        assert "found backwards from the sphere target" in page.inner_text(".sc-status")


def test_the_sphere_is_linked_with_both_pictures(browser_3d, mini_address):
    page = browser_3d.new_page(viewport={"width": 1440, "height": 900})
    troubles = watch(page, mini_address)
    open_page(page, mini_address)
    page.wait_for_selector(".sc-sphere[data-traces]", timeout=60_000)
    hover(page, "source", (300, 200))
    settled(page)
    assert page.evaluate("() => window.spherecorr.globe.ghosts.length") == 1
    box = page.locator(".sc-plot").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for step in range(0, 60, 4):  # until a patch lies under the pointer
        page.mouse.move(middle[0] - step, middle[1])
        settled(page)
        if page.evaluate("() => Boolean(window.spherecorr.hover?.direction)"):
            break
    outlined = "(name) => window.spherecorr.panes[name].scene.cells.length"
    assert [page.evaluate(outlined, name) for name in ("source", "raw", "fused")] == [1, 1, 1]
    page.close()
    assert not troubles


def test_a_browser_without_webgl_says_so_in_the_spheres_place(page):
    assert "WebGL" in page.inner_text(".sc-message")


def test_the_keyboard_moves_adds_and_removes_points(page):
    page.focus(canvas("source"))
    start = points(page)
    page.keyboard.press("2")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    moved = points(page)
    assert np.subtract(moved[1], start[1]) == pytest.approx([448 / 28, -4 * 448 / 28], abs=16)
    page.keyboard.press("Delete")
    assert len(points(page)) == len(start) - 1 and moved[1] not in points(page)
    page.keyboard.press("Enter")
    assert len(points(page)) == len(start)
    page.keyboard.press("z")
    page.keyboard.press("z")
    assert len(points(page)) == len(start) - 2
    page.click("[data-do=clear]")
    page.wait_for_selector("#table .sc-none", state="visible")


def test_alpha_moves_fused_matches_and_the_address_brings_the_same_view_back(page, mini_address, browser):
    page.locator("[data-set=alpha]").fill("1")
    cells = rows(page)
    assert all(number_pair(row[4]) == number_pair(row[3]) for row in cells)
    assert "moved by alpha" in page.inner_text("#table")
    click(page, "source", (250.5, 240.5))
    page.wait_for_function("() => location.search.includes('alpha=1') && location.search.includes('_250.')")
    before = records(page)
    other = browser.new_page()  # another machine
    open_page(other, page.url)
    assert records(other) == json.loads(json.dumps(before)) or _nearly(records(other), before)
    other.close()


def _nearly(one, other):
    """The address gives points with one digit behind the comma."""
    assert [record["fused"] for record in one] == [record["fused"] for record in other]
    sources = [[record["source"] for record in records] for records in (one, other)]
    return np.abs(np.subtract(*sources)).max() <= 0.051


@pytest.mark.parametrize("at", [(60, 60), (400, 300)], ids=str)
def test_a_click_on_the_enlarged_picture_marks_the_pixel_under_the_pointer(page, at):
    page.click(".sc-pane[data-pane=source] [aria-label^='Full screen']")
    page.wait_for_function("(c) => document.querySelector(c).clientHeight > 700", arg=canvas("source"))
    settled(page)
    click(page, "source", at)
    assert points(page)[-1] == pytest.approx(at, abs=1)
    page.keyboard.press("Escape")


def test_exports_hold_what_the_page_shows(page, engine, tmp_path):
    def export(name):
        with page.expect_download() as download:
            page.click(f"[data-export={name}]")
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        return path

    found = records(page)
    document = json.loads(export("json").read_text())
    assert document["matches"] == found == match_records(engine.match(*pair(engine), points(page), CONTROLS))
    assert document["backbone"] == "mini" and document["alpha"] == 0.5 and document["source"]["name"] == "car-a.jpg"
    (first, *_) = csv.DictReader(io.StringIO(export("csv").read_text()))
    assert [float(first["fused_x"]), float(first["fused_y"])] == found[0]["fused"][0]["xy"]
    assert Image.open(export("png")).height > 1024
    with zipfile.ZipFile(export("zip")) as archive:
        assert archive.testzip() is None
        assert {"matches.json", "matches.csv", "figure.png", "source.png", "sphere.png"} <= set(archive.namelist())
        assert Image.open(archive.open("source.png")).size == (1024, 1024)


def upload(page, role, path):
    with page.expect_file_chooser() as chooser:
        page.click(f"[data-do=upload-{role}]")
    chooser.value.set_files(path)


def test_an_uploaded_exif_rotated_photograph_is_upright_and_a_reload_shows_it_again(page, tmp_path):
    image = Image.new("RGB", (400, 200), "white")
    image.paste("red", (0, 0, 400, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise: the stripe along the top is then on the right
    image.save(tmp_path / "rotated.jpg", exif=exif)
    upload(page, "source", tmp_path / "rotated.jpg")
    page.wait_for_function("() => window.spherecorr.pictures.source.name === 'rotated.jpg' && window.spherecorr.pair")
    assert points(page) == []
    assert colour_at(page, "source", (190, 200))[1] < 30 and colour_at(page, "source", (20, 200))[1] > 220
    click(page, "source", (100, 200))
    page.wait_for_function("() => location.search.includes('points=')")
    page.wait_for_timeout(300)
    open_page(page, page.url)
    assert page.evaluate("() => window.spherecorr.pictures.source.size") == [200, 400]
    assert points(page)[0] == pytest.approx((100, 200), abs=1.5)


def test_a_file_that_is_no_image_gets_a_sentence_and_the_page_lives_on(page, tmp_path):
    (tmp_path / "<b>text<b>.png").write_text("no image")
    upload(page, "target", tmp_path / "<b>text<b>.png")
    wait_for_status(page, "not an image")
    count = len(points(page))
    click(page, "source", (40, 400))
    assert len(rows(page)) == count + 1


def test_swap_and_mirror(page, engine):
    source, target = pair(engine)
    matched = [record["fused"][0]["xy"] for record in records(page)]
    page.click("[data-do=swap]")
    page.wait_for_function("() => window.spherecorr.pictures.source.name === 'car-b.jpg' && window.spherecorr.pair")
    np.testing.assert_allclose(points(page), matched, atol=0.01)
    page.click("[data-do=mirror]")
    page.wait_for_function("() => window.spherecorr.pictures.target.mirrored && window.spherecorr.pair")
    here = engine.match(target, source.mirror(), points(page), CONTROLS)
    assert records(page) == match_records(here)


def test_a_page_whose_visit_the_server_has_forgotten_loads_itself_again(page, mini_demo):
    click(page, "source", (250.5, 240.5))
    page.wait_for_function("() => location.search.includes('_250.')")
    before = points(page)
    mini_demo.app.state_holder.session_data.clear()
    page.evaluate("() => { window.old = true; }")
    page.click("[data-do=mirror]")
    page.wait_for_function("() => !window.old && window.spherecorr?.pair", timeout=60_000)
    np.testing.assert_allclose(points(page), before, atol=0.051)


def drag(page, name, start, end):
    page.mouse.move(*on_screen(page, name, start))
    page.mouse.down()
    page.mouse.move(*on_screen(page, name, end), steps=6)
    page.mouse.up()


def test_an_object_drawn_around_holds_the_matches_until_its_marks_are_cleared(page):
    page.click(".sc-mark summary")
    page.click("input[value=box]")
    drag(page, "raw", (60, 60), (200, 200))
    wait_for_status(page, "marked in the target")
    page.wait_for_function("() => window.spherecorr.pair && window.spherecorr.pictures.target.marks")
    for record in records(page):
        for kind in KINDS:
            assert (np.array(record[kind][0]["xy"]) < 216).all()  # to a cell's reach
    assert len(points(page)) == 4  # drawing added no point
    page.click("[data-do=clear-marks]")
    page.wait_for_function("() => window.spherecorr.pair && !window.spherecorr.pictures.target.marks")
    page.click(".sc-mark summary")
    click(page, "source", (40, 400))
    assert len(points(page)) == 5


def test_a_finger_pins_and_marks_on_a_phone_and_nothing_is_wider_than_it(browser, mini_address):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    open_page(page, mini_address)
    page.touchscreen.tap(*on_screen(page, "source", (60, 60)))
    assert len(points(page)) == 5
    page.locator(".sc-mark summary").tap()
    page.touchscreen.tap(*on_screen(page, "source", (250, 200)))
    wait_for_status(page, "marked in the source")
    assert len(points(page)) == 5
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    context.close()


def test_dark_and_sliders_are_remembered(page, mini_address):
    page.locator("[data-set=heat]").fill("0.2")
    page.click("[data-do=theme]")
    dark = page.evaluate("() => document.body.classList.contains('dark')")
    open_page(page, mini_address)
    assert page.evaluate("() => document.body.classList.contains('dark')") == dark
    assert page.locator("[data-set=heat]").input_value() == "0.2"
    page.click("[data-do=theme]")

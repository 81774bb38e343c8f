"""The app in headless Chromium, on a tiny real backbone and sphere: what a person sees and does."""

import io
import re
import shutil
from dataclasses import replace
from threading import Event

import numpy as np
import pytest
from PIL import Image

from spherecorr.ui.blocks import build_demo, launch
from spherecorr.ui.engine import Engine
from spherecorr.ui.session import SHOWN_SIDE, Controls
from spherecorr.views.matches import COLOURS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
EYE = "() => document.querySelector('.sc-plot').layout.scene.camera.eye"
TARGETS = ("#raw", "#by-sphere", "#fused")

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")]


@pytest.fixture(scope="module")
def address(tiny_app):
    demo = build_demo(tiny_app)
    _, address, _ = launch(demo=demo, prevent_thread_lock=True)
    yield address
    demo.close()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    """A page with the example open; at its end no console error and no request to elsewhere may have happened."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    troubles = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith((address, "data:", "blob:")) else troubles.append(request.url),
    )
    page.goto(address)
    page.wait_for_selector(".sc-sphere[data-traces]", timeout=60_000)
    wait_for_rows(page, 2)
    yield page
    page.close()
    assert not troubles


def wait_for_rows(page, count):
    page.wait_for_function("(n) => document.querySelectorAll('#table tbody tr').length === n", arg=count)


def rows(page):
    """The table's cells as text."""
    return [row.locator("td").all_inner_texts() for row in page.locator("#table tbody tr").all()]


def pixels(page, pane):
    """The shown picture as int `[h, w, 3]`, after the browser has it whole."""
    page.wait_for_function("(pane) => document.querySelector(`${pane} img`).complete", arg=pane)
    answer = page.request.get(page.locator(f"{pane} img").get_attribute("src"))
    return np.asarray(Image.open(io.BytesIO(answer.body())).convert("RGB")).astype(int)


def wait_for_new_picture(page, pane, old):
    page.wait_for_function("([pane, old]) => document.querySelector(`${pane} img`).src !== old", arg=[pane, old])


def click_shown(page, pane, x, y):
    """Click a pixel of a pane's shown picture."""
    image = page.locator(f"{pane} img")
    box = image.bounding_box()
    width, height = image.evaluate("(image) => [image.naturalWidth, image.naturalHeight]")
    scale = min(box["width"] / width, box["height"] / height)  # the picture keeps its ratio inside its box
    left = box["x"] + (box["width"] - width * scale) / 2
    top = box["y"] + (box["height"] - height * scale) / 2
    page.mouse.click(left + x * scale, top + y * scale)


def number_pair(text):
    return tuple(float(part) for part in re.match(r"(-?[\d.]+), (-?[\d.]+)", text).groups())


def has_colour(image, colour, at=None, radius=3):
    """Whether a pin's colour (JPEG may change it a little) is in the image, or near a place (x, y)."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    if at is not None:
        x, y = (round(value) for value in at)
        image = image[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
    return bool((np.abs(image - wanted).max(axis=-1) < 40).any())


def test_the_page_opens_with_the_alpha_that_the_sphere_recommends(page):
    assert page.locator("#alpha input[type=number]").input_value() == "0.35"
    assert "moved by alpha" not in page.inner_text("#table")  # the matches were made with it, too


def test_a_click_gives_a_marker_there_and_matches_on_all_targets_and_on_the_sphere(page):
    traces = page.locator(".sc-sphere").get_attribute("data-traces")
    eye = page.evaluate(EYE)
    before = {pane: page.locator(f"{pane} img").get_attribute("src") for pane in TARGETS}
    x, y = 400, 420  # of the shown 768 x 576 pixels; the original has 448 x 336
    click_shown(page, "#source", x, y)
    wait_for_rows(page, 3)
    cells = rows(page)[2]
    scale = 448 / SHOWN_SIDE
    assert np.abs(np.array(number_pair(cells[1])) - (x * scale, y * scale)).max() <= 1
    assert has_colour(pixels(page, "#source"), COLOURS[2], at=(x, y))
    for pane, text in zip(TARGETS, cells[2:5], strict=True):
        wait_for_new_picture(page, pane, before[pane])
        match = np.array(number_pair(text)) * SHOWN_SIDE / 300  # the target's original has 300 x 300
        assert has_colour(pixels(page, pane), COLOURS[2], at=match)
    # A point, its match and the arc between them are three traces more.
    page.wait_for_selector(f'.sc-sphere[data-traces="{int(traces) + 3}"]')
    # The sphere turns to the point.
    page.wait_for_function(f"(old) => JSON.stringify(({EYE})()) !== JSON.stringify(old)", arg=eye)


def test_the_alpha_slider_moves_the_fused_match(page, tiny_app):
    engine = Engine(tiny_app)
    source, target = (engine.open(tiny_app.examples / name) for name in ("a.png", "b.png"))
    controls = Controls(tiny_app.backbones[0], tiny_app.spheres[0])
    points = [(140.5, 110.5), (240.5, 110.5)]
    ends = [engine.match(source, target, points, replace(controls, alpha=alpha)).fused.xy[:, 0] for alpha in (0.2, 1)]
    (moving, *_) = np.flatnonzero((ends[0] != ends[1]).any(axis=1))  # a point that must move
    old = rows(page)[moving][4]
    picture = page.locator("#fused img").get_attribute("src")
    page.locator("#alpha input[type=number]").fill("1")
    page.locator("#alpha input[type=number]").press("Enter")
    page.wait_for_function(
        "([row, old]) => document.querySelectorAll('#table tbody tr')[row].children[4].innerText !== old",
        arg=[int(moving), old],
    )
    cells = rows(page)[moving]
    assert number_pair(cells[4]) == number_pair(cells[3]) and "moved by alpha" in cells[-1]
    wait_for_new_picture(page, "#fused", picture)


def test_undo_clear_and_a_click_beside_the_picture(page):
    box = page.locator("#source").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] - 5)  # 4:3 in a square box: a margin below
    page.wait_for_timeout(700)
    assert len(rows(page)) == 2
    page.click("#undo")
    wait_for_rows(page, 1)
    page.click("#clear")
    page.wait_for_selector("#table .sc-hint")
    assert not has_colour(pixels(page, "#fused"), COLOURS[1])


def test_an_uploaded_exif_rotated_photograph_is_upright(page, tmp_path):
    image = Image.new("RGB", (400, 200), "white")
    image.paste("red", (0, 0, 400, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise: the stripe along the top is then on the right
    image.save(tmp_path / "rotated.jpg", exif=exif)
    with page.expect_file_chooser() as chooser:
        page.click("#upload-source")
    chooser.value.set_files(tmp_path / "rotated.jpg")
    page.wait_for_function(
        "() => { const i = document.querySelector('#source img'); return i.naturalHeight > i.naturalWidth }"
    )
    shown = pixels(page, "#source")
    assert shown.shape == (768, 384, 3)
    assert has_colour(shown, "#ff0000", at=(370, 400)) and has_colour(shown, "#ffffff", at=(100, 400))
    click_shown(page, "#source", 192, 384)
    wait_for_rows(page, 1)
    assert number_pair(rows(page)[0][1]) == pytest.approx((100, 200), abs=1)


def test_a_file_that_is_no_image_gets_a_sentence_and_the_page_lives_on(page, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    with page.expect_file_chooser() as chooser:
        page.click("#upload-target")
    chooser.value.set_files(tmp_path / "text.png")
    page.wait_for_selector(".sc-warn")
    assert "not an image" in page.locator("#status").inner_text()
    click_shown(page, "#source", 300, 250)
    wait_for_rows(page, 3)


def drag(page, pane, start, end):
    """Draw from one pixel of a pane's shown picture to another."""
    image = page.locator(f"{pane} img")
    box, width = image.bounding_box(), image.evaluate("(image) => image.naturalWidth")
    height = image.evaluate("(image) => image.naturalHeight")
    scale = min(box["width"] / width, box["height"] / height)
    left, top = box["x"] + (box["width"] - width * scale) / 2, box["y"] + (box["height"] - height * scale) / 2
    page.mouse.move(left + start[0] * scale, top + start[1] * scale)
    page.mouse.down()
    page.mouse.move(left + end[0] * scale, top + end[1] * scale, steps=8)
    page.mouse.up()


def test_an_object_drawn_around_is_outlined_and_holds_the_matches_until_its_marks_are_cleared(page):
    page.click("#mark button")
    page.click("#mark-kind input[value=box]")
    before = [page.locator(f"{pane} img").get_attribute("src") for pane in TARGETS]
    corner, opposite = (180, 230), (620, 530)  # around the blocks of the 768 x 768 shown pixels
    drag(page, "#raw", corner, opposite)
    page.wait_for_function("() => document.querySelector('#status').innerText.includes('marked in the target')")
    for pane, old in zip(TARGETS, before, strict=True):
        wait_for_new_picture(page, pane, old)
        shown = pixels(page, pane)
        assert shown[20, 20].max() < 0xA0  # the grey around is dimmed
    for row in rows(page):
        for text in row[2:5]:
            x, y = np.array(number_pair(text)) * SHOWN_SIDE / 300
            assert corner[0] - 48 <= x <= opposite[0] + 48 and corner[1] - 48 <= y <= opposite[1] + 48  # a cell's reach
    assert len(rows(page)) == 2  # drawing added no point
    page.click("#clear-marks")
    page.wait_for_function("(old) => document.querySelector('#raw img').src === old", arg=before[0])


def test_while_the_panel_is_closed_a_click_adds_a_point_again(page):
    page.click("#mark button")
    drag(page, "#source", (260, 220), (400, 220))
    page.wait_for_function("() => document.querySelector('#status').innerText.includes('marked in the source')")
    assert len(rows(page)) == 2
    page.click("#mark button")
    page.wait_for_selector("#mark-kind", state="hidden")
    click_shown(page, "#source", 400, 420)
    wait_for_rows(page, 3)


def test_a_finger_marks_on_a_phone(browser, address):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("#table tbody tr", timeout=60_000)
    page.click("#mark button")
    page.wait_for_selector("#mark-kind")
    box = page.locator("#source img").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.4)
    page.wait_for_function("() => document.querySelector('#status').innerText.includes('marked in the source')")
    assert page.locator("#table tbody tr").count() == 2
    context.close()


@pytest.fixture
def slow(monkeypatch):
    """Features that are computed from here on wait until this event is set."""
    gate = Event()
    extract = Engine._extract

    def wait_and_extract(*arguments):
        assert gate.wait(60)
        return extract(*arguments)

    monkeypatch.setattr(Engine, "_extract", wait_and_extract)
    yield gate
    gate.set()


def choose(page, dropdown, option):
    page.click(f"{dropdown} input")
    page.click(f"[role=option][aria-label='{option}']")


def wait_for_ratio(page, pane, width, height):
    page.wait_for_function(
        "([pane, ratio]) => { const i = document.querySelector(`${pane} img`);"
        " return Math.abs(i.naturalWidth / i.naturalHeight - ratio) < 0.01 }",
        arg=[pane, width / height],
    )


def at_shown(page, x, y, original_width):
    """Original pixels of a click on the source's shown copy, to within one displayed pixel (and the table's digits)."""
    page.wait_for_function("() => document.querySelector('#source img').naturalWidth > 0")  # else it is still loading
    displayed = page.locator("#source img")
    box, shown = displayed.bounding_box(), displayed.evaluate("(image) => [image.naturalWidth, image.naturalHeight]")
    one_pixel = original_width / shown[0] / min(box["width"] / shown[0], box["height"] / shown[1])
    scale = original_width / shown[0]
    return pytest.approx((x * scale, y * scale), abs=one_pixel + 0.5)


def test_clicks_while_features_are_computed_are_kept_and_matched_when_these_arrive(page, slow):
    clicked = [(400, 420), (600, 100), (100, 500)]
    choose(page, "#resolution", "Balanced (512-518 px)")
    page.wait_for_selector(".sc-busy")
    for at in clicked:
        click_shown(page, "#source", *at)
    page.wait_for_timeout(1000)
    assert page.locator("#table tbody tr").count() == 0
    shown = pixels(page, "#source")
    assert all(has_colour(shown, COLOURS[i], at=at) for i, at in enumerate(clicked, start=2))
    slow.set()
    wait_for_rows(page, 5)
    assert [number_pair(row[1]) for row in rows(page)[2:]] == [at_shown(page, *at, 448) for at in clicked]
    page.wait_for_selector(".sc-info")


def test_the_example_chosen_last_is_the_one_that_stays(page, slow):
    choose(page, "#resolution", "Fine (768-840 px)")
    page.wait_for_selector(".sc-busy")
    choose(page, "#example", "Blocks, the other way round")
    wait_for_ratio(page, "#source", 300, 300)
    click_shown(page, "#source", 500, 400)
    slow.set()
    wait_for_rows(page, 2)
    page.wait_for_timeout(1000)  # for whatever the first example might still draw
    wait_for_ratio(page, "#source", 300, 300)
    wait_for_ratio(page, "#fused", 448, 336)
    cells = rows(page)
    assert number_pair(cells[0][1]) == pytest.approx((100.5, 120.5), abs=1)
    assert number_pair(cells[1][1]) == at_shown(page, 500, 400, 300)


@pytest.mark.parametrize("at", [(100, 80), (700, 500), (384, 288)], ids=str)
def test_a_click_on_the_enlarged_picture_marks_the_pixel_under_the_pointer(page, at):
    page.locator("#source button[aria-label='Fullscreen']").click()
    page.wait_for_function("() => document.querySelector('#source img').getBoundingClientRect().width > 800")
    page.locator("#source img").hover()  # Playwright waits here until the picture has stopped growing
    click_shown(page, "#source", *at)
    wait_for_rows(page, 3)
    assert number_pair(rows(page)[2][1]) == at_shown(page, *at, 448)


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)], ids=["desktop", "phone"])
def test_the_page_is_not_wider_than_the_screen(browser, address, size):
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.goto(address)
    page.wait_for_selector("#table tbody tr")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    if size[0] == 1440:  # the effect of a click is on the screen without scrolling
        bottoms = [page.locator(part).bounding_box() for part in ("#fused", ".sc-sphere", "#table")]
        assert max(box["y"] + box["height"] for box in bottoms) <= 900
    page.close()

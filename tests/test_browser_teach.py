"""The panel "Teach" in headless Chromium: photographs come, arrows are turned, a sphere is trained and matched with."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from explorer import MARKS, watch
from photographs import FACES, paint
from PIL import Image

from spherecorr.pipelines.recipes import TEACH
from spherecorr.ui.blocks import build_demo, launch

SHORT = replace(TEACH, steps=8, resolution=128, show_every=2, fewest=2, held_out=0.25)
COUNT = 24
WORDS = {0: "faces you", 90: "faces left", 180: "faces away", 270: "faces right"}
STATUS = "document.querySelector('.sc-teach-say').textContent"

pytestmark = MARKS


@pytest.fixture(scope="module")
def server(tiny_app, tmp_path_factory):
    """Address of an app, and its settings."""
    folder = tmp_path_factory.mktemp("teach")
    settings = replace(tiny_app, teach=True, teach_folder=folder, teach_recipe=SHORT, teach_from_nothing=SHORT)
    demo = build_demo(settings)
    _, address, _ = launch(demo=demo, prevent_thread_lock=True)
    yield address, settings
    demo.close()


@pytest.fixture(scope="module")
def page(browser, server):
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    troubles = watch(page, server[0])
    page.goto(server[0])
    open_panel(page)
    yield page
    found = [text for text in troubles if "AbortError" not in text]  # Gradio's own stream, when a page is left
    page.close()
    assert found == []


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Paths and the directions that they show."""
    folder, rng = tmp_path_factory.mktemp("ponies"), np.random.default_rng(0)
    paths = {folder / f"pony-{number:02d}.png": list(FACES)[number % 4] for number in range(COUNT)}
    for path, azimuth in paths.items():
        paint(path, azimuth, rng)
    return paths


def open_panel(page):
    page.click("[role=tab]:has-text('Teach')")
    page.wait_for_function("document.querySelector('.sc-teach-from')?.textContent.includes(' on ')")


def dial(page, path):
    return page.get_by_role("slider", name=f"Direction of {path.name}")


def shown_lesson(page):
    """What the page shows of every photograph: name, direction in words, and whether it has an outline."""
    script = """items => items.map(item => {
      const outline = item.querySelector(".sc-outline").getAttribute("d");
      return [item.querySelector("img").alt, item.querySelector(".sc-teach-words").textContent, Boolean(outline)];
    })"""
    return page.eval_on_selector_all(".sc-teach-photographs li", script)


def test_photographs_become_a_sphere_that_matches(page, server, photographs, tmp_path):
    _, settings = server
    (tmp_path / "text.png").write_text("no picture")
    page.set_input_files(".sc-teach-drop input", [*photographs, tmp_path / "text.png"])
    page.wait_for_function(f"document.querySelectorAll('.sc-teach-photographs li').length === {COUNT}")
    page.wait_for_selector(".sc-teach-troubles li")
    assert page.locator(".sc-teach-troubles li").all_inner_texts() == [
        "'text.png' is not an image that can be read. Use PNG, JPEG or WebP."
    ]
    for place, (path, azimuth) in enumerate(photographs.items()):
        if place % 2:  # by the pointer: towards where the object faces, seen from above with the camera below
            box = dial(page, path).bounding_box()
            x, y = -np.sin(np.radians(azimuth)), np.cos(np.radians(azimuth))
            dial(page, path).click(position={"x": box["width"] / 2 + 20 * x, "y": box["height"] * 40 / 86 + 20 * y})
        else:  # by the keys: the first sets the arrow, each further one turns it by 45 degrees
            dial(page, path).focus()
            for _ in range(1 + azimuth // 45):
                page.keyboard.press("ArrowLeft")
        assert dial(page, path).get_attribute("aria-valuetext") == WORDS[azimuth]
    page.fill(".sc-teach-kind input", "pony")
    page.press(".sc-teach-kind input", "Enter")
    page.wait_for_function(f"{STATUS}.includes('Ready to train')")
    assert shown_lesson(page) == [[path.name, WORDS[azimuth], True] for path, azimuth in photographs.items()]

    page.click(".sc-teach-go")
    page.wait_for_function("document.querySelector('.sc-teach-progress').textContent.includes('Done')", timeout=90_000)
    assert page.locator(".sc-teach-errors tbody th").all_inner_texts() == ["after"]  # the start knew no axes
    assert page.locator(".sc-teach-held").count() == 6
    page.wait_for_function(
        "[...document.querySelectorAll('.sc-teach-held img')].every(image => image.naturalWidth > 1)"
    )
    page.wait_for_function("document.querySelector('#sphere input').value === 'pony · taught here'")
    (sphere,) = (settings.teach_folder / "spheres").iterdir()
    page.wait_for_function(
        "window.spherecorr.shown?.about.sphere.startsWith('taught-') && window.spherecorr.pair !== null"
    )
    assert page.evaluate("window.spherecorr.shown.about.sphere") == sphere.name
    page.click("[role=tab]:has-text('Matches')")
    assert page.locator("#table tbody tr").count() == 2
    assert all("," in text for text in page.locator("#table tbody tr td:nth-child(4)").all_inner_texts())


def test_a_reload_shows_the_same_and_the_sphere_can_be_taken_along(page, photographs, tmp_path):
    page.reload()
    open_panel(page)
    page.wait_for_function(f"{STATUS}.includes('Ready to train')")
    assert shown_lesson(page) == [[path.name, WORDS[azimuth], True] for path, azimuth in photographs.items()]
    assert page.input_value(".sc-teach-kind input") == "pony"
    assert "Done: 8 steps" in page.inner_text(".sc-teach-progress")
    page.wait_for_function("document.querySelector('#sphere input').value === 'pony · taught here'")  # by the address
    with page.expect_download() as download:
        page.click(".sc-teach-zip")
    assert download.value.suggested_filename == "pony-sphere.zip"
    with zipfile.ZipFile(download.value.path()) as archive:
        assert set(archive.namelist()) == {
            f"pony-sphere/{n}" for n in ("model.safetensors", "config.json", "README.md")
        }
        assert archive.read("pony-sphere/README.md").startswith(b"# pony\n")
        assert json.loads(archive.read("pony-sphere/config.json"))["step"] == 8


def test_an_outline_is_painted_anew_and_kept(page, server, photographs):
    name = next(iter(photographs)).name
    page.click(f"button[aria-label='Paint: {name}']")
    box = page.locator(".sc-teach-canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.15, box["y"] + box["height"] * 0.15)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.9, steps=5)
    page.mouse.up()
    page.wait_for_function("document.querySelector('.sc-teach-paint [role=status]').textContent.includes('follows')")
    page.click(".sc-teach-tools button:has-text('Done')")
    _, settings = server
    (visit,) = (settings.teach_folder / "visits").iterdir()
    (first, *_) = json.loads((visit / "lesson.json").read_text())["photographs"]
    assert first["box"] == pytest.approx([0.15 * 128, 0.15 * 128, 0.9 * 128, 0.9 * 128], abs=1)
    mask = np.asarray(Image.open(visit / "photographs" / "masks" / f"{first['key']}.png")) > 127
    assert mask[60, 60] and not mask[:15].any()


def test_on_a_phone_the_panel_is_not_wider_than_the_screen(page, photographs):
    page.set_viewport_size({"width": 390, "height": 844})
    path = next(iter(photographs))
    dial(page, path).scroll_into_view_if_needed()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1440, "height": 900})

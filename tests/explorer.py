"""The page in headless Chromium, as a person uses it: opening, pointing, clicking, reading the table."""

import json
import re
import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-3d-apis"]  # drawing 3D without a GPU takes longer than all the rest
FLAGS_3D = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
MARKS = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")]
READY = ".sc-explorer[data-state=ready]"


def watch(page, address):
    """Collect console errors and requests to elsewhere, of which there may be none."""
    troubles = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: _elsewhere(request.url, address, troubles))
    return troubles


def _elsewhere(url, address, troubles):
    if not url.startswith((address, "data:", "blob:")):
        troubles.append(url)


def open_page(page, address, query=""):
    """Open the app and wait until its pictures can be matched."""
    page.goto(address + query)
    page.wait_for_selector(READY, timeout=60_000)


def canvas(name):
    """Selector of a picture."""
    return f".sc-pane[data-pane={name}] canvas"


def on_screen(page, name, point):
    """Where a place of the original image is on the screen."""
    return page.evaluate(
        """([name, [x, y]]) => {
            const { canvas, scene } = window.spherecorr.panes[name];
            const box = canvas.getBoundingClientRect();
            const scale = Math.min(box.width / scene.size[0], box.height / scene.size[1]);
            return [box.left + (box.width - scene.size[0] * scale) / 2 + x * scale,
                    box.top + (box.height - scene.size[1] * scale) / 2 + y * scale];
        }""",
        [name, list(point)],
    )


def click(page, name, point):
    """Click a place of a picture, in original pixels."""
    page.mouse.click(*on_screen(page, name, point))


def hover(page, name, point):
    """Move the pointer there."""
    page.mouse.move(*on_screen(page, name, point))


def settled(page):
    """Wait until the page has drawn what it was told last."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def points(page):
    """The points that the page holds, in original pixels."""
    settled(page)
    return page.evaluate("() => window.spherecorr.points")


def records(page):
    """The page's matches as it exports them."""
    return json.loads(page.evaluate("() => JSON.stringify(window.spherecorr.records())"))


def rows(page):
    """The table's cells as text."""
    settled(page)
    return [row.locator("td").all_inner_texts() for row in page.locator("#table tbody tr").all()]


def number_pair(text):
    """The pixels of a cell of the table."""
    return tuple(float(part) for part in re.match(r"(-?[\d.]+), (-?[\d.]+)", text).groups())


def colour_at(page, name, point):
    """RGB of what a picture shows at a place in original pixels."""
    settled(page)
    return page.evaluate(
        """([name, [x, y]]) => {
            const { canvas, scene } = window.spherecorr.panes[name];
            const scale = Math.min(canvas.width / scene.size[0], canvas.height / scene.size[1]);
            const left = (canvas.width - scene.size[0] * scale) / 2 + x * scale;
            const top = (canvas.height - scene.size[1] * scale) / 2 + y * scale;
            return [...canvas.getContext("2d").getImageData(Math.floor(left), Math.floor(top), 1, 1).data].slice(0, 3);
        }""",
        [name, list(point)],
    )


def choose(page, dropdown, option):
    """Choose from one of the page's menus."""
    page.click(f"{dropdown} input")
    page.click(f"[role=option][aria-label='{option}']")


def wait_for_status(page, words):
    """Wait until the status line says something."""
    page.wait_for_function("(words) => document.querySelector('.sc-status').innerText.includes(words)", arg=words)

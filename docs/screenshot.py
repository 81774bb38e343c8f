"""Take pictures of the real app, as README shows it, in headless Chromium.

python docs/screenshot.py [--out FILE.png] [--example ID] [--panel TITLE] [--dark] [--phone]
python docs/screenshot.py --animation [--out FILE.webp] [--example ID]
"""

from __future__ import annotations

import argparse
import io
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from PIL import Image, ImageDraw
from playwright.sync_api import Page, sync_playwright

from spherecorr.ui.blocks import launch

CHROMIUM_FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
# Where the pointer goes over the source, in shares of its width and height.
WAY = [(0.62, 0.78), (0.42, 0.38), (0.5, 0.42), (0.78, 0.38), (0.8, 0.2), (0.5, 0.25), (0.45, 0.52), (0.85, 0.5)]
STEPS, FRAME_MS, WIDTH = 5, 110, 960
ARROW = [(0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (12, 12)]  # headless browsers draw no pointer


def main() -> None:
    """Start the app, open the example, take the picture or the animation."""
    options = parse_options()
    _, address, _ = launch(prevent_thread_lock=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
        width, height = (390, 844) if options.phone else (1440, 900)
        page = browser.new_page(viewport={"width": width, "height": height})
        asked = f"&example={options.example}" if options.example else ""
        page.goto(f"{address}?__theme={'dark' if options.dark else 'light'}{asked}")
        page.wait_for_selector(".sc-sphere[data-traces]", timeout=60_000)
        if options.panel:
            page.get_by_role("tab", name=options.panel).click()
        page.wait_for_timeout(3000)  # the sphere turns last
        if options.animation:
            frames = list(film(page))
            frames[0].save(
                options.out, save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0, quality=70, method=4
            )
        else:
            page.screenshot(path=options.out, full_page=options.phone)
        browser.close()


def film(page: Page) -> Iterator[Image.Image]:
    """The pointer on its way over the source, while heat maps and the sphere's mark follow."""
    box = page.locator("[data-pane=source] canvas").bounding_box()
    assert box is not None
    clip = {"x": 60, "y": 0, "width": 1320, "height": 900}
    for start, end in pairwise(WAY):
        for step in range(STEPS):
            share = step / STEPS
            x, y = (a + (b - a) * share for a, b in zip(start, end, strict=True))
            at = box["x"] + x * box["width"], box["y"] + y * box["height"]
            page.mouse.move(*at)
            page.wait_for_timeout(60)
            frame = Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")
            corners = [(at[0] - clip["x"] + dx, at[1] - clip["y"] + dy) for dx, dy in ARROW]
            ImageDraw.Draw(frame).polygon(corners, fill="black", outline="white")
            yield frame.resize((WIDTH, round(frame.height * WIDTH / frame.width)), Image.Resampling.LANCZOS)


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--example", help="id of the example to open; by default the first")
    parser.add_argument("--panel", help="title of the panel to open")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--phone", action="store_true", help="390 pixels wide and the whole page, not 1440 x 900")
    parser.add_argument("--animation", action="store_true", help="the pointer moves over the source")
    options = parser.parse_args()
    options.out = options.out or Path("examples/explorer.webp" if options.animation else "examples/screenshot.png")
    return options


if __name__ == "__main__":
    main()

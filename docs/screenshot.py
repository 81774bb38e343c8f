"""Take a picture of the real app, as README shows it, in headless Chromium.

python docs/screenshot.py [--out FILE.png] [--example TITLE] [--dark] [--phone]
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

from spherecorr.ui.blocks import launch

CHROMIUM_FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]


def main() -> None:
    """Start the app, open the example, take the picture."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("examples/screenshot.png"))
    parser.add_argument("--example", help="title of the example to open; by default the first")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--phone", action="store_true", help="390 pixels wide and the whole page, not 1440 x 900")
    options = parser.parse_args()
    _, address, _ = launch(prevent_thread_lock=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
        width, height = (390, 844) if options.phone else (1440, 900)
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(f"{address}?__theme={'dark' if options.dark else 'light'}")
        page.wait_for_selector(".sc-sphere[data-traces]", timeout=60_000)
        if options.example:
            page.click("#example input")
            page.get_by_role("option", name=options.example).click()
        page.wait_for_timeout(5000)  # the sphere draws last
        page.screenshot(path=options.out, full_page=options.phone)
        browser.close()


if __name__ == "__main__":
    main()

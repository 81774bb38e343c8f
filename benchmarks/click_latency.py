"""Time from a click in the source image to the changed target pictures on screen, in headless Chromium.

    python benchmarks/click_latency.py [--clicks 50] [--backbone NAME --sphere NAME --examples FOLDER] [--out FILE]

Starts the app on the first example at 448 px, warms it up, clicks at seeded places and prints median and 95th
percentile in milliseconds as JSON. After every tenth click the points are cleared, so that clicks never meet the limit.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import statistics
from importlib.metadata import version
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from spherecorr.ui.blocks import launch
from spherecorr.ui.engine import AppSettings

CHROMIUM_FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
WARM_UP = 5

# Counts from the mouse's click until every target shows a new, decoded picture and the browser has painted it.
STOPWATCH = """
() => {
  const targets = ["#raw", "#by-sphere", "#fused"];
  window.changed = new Promise((done) => {
    document.querySelector("#source img").addEventListener("click", () => {
      const start = performance.now();
      const before = targets.map((id) => document.querySelector(id + " img").src);
      const look = async () => {
        const images = targets.map((id) => document.querySelector(id + " img"));
        if (!images.every((image, i) => image && image.src !== before[i] && image.complete)) {
          return requestAnimationFrame(look);
        }
        await Promise.all(images.map((image) => image.decode()));
        requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start)));
      };
      look();
    }, { capture: true, once: true });
  });
}
"""


def main() -> None:
    """Start the app, click, print the report."""
    options = parse_options()
    settings = AppSettings(
        backbones=(options.backbone,),
        spheres=(options.sphere,),
        **({"examples": options.examples} if options.examples else {}),
    )
    _, address, _ = launch(settings=settings, prevent_thread_lock=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(address)
        page.wait_for_selector(".sc-sphere[data-traces]", timeout=60_000)
        times = time_clicks(page, options.clicks)
        report = {
            "clicks": len(times),
            "median_ms": round(statistics.median(times)),
            "p95_ms": round(sorted(times)[int(0.95 * (len(times) - 1) + 0.5)]),
            "backbone": options.backbone,
            "cores": os.cpu_count(),
            "machine": platform.machine(),
            "browser": browser.version,
            "versions": {name: version(name) for name in ("spherecorr", "gradio", "torch", "pillow", "plotly")},
        }
        browser.close()
    text = json.dumps(report, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clicks", type=int, default=50)
    parser.add_argument("--backbone", default="mini")
    parser.add_argument("--sphere", default="mini")
    parser.add_argument("--examples", type=Path)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def time_clicks(page: Page, count: int) -> list[float]:
    """Milliseconds of `count` clicks, after a few that do not count."""
    rng = random.Random(0)
    times = []
    for i in range(WARM_UP + count):
        if i % 10 == 0:
            page.click("#clear")
            page.wait_for_selector("#table .sc-hint")
        page.wait_for_timeout(1000)  # a person's pause; the sphere has its turn
        box = page.locator("#source img").bounding_box()
        page.evaluate(STOPWATCH)
        # Ten columns, so that no click meets an earlier pin.
        x, y = 0.15 + 0.07 * (i % 10), rng.uniform(0.15, 0.85)
        page.mouse.click(box["x"] + box["width"] * x, box["y"] + box["height"] * y)
        times.append(page.evaluate("window.changed"))
    return times[WARM_UP:]


if __name__ == "__main__":
    main()

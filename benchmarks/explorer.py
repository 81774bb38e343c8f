"""How quickly the page answers in headless Chromium: load, pointer, click, upload; also at 60 x 60 x 768 features.

    python benchmarks/explorer.py [--moves 200] [--clicks 60] [--skip-large]

Starts the app on mini's first example at 448 px, and then on a backbone of one random layer with DINOv2-B's shape, and
prints medians and 95th percentiles as JSON. A move or click counts from the browser's own time of the event until the
script has drawn the four pictures, the sphere's marks and the table of it ("drawn"), and until the frame after that
begins ("shown"). Bytes are those on the wire, without Plotly's script.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from spherecorr.shipped import shipped_folder
from spherecorr.ui.blocks import build_demo, launch
from spherecorr.ui.settings import AppSettings

CHROMIUM_FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
READY = ".sc-explorer[data-state=ready]"
WARM_UP = 10

# Notes, for the next event of a kind on the source, how long it took until it was drawn and until it could be seen.
STOPWATCH = """
(kind) => {
  const explorer = window.spherecorr;
  window.answered = new Promise((done) => {
    document.querySelector("[data-pane=source] canvas").addEventListener(kind, (event) => {
      const before = explorer.drawn;
      const look = () => {
        if (explorer.drawn === before) return setTimeout(look, 1);
        const drawn = explorer.drawn - event.timeStamp;
        requestAnimationFrame(() => done([drawn, performance.now() - event.timeStamp]));
      };
      look();
    }, { capture: true, once: true });
  });
}
"""


def main() -> None:
    """Start the app twice, measure, print the report."""
    options = parse_options()
    report: dict = {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("spherecorr", "gradio", "torch", "plotly")},
    }
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
        report["browser"] = browser.version
        settings = AppSettings(backbones=("mini",), spheres=("mini",))
        report["mini, 28 x 28 cells, 192 channels"] = measure(browser, settings, "fast", options)
        if not options.skip_large:
            settings = AppSettings(backbones=(large_backbone(Path(folder)),), spheres=())
            report["60 x 60 cells, 768 channels"] = measure(browser, settings, "fine", options)
        browser.close()
    print(json.dumps(report, indent=1))


def measure(browser, settings: AppSettings, resolution: str, options: argparse.Namespace) -> dict:
    """All times of one app."""
    demo = build_demo(settings)
    _, address, _ = launch(demo=demo, prevent_thread_lock=True)
    address = f"{address}?resolution={resolution}"
    first = browser.new_page()  # the server computes the example's features once
    first.goto(address)
    first.wait_for_selector(READY, timeout=180_000)
    first.close()
    loads = [load(browser, address) for _ in range(options.loads)]
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(address)
    page.wait_for_selector(READY, timeout=180_000)
    page.wait_for_timeout(5000)  # the sphere has its turn
    found = {
        "seconds to first matches": spread([seconds for seconds, _ in loads], 2),
        "MB on the wire": round(statistics.median(size for _, size in loads) / 1e6, 2),
        "MB of an image's features": round(payload(page) / 1e6, 2),
        **answers(page, "move", options.moves),
        **answers(page, "click", options.clicks),
    }
    if resolution == "fast":
        found["seconds from upload to first matches"] = spread([upload(page, i) for i in range(options.uploads)], 2)
    page.close()
    demo.close()
    return found


def load(browser, address: str) -> tuple[float, int]:
    """Seconds until the example's matches are drawn in a new browser, and the bytes that came until then."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    urls: dict[str, str] = {}
    sizes: dict[str, int] = {}
    network.on("Network.responseReceived", lambda event: urls.update({event["requestId"]: event["response"]["url"]}))
    network.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}))
    began = time.perf_counter()
    page.goto(address)
    page.wait_for_selector(READY, timeout=180_000)
    seconds = time.perf_counter() - began
    page.wait_for_timeout(500)
    context.close()
    return seconds, sum(int(size) for request, size in sizes.items() if "plotly" not in urls.get(request, ""))


def answers(page: Page, kind: str, count: int) -> dict:
    """Milliseconds of pointer moves or clicks at seeded places."""
    rng = random.Random(0)
    drawn, shown = [], []
    box = page.locator("[data-pane=source] canvas").bounding_box() or {}
    for i in range(WARM_UP + count):
        if kind == "click" and i % 10 == 0:
            page.click("[data-do=clear]")
        page.wait_for_timeout(60 if kind == "move" else 300)
        page.evaluate(STOPWATCH, "pointermove" if kind == "move" else "click")
        # Ten columns, so that no click meets an earlier pin.
        x = 0.15 + 0.07 * (i % 10) if kind == "click" else rng.uniform(0.1, 0.9)
        at = box["x"] + box["width"] * x, box["y"] + box["height"] * rng.uniform(0.1, 0.9)
        (page.mouse.move if kind == "move" else page.mouse.click)(*at)
        times = page.evaluate("window.answered")
        drawn.append(times[0])
        shown.append(times[1])
    name = "pointer" if kind == "move" else "click"
    return {f"ms {name} to drawn": spread(drawn[WARM_UP:]), f"ms {name} to shown": spread(shown[WARM_UP:])}


def upload(page: Page, index: int) -> float:
    """Seconds from choosing a file that the server has never seen to the first matches with it."""
    from PIL import Image

    name = f"upload-{index}.jpg"
    with tempfile.TemporaryDirectory() as folder:
        image = Image.open(shipped_folder("examples") / "car-photo-a.jpg")
        image.rotate(index + 1).save(Path(folder) / name)
        with page.expect_file_chooser() as chooser:
            page.click("[data-do=upload-target]")
        began = time.perf_counter()
        chooser.value.set_files(Path(folder) / name)
        page.wait_for_function(
            "(name) => window.spherecorr.pictures.target?.name === name && window.spherecorr.pair", arg=name
        )
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return time.perf_counter() - began


def payload(page: Page) -> int:
    """Bytes of the source's features on their way to the page."""
    size = "async (path) => (await (await fetch('gradio_api/file=' + path)).arrayBuffer()).byteLength"
    return page.evaluate(size, page.evaluate("() => window.spherecorr.pictures.source.features"))


def large_backbone(folder: Path) -> str:
    """One random layer of DINOv2-B's shape, which gives 60 x 60 cells of 768 channels at 840 px."""
    import timm
    from timm.models import save_for_hf

    shape = {"depth": 1, "num_classes": 0, "img_size": 518, "dynamic_img_size": True}
    model = timm.create_model("vit_base_patch14_dinov2", **shape)
    save_for_hf(model, str(folder), model_args=shape, safe_serialization=True)
    return f"local-dir:{folder}"


def spread(values: list[float], digits: int = 1) -> dict[str, float]:
    """Median and 95th percentile."""
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return {"median": round(statistics.median(ordered), digits), "p95": round(p95, digits)}


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--moves", type=int, default=200)
    parser.add_argument("--clicks", type=int, default=60)
    parser.add_argument("--loads", type=int, default=5)
    parser.add_argument("--uploads", type=int, default=5)
    parser.add_argument("--skip-large", action="store_true", help="mini alone")
    return parser.parse_args()


if __name__ == "__main__":
    main()

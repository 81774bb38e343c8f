"""Hostile inputs against a served app: each gets a sentence or a refusal, and the next honest call is answered rightly.

    python benchmarks/hostile.py [--seed 0] [--a-kind N] [--no-browser]

Serves the app with a tiny ViT, sends every input of `hostile_inputs`, and after every 50 an honest match. The process
that serves writes down what files and addresses it touches; a server beside it notes whether anybody asks it. In the
end a headless browser looks at names made of HTML, and at the exported CSV. Prints a table and every fault; exits with
1 if there is any.
"""

from __future__ import annotations

import argparse
import csv
import re
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import httpx
from hostile_files import hostile_spheres
from hostile_inputs import hostile_inputs
from hostile_stage import SCRIPT, Input, Stage
from page_client import Refused
from tiny_models import block_examples, blocks, encoded_png, tiny_backbone, tiny_sphere
from watched_app import ROOT, SETTLED, WatchedApp

from spherecorr.errors import SpherecorrError
from spherecorr.sphere.checkpoint import load_sphere
from spherecorr.ui.failures import INTERNAL_ERROR

HONEST_EVERY = 50
ROLES = ("source", "target")
SLOW = 60
"""Seconds that an answer may take on a busy machine."""
MOST_SAID = 6000
TRACES = re.compile(r"Traceback|File \"|site-packages|0x[0-9a-f]{6,}")
CHROMIUM = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
SERVE = """
import sys
from watched_app import watch
from spherecorr.ui.blocks import launch
from spherecorr.ui.settings import AppSettings
import spherecorr.pipelines.match
watch(folder / "touched", ({read}), ({write}))
offered = ({backbone!r}, "dinov2-s"), {spheres!r}, Path({examples!r})
launch(port=port, settings=AppSettings(*offered, device="cpu", teach_folder=folder / "teach"))
"""


class Faults:
    """What went wrong, as lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, what: str) -> None:
        """Note a fault, and print it at once."""
        self.lines.append(what)
        print(f"FAULT {what}", flush=True)


def main() -> None:
    """Serve, send, check, print."""
    options = parse_options()
    faults, counts = Faults(), Counter()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name).resolve()
        app, spheres = prepare(work)
        spy = Spy.start()
        try:
            app.start()
            secret = work / "secret.png"
            secret.write_bytes(encoded_png(blocks((64, 64), (2, 2), "#123456")))
            pictures = tuple((work / "examples" / f"{side}.png").read_bytes() for side in "ab")
            stage = Stage(app.address, spy, secret, pictures, spheres)
            warm_up(stage, work)
            inputs = hostile_inputs(stage, options.seed, options.a_kind)
            (app.folder / SETTLED).touch()
            before = snapshot(work)
            counts = attack(stage, inputs, app.log, faults)
            check_files(work, before, app.folder / "touched", faults)
            check_checkpoints(spheres, work / "marker", faults)
            if not options.no_browser:
                check_browser(app.address, stage, faults)
        except Exception:
            print(app.log.read_text()[-3000:])
            raise
        finally:
            app.close()
        if Spy.asked:
            faults.add(f"{len(Spy.asked)} requests reached the server beside the app: {Spy.asked[:3]}")
    for kind, count in sorted(counts.items()):
        print(f"{kind:24} {count:5}")
    print(f"{sum(v for (k, v) in counts.items() if not k.startswith('  ')):,} inputs, {len(faults.lines)} faults")
    sys.exit(1 if faults.lines else 0)


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--a-kind", type=int, help="so many inputs of each kind (default: all)")
    parser.add_argument("--no-browser", action="store_true")
    return parser.parse_args()


def prepare(work: Path) -> tuple[WatchedApp, list[str]]:
    """Models, examples and the app that offers them; and its spheres that are no sound ones."""
    backbone = tiny_backbone(work / "backbone")
    sphere = tiny_sphere(work / "sphere", backbone)
    spheres = hostile_spheres(work / "spheres", work / "sphere", work / "marker")
    examples = block_examples(work / "examples")
    folder = work / "app"
    own = [str(path) for path in (folder, work / "examples", work / "spheres", work / "sphere", work / "backbone")]
    read = [*own, str(ROOT), sys.prefix, sys.base_prefix, "/proc/", "/sys/", "/dev/"]
    write = [str(folder), "/dev/null"]
    listed = {key: ", ".join(map(repr, paths)) + "," for key, paths in (("read", read), ("write", write))}
    code = SERVE.format(**listed, backbone=backbone, spheres=(sphere, *spheres), examples=str(examples))
    return WatchedApp(folder, code), spheres


def warm_up(stage: Stage, work: Path) -> None:
    """Do everything once, so that what honest use reads is known."""
    titles = [c["props"].get("label") for c in stage.page.config["components"] if c["type"] == "tabitem"]
    for title in titles:
        stage.page.look(panel=title, points=[[140.5, 110.5]])
    stage.match()
    for name in ("png", "jpg"):
        stage.page.put("source", f"own.{name}", stage.pictures[0])
    stage.page.mark("source", "box", [[110, 80], [270, 190]])
    stage.page.choose("backbone", "dinov2-s")
    stage.renew()


def attack(stage: Stage, inputs: list[Input], log: Path, faults: Faults) -> Counter:
    """Try every input; counts them by kind."""
    counts: Counter = Counter()
    right = stage.match()
    seen = log.stat().st_size
    for number, entry in enumerate(inputs, start=1):
        began = time.monotonic()
        outcome = try_input(stage, entry, faults)
        if (took := time.monotonic() - began) > SLOW:
            faults.add(f"{entry.kind}: {entry.what}: answered after {took:.0f} s")
        counts[entry.kind] += 1
        counts[f"  {outcome}"] += 1
        with log.open() as text:
            text.seek(seen)
            said = text.read()
            seen = text.tell()
        if "Traceback" in said or INTERNAL_ERROR in said:
            faults.add(f"{entry.kind}: {entry.what}: in the log: ... {said[-900:]}")
        if number % HONEST_EVERY == 0 or number == len(inputs):
            check_honest(stage, right, entry, faults)
    return counts


def try_input(stage: Stage, entry: Input, faults: Faults) -> str:
    """Send one input; returns how it was answered."""
    try:
        entry.send(stage)
        return "answered"
    except Refused as refusal:
        said = str(refusal)
        if INTERNAL_ERROR in said or TRACES.search(said) or said == "Internal Server Error":
            faults.add(f"{entry.kind}: {entry.what}: {said[:300]}")
        elif len(said) > MOST_SAID and "detail" not in said:
            faults.add(f"{entry.kind}: {entry.what}: refused in {len(said):,} characters: {said[:100]}")
        return "refused"
    except (httpx.InvalidURL, ValueError, UnicodeError) as error:
        return f"not sent ({type(error).__name__})"
    except (httpx.HTTPError, AssertionError, KeyError, TypeError) as error:
        faults.add(f"{entry.kind}: {entry.what}: {type(error).__name__} {error}")
        return "no answer"


def check_honest(stage: Stage, right: object, after: Input, faults: Faults) -> None:
    """A new visitor's page opens, and a match is what it was."""
    try:
        page = stage.renew()
        found = stage.match()
    except (Refused, httpx.HTTPError) as error:
        faults.add(f"after {after.kind} {after.what} an honest visitor got: {error!r}")
        return
    if found != right or not page.shown.get("ready"):
        faults.add(f"after {after.kind} {after.what} an honest visitor got another answer: {page.said}")


def snapshot(work: Path) -> dict[str, tuple[int, int]]:
    """Size and time of all files that the app must leave alone."""
    kept = [path for path in work.rglob("*") if not path.is_relative_to(work / "app") and path.is_file()]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in kept}


def check_files(work: Path, before: dict, touched: Path, faults: Faults) -> None:
    """Nothing outside the served folders was read, written, run or asked."""
    if snapshot(work) != before:
        faults.add(f"files changed: {snapshot(work).items() ^ before.items()}")
    lines = Counter(touched.read_text().splitlines() if touched.is_file() else [])
    for line, count in lines.most_common(30):
        faults.add(f"the app touched, {count} times: {line}")


def check_checkpoints(spheres: list[str], marker: Path, faults: Faults) -> None:
    """Loading a checkpoint that was tampered with raises one sentence, and runs nothing of it."""
    for name in spheres:
        try:
            load_sphere(name, device="cpu")
        except SpherecorrError as error:
            if "\n" in str(error):
                faults.add(f"{name}: more than one line: {error}")
        except Exception as error:
            faults.add(f"load_sphere {Path(name).name}: {type(error).__name__} {error}")
    if marker.exists():
        faults.add("a pickle was run")


def check_browser(address: str, stage: Stage, faults: Faults) -> None:
    """Names of files, spheres and addresses become no elements of the page; the CSV has numbers alone."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        page = browser.new_page()
        bad = "%3Cimg%20src%3Dx%20onerror%3Dhacked%3D1%3E"
        page.goto(f"{address}/?example={bad}&backbone={bad}&sphere={bad}&points=1,1_{bad}&source={bad}")
        page.wait_for_selector(".sc-explorer")
        page.goto(address)
        ready = "() => document.querySelector('.sc-explorer')?.dataset.state === 'ready'"
        page.wait_for_function(ready, timeout=60_000)
        for i, name in enumerate((f"{SCRIPT}.png", "=HYPERLINK(1).png", "@SUM(1).png")):
            path = Path(folder) / name
            path.write_bytes(stage.pictures[i % 2])
            with page.expect_file_chooser() as chooser:
                page.click(f"[data-do=upload-{ROLES[i % 2]}]")
            chooser.value.set_files(path)
            page.wait_for_timeout(1500)
            page.wait_for_function(ready, timeout=60_000)
        page.evaluate("() => window.spherecorr.setPoints([[150, 110]], 0)")
        page.wait_for_function("() => document.querySelectorAll('#table tbody tr').length === 1")
        page.click("#sphere input")
        page.wait_for_timeout(300)
        if page.evaluate("() => window.hacked !== undefined || document.querySelector('[onerror]') !== null"):
            faults.add("a name became an element of the page")
        page.keyboard.press("Escape")
        with page.expect_download() as download:
            page.click("[data-export=csv]")
        with open(download.value.path(), newline="") as text:
            rows = list(csv.reader(text))
        odd = [
            cell for row in rows[1:] for cell in row if not re.fullmatch(r"-?[\d.]*(e-?\d+)?|yes|no|true|false", cell)
        ]
        if odd or not rows[1:]:
            faults.add(f"the CSV has more than numbers: {odd or rows}")
        browser.close()


class Spy(BaseHTTPRequestHandler):
    """A server on this machine that remembers who asked."""

    asked: ClassVar[list[str]] = []

    @classmethod
    def start(cls) -> str:
        """Serve; returns the address."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), cls)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    def do_GET(self) -> None:
        """Note the request."""
        self.asked.append(self.path)
        self.send_error(404)

    do_HEAD = do_POST = do_GET

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    main()

"""Many visitors at once, with several backbones: nothing fails, and each sees what they would see alone.

    python benchmarks/visitors.py [--visitors 50] [--actions 20] [--minutes 10] [--seed 0]

Serves the app with mini and two tiny ViTs in a process of its own. Visitors speak the page's own protocol and do seeded
actions: examples, menus, uploads, marks, mirroring, swapping, panels, and calls of the API. Every state that anybody
saw is then shown to a single visitor of a fresh server, and must be the same. For so many minutes visitors then go on,
while the server's memory is sampled. At last the waits of quick visitors are measured, alone and beside others who
have pictures computed at fine resolution. Exits with 1 if anything is violated.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from page_client import PageClient
from PIL import Image
from tiny_models import block_examples, blocks, encoded_png, tiny_backbone, tiny_sphere
from watched_app import WatchedApp

PANELS = ("Matches", "PCA", "Sphere maps", "Ground truth", "Methods")
OWN_PICTURES = 6
SAME = ("pictures", "example", "ready", "sphere", "globe", "problem", "notices", "about")
MOST_GROWTH = 60.0
"""MB per 1,000 actions that the memory may seem to grow, once it is warm."""
MOST_MEMORY = 3000.0
"""MB; a free Space has 16,000."""
AT_ONCE = 4
"""Events of one kind that the queue runs beside each other, see `build_demo`."""
SERVE = """
import spherecorr.ui.blocks as blocks
from spherecorr.ui.settings import AppSettings
blocks.SESSIONS_KEPT = {sessions}
settings = AppSettings({backbones!r}, {spheres!r}, Path({examples!r}), device="cpu", teach_folder=folder / "teach")
blocks.launch(port=port, settings=settings)
"""


@dataclass
class State:
    """What a visitor has done that decides what the page shows, so that another visitor can do it, too.

    Attributes:
        steps: names and arguments of methods of `PageClient`.
        controls: of the menus.
    """

    steps: list[tuple[str, tuple]] = field(default_factory=list)
    controls: dict[str, str] = field(default_factory=dict)

    def key(self) -> str:
        """Equal for visitors who must see the same."""
        return repr((self.steps, sorted(self.controls.items())))

    def replayed(self, address: str, config: dict) -> PageClient:
        """A new visitor's page in this state."""
        page = PageClient(address, "resolution=fast", config=config).open()
        for menu, value in self.controls.items():
            page.choose(menu, value)
        for name, arguments in self.steps:
            getattr(page, name)(*arguments)
        return page


@dataclass
class Record:
    """What happened.

    Attributes:
        seen: what was shown, by the state's key.
        states: by their keys.
        matches: of the API, by the call's text.
        errors: one line each.
        actions: how many were done.
        waits: seconds, of actions.
    """

    seen: dict[str, str] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    matches: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    actions: int = 0
    waits: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, state: State, shown: str) -> None:
        """A page as it was shown; another page of the same state must have shown the same."""
        with self.lock:
            if self.seen.setdefault(state.key(), shown) != shown:
                self.errors.append(f"two visitors saw different pages of {state.key()[:200]}")
            self.states[state.key()] = state

    def done(self, seconds: float) -> None:
        """An action."""
        with self.lock:
            self.actions += 1
            self.waits.append(seconds)


class Visitor:
    """Does seeded actions on a page of their own.

    Args:
        address: of the app.
        config: of the app.
        backbones: with their spheres.
        pictures: to upload.
        record: of all visitors.
        seed: of the actions.
    """

    def __init__(
        self, address: str, config: dict, backbones: dict[str, str], pictures: list[bytes], record: Record, seed: int
    ):
        self.address, self.config, self.backbones, self.pictures = address, config, backbones, pictures
        self.record, self.rng = record, random.Random(seed)

    def visit(self, actions: int, until: float = float("inf")) -> None:
        """Come, do so many actions, and leave."""
        state = State()
        try:
            page = PageClient(self.address, "resolution=fast", config=self.config).open()
            for _ in range(actions):
                if time.monotonic() > until:
                    break
                began = time.monotonic()
                state = self._act(page, state)
                self.record.done(time.monotonic() - began)
            page.close()
        except Exception as error:
            with self.record.lock:
                self.record.errors.append(f"{type(error).__name__} {error} after {state.steps[-2:]}"[:400])

    def _act(self, page: PageClient, state: State) -> State:
        """One action; returns the new state."""
        act = self.rng.choice(
            [self._menus, self._example, self._upload, self._mark, self._turn, self._look, self._call]
        )
        new = act(page, state)
        if not page.shown.get("ready"):
            raise RuntimeError(f"not ready, but: {page.said}")
        self.record.note(new, shown(page))
        return new

    def _menus(self, page: PageClient, state: State) -> State:
        backbone = self.rng.choice(list(self.backbones))
        chosen = {"backbone": backbone, "sphere": self.backbones[backbone]}
        for menu, value in chosen.items():
            page.choose(menu, value)
        return State(state.steps, chosen)

    def _do(self, page: PageClient, state: State, name: str, *arguments: Any, fresh: bool = False) -> State:
        getattr(page, name)(*arguments)
        return State([*([] if fresh else state.steps), (name, arguments)], state.controls)

    def _example(self, page: PageClient, state: State) -> State:
        return self._do(page, state, "choose", "example", self.rng.choice(["blocks", "back"]), fresh=True)

    def _upload(self, page: PageClient, state: State) -> State:
        number, role = self.rng.randrange(OWN_PICTURES), self.rng.choice(["source", "target"])
        return self._do(page, state, "put", role, f"own {number}.png", self.pictures[number])

    def _mark(self, page: PageClient, state: State) -> State:
        role = self.rng.choice(["source", "target"])
        width, height = page.shown["pictures"][role]["size"]
        left, top = self.rng.choice([0.1, 0.15]) * width, self.rng.choice([0.1, 0.2]) * height
        return self._do(page, state, "mark", role, "box", [[left, top], [0.9 * width, 0.9 * height]])

    def _turn(self, page: PageClient, state: State) -> State:
        if self.rng.random() < 0.5:
            return self._do(page, state, "ask", "mirror")
        return self._do(page, state, "swap_pictures")

    def _look(self, page: PageClient, state: State) -> State:
        width, height = page.shown["pictures"]["source"]["size"]
        point = [self.rng.uniform(0, width), self.rng.uniform(0, height)]
        page.look(panel=self.rng.choice(PANELS), points=[point], alpha=self.rng.random())
        return state

    def _call(self, page: PageClient, state: State) -> State:
        numbers = self.rng.sample(range(OWN_PICTURES), 2)
        backbone, place = self.rng.choice(list(self.backbones)), [self.rng.choice([50, 90, 130]), 70]
        answer = match(page, self.pictures, numbers, backbone, place)
        text = json.dumps([numbers, backbone, place])
        with self.record.lock:
            if self.record.matches.setdefault(text, answer) != answer:
                self.record.errors.append(f"two visitors got different matches of {text}")
        return state


def match(page: PageClient, pictures: list[bytes], numbers: list[int], backbone: str, place: list) -> str:
    """What the API answers for two pictures, as text."""
    files = [page.file(page.upload(f"{number}.png", pictures[number])) for number in numbers]
    return json.dumps(page.call("match", [*files, [place], backbone]))


def shown(page: PageClient) -> str:
    """What a page shows, as text; its files are named by their content."""
    return json.dumps([{key: page.shown.get(key) for key in SAME}], sort_keys=True)


def main() -> None:
    """Serve, visit, check, print."""
    options = parse_options()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name).resolve()
        backbones = {"mini": "mini"}
        for seed in (1, 2):
            backbone = tiny_backbone(work / f"tiny {seed}", seed)
            backbones[backbone] = tiny_sphere(work / f"sphere {seed}", backbone, seed)
        examples = block_examples(work / "examples")
        # So few that they are soon filled, and so many that nobody is forgotten who is still there: each call of the
        # API is a visit of its own, and the oldest is forgotten first.
        sessions = 5 * options.visitors
        code = SERVE.format(
            sessions=sessions, backbones=(*backbones,), spheres=(*backbones.values(),), examples=str(examples)
        )
        app = WatchedApp(work / "app", code).start()
        try:
            faults = check(app, backbones, own_pictures(), options)
        finally:
            app.close()
    for fault in faults:
        print(f"FAULT {fault}")
    sys.exit(1 if faults else 0)


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--actions", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10, help="of the memory's sampling")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def own_pictures() -> list[bytes]:
    """Pictures to upload, all different."""
    sizes = [(200 + 40 * i, 240 - 20 * i) for i in range(OWN_PICTURES)]
    return [encoded_png(blocks(size, (10 + 5 * i, 20), "white")) for i, size in enumerate(sizes)]


def check(app: WatchedApp, backbones: dict[str, str], pictures: list[bytes], options: argparse.Namespace) -> list[str]:
    """All three parts; returns what is violated."""
    config = PageClient(app.address).config
    record, memory = Record(), Memory(app.number)

    def crowd(visitors: int, actions: int, until: float = float("inf"), first: int = 0) -> None:
        with ThreadPoolExecutor(visitors) as pool:
            for i in range(visitors):
                seed = options.seed * 100_000 + first + i
                pool.submit(Visitor(app.address, config, backbones, pictures, record, seed).visit, actions, until)

    began = time.monotonic()
    crowd(options.visitors, options.actions)
    took, waits = time.monotonic() - began, list(record.waits)
    row("visitors x actions", f"{options.visitors} x {options.actions}, {record.actions} done in {took:.0f} s")
    row("wait for an action", f"median {statistics.median(waits):.2f} s, longest {max(waits):.2f} s")

    first, until = options.visitors, time.monotonic() + 60 * options.minutes
    with memory.sampled(record):
        while time.monotonic() < until:
            crowd(options.visitors, options.actions, until, first)
            first += options.visitors
    growth = memory.growth()
    row("memory", f"after the first crowd {memory.megabytes[0]:.0f} MB, peak {max(memory.megabytes):.0f} MB, "
        f"{growth:+.1f} MB per 1,000 actions over {options.minutes:g} minutes, {record.actions} actions")  # fmt: skip

    faults = compare_alone(app, config, backbones, pictures, record)
    faults += record.errors[:20] + measure_waits(app, config, backbones)
    if record.errors:
        row("errors", str(len(record.errors)))
    if growth > MOST_GROWTH:
        faults.append(f"memory grows by {growth:.1f} MB per 1,000 actions")
    if max(memory.megabytes) > MOST_MEMORY:
        faults.append(f"memory reached {max(memory.megabytes):.0f} MB")
    if "Traceback" in app.log.read_text():
        faults.append(f"in the log: {app.log.read_text()[-1500:]}")
    row("machine", f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.0f}")
    return faults


def compare_alone(
    app: WatchedApp, config: dict, backbones: dict[str, str], pictures: list[bytes], record: Record
) -> list[str]:
    """Show a choice of the states to one visitor of a server that was started anew."""
    app.stop()
    app.start()
    rng, faults = random.Random(0), []
    keys = rng.sample(sorted(record.states), min(60, len(record.states)))
    for key in keys:
        page = record.states[key].replayed(app.address, config)
        if shown(page) != record.seen[key]:
            faults.append(f"alone, a visitor sees another page of {key[:200]}")
        page.close()
    page = PageClient(app.address, config=config)
    calls = rng.sample(sorted(record.matches), min(60, len(record.matches)))
    for text in calls:
        numbers, backbone, place = json.loads(text)
        if match(page, pictures, numbers, backbone, place) != record.matches[text]:
            faults.append(f"alone, a visitor gets another match of {text}")
    row("compared with one alone", f"{len(keys)} of {len(record.states)} pages, {len(calls)} of {len(record.matches)} "
        f"matches, {len(faults)} different")  # fmt: skip
    return faults


def measure_waits(app: WatchedApp, config: dict, backbones: dict[str, str]) -> list[str]:
    """Waits of quick visitors, alone and beside others who compute at fine resolution."""
    fine = threading.Event()

    def quick() -> list[float]:
        page, waits = PageClient(app.address, "resolution=fast", config=config).open(), []
        for i in range(12):
            began = time.monotonic()
            page.ask("mirror")
            page.choose("example", ("blocks", "back")[i % 2])
            waits.append((time.monotonic() - began) / 2)
        return waits

    def slow(number: int) -> float:
        page = PageClient(app.address, "resolution=fine", config=config).open()
        longest = 0.0
        while not fine.is_set():
            noise = np.random.default_rng([number, int(time.monotonic() * 1000)]).integers(0, 255, (300, 400, 3))
            content = encoded_png(Image.fromarray(noise.astype(np.uint8)))
            began = time.monotonic()
            page.put("target", "fine.png", content)
            longest = max(longest, time.monotonic() - began)
        return longest

    quick()
    alone = quick()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        others = [pool.submit(slow, number) for number in range(AT_ONCE - 1)]
        time.sleep(1)
        beside = quick()
        fine.set()
        longest = max(other.result() for other in others)
    row("quick visitors wait", f"alone {statistics.median(alone):.2f} s, longest {max(alone):.2f} s; beside "
        f"{AT_ONCE - 1} fine ones {statistics.median(beside):.2f} s, longest {max(beside):.2f} s; "
        f"a fine one {longest:.2f} s")  # fmt: skip
    # A place in the queue is free, so they share the cores, and wait for nobody's end.
    allowed = AT_ONCE * max(alone) + 1
    return [] if statistics.median(beside) <= allowed else [f"quick visitors wait more than {allowed:.1f} s"]


class Memory:
    """Samples the resident memory of a process, and how many actions were done by then; on Linux."""

    def __init__(self, number: int):
        self._pages, self._stop = Path(f"/proc/{number}/statm"), threading.Event()
        self.megabytes: list[float] = []
        self.actions: list[int] = []

    def sampled(self, record: Record) -> Memory:
        """Sample every half second while the context is open."""
        self._record = record
        return self

    def __enter__(self) -> None:
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.is_set():
            self.megabytes.append(int(self._pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6)
            self.actions.append(self._record.actions)
            self._stop.wait(0.5)

    def growth(self) -> float:
        """MB per 1,000 actions, the slope of a line through the second half of the samples, when it is warm."""
        half = len(self.actions) // 2
        actions, megabytes = np.array(self.actions[half:]) / 1000, self.megabytes[half:]
        return float(np.polyfit(actions, megabytes, 1)[0]) if len(set(actions)) > 1 else 0.0


def row(what: str, found: str) -> None:
    """A line of the table."""
    print(f"{what:24} {found}", flush=True)


if __name__ == "__main__":
    main()

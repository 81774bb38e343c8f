"""Images per second of `spherecorr render`, for procedural objects and for a folder of meshes.

    python benchmarks/render_speed.py [--images 400] [--runs 5] [--processes 2] [--size 224] [--meshes FOLDER]
                                      [--backgrounds FOLDER] [--out FILE]

Each run renders a new dataset to a temporary folder, pictures, labels and pairs included, after one run that only warms
up. Prints JSON: median and range over the runs, by the clock and in time of the processors. The clock also counts what
else the machine does: see `load_before`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from spherecorr.render.dataset import render_dataset
from spherecorr.render.settings import RenderSettings


def main() -> None:
    """Render, print the report."""
    options = parse_options()
    sources = {"procedural": None, **({"meshes": options.meshes} if options.meshes else {})}
    report = {
        "machine": describe_machine(),
        "settings": {key: value for key, value in vars(options).items() if key != "out"},
        **{name: measure(options, meshes) for name, meshes in sources.items()},
    }
    text = json.dumps(report, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


def parse_options() -> argparse.Namespace:
    """Options of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=400, help="in a run (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="that are measured (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="at work together (default: %(default)s)")
    parser.add_argument("--size", type=int, default=224, help="side of the pictures in pixels (default: %(default)s)")
    parser.add_argument("--meshes", metavar="FOLDER", help="also render these (default: procedural objects only)")
    parser.add_argument("--backgrounds", metavar="FOLDER", help="photographs behind every second object")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write the report")
    return parser.parse_args()


def measure(options: argparse.Namespace, meshes: str | None) -> dict:
    """Render `runs` datasets; every one with another seed, so that no run is easier than others by its seed."""
    settings = [
        RenderSettings(
            count=options.images,
            pairs=1,
            size=options.size,
            seed=seed,
            meshes=meshes,
            backgrounds=options.backgrounds,
        )
        for seed in range(options.runs + 1)
    ]
    timed = [time_run(each, options.processes) for each in settings][1:]  # the first one warms up
    return {
        "images_per_second": summary([options.images / clock for clock, _ in timed]),
        "milliseconds_of_processor_per_image": summary([1000 * work / options.images for _, work in timed]),
    }


def time_run(settings: RenderSettings, processes: int) -> tuple[float, float]:
    """Seconds by the clock, and seconds of work of this process and those that it started."""
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        start, work = time.perf_counter(), processor_seconds()
        with contextlib.redirect_stderr(nowhere):  # the progress bar
            render_dataset(Path(folder), settings, processes)
        return time.perf_counter() - start, processor_seconds() - work


def processor_seconds() -> float:
    """Of this process and all that it started and that ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def summary(values: list[float]) -> dict[str, float]:
    """Median and range."""
    return {
        "median": round(statistics.median(values), 2),
        "lowest": round(min(values), 2),
        "highest": round(max(values), 2),
    }


def describe_machine() -> dict:
    """What the figures depend on."""
    load = os.getloadavg()[0]
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load_before": round(load, 2),
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "embreex", "opencv-python-headless", "pillow")},
    }


if __name__ == "__main__":
    main()

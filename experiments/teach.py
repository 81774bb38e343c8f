r"""Teach a sphere a kind it never saw, from 30 photographs: how long it takes, and what 15 others say before and after.

    python experiments/teach.py photo_teach --out data/teach --seeds 3
    python experiments/teach.py photo_teach --out data/teach-none --start none

Each seed deals the photographs anew. Prints a line per seed and, last, a line of JSON. Seconds of the process and its
threads (user) are less at the mercy of other programs than those on the clock.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from dataclasses import asdict, replace
from pathlib import Path

from held_out import rounded

from spherecorr.cli.base import show_steps
from spherecorr.pipelines.cards import answers
from spherecorr.pipelines.recipes import TEACH, TEACH_FROM_NOTHING
from spherecorr.pipelines.teach import TeachStep, teach


def main() -> None:
    """Teach with every seed, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder with viewpoints.csv")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", default="mini")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--held-out", type=float, default=1 / 3)
    for name in ("steps", "surface", "viewpoint", "learning-rate"):
        parser.add_argument(f"--{name}", type=float)
    options = parser.parse_args()
    recipe = TEACH_FROM_NOTHING if options.start == "none" else TEACH
    weights = {name: value for name in ("surface", "viewpoint") if (value := getattr(options, name)) is not None}
    recipe = replace(recipe, held_out=options.held_out, weights=recipe.weights.changed(weights))
    if options.steps:
        recipe = replace(recipe, steps=int(options.steps))
    if options.learning_rate:
        recipe = replace(recipe, learning_rate=options.learning_rate)
    rows = []
    for seed in range(options.seeds):
        bar = show_steps()

        def show(step: TeachStep, bar=bar) -> None:
            if step.maps is None:
                bar(step.step, step.steps, step.losses)

        began, user = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_utime
        taught = teach(
            options.root,
            options.out / str(seed),
            backbone="mini",
            start=options.start,
            recipe=replace(recipe, seed=seed),
            device="cpu",
            on_step=show,
        )
        row = {
            "seed": seed,
            "photographs": len(taught.photographs),
            "views": len(taught.after),
            "before": asdict(answers(taught.before)) if taught.before else None,
            "after": asdict(answers(taught.after)),
            "seconds": time.perf_counter() - began,
            "user seconds": resource.getrusage(resource.RUSAGE_SELF).ru_utime - user,
        }
        print(rounded(row), flush=True)
        rows.append(row)
    print(json.dumps(rounded({"start": options.start, "rows": rows})))


if __name__ == "__main__":
    main()

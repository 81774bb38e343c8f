"""The recipes of `spherecorr train`: what becomes of a folder of photographs with one command."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path
from typing import TypeVar

from spherecorr.cli.base import announce, show_progress, show_steps
from spherecorr.errors import SpherecorrError
from spherecorr.pipelines.recipes import PHOTOGRAPHS, TEACH, TEACH_FROM_NOTHING, PhotographsRecipe, TeachRecipe

Recipe = TypeVar("Recipe", TeachRecipe, PhotographsRecipe)
ALWAYS = {"run", "debug", "recipe", "out", "data", "device", "backbone", "weights"}


def add_recipes(parser: argparse.ArgumentParser) -> None:
    """The options --recipe and --renders."""
    parser.add_argument(
        "--recipe",
        choices=("teach", "photographs"),
        help="from --data folder ROOT to OUT, a checkpoint with a card, in one command; masks are proposed into "
        "OUT/masks where there are none. teach: a few dozen photographs of one kind, in minutes, from --start "
        "(default: mini). photographs: a sphere for --backbone from renders and photographs, in hours. --steps, "
        "--weights and other settings of a recipe change it",
    )
    parser.add_argument(
        "--renders", type=Path, metavar="FOLDER", help="renders of --recipe photographs; made where they are missing "
        "(default: OUT/renders)",
    )  # fmt: skip


def run_recipe(options: argparse.Namespace) -> None:
    """Follow a recipe, and say what came of it."""
    if options.recipe is None:
        raise SpherecorrError("Renders to train on are --data renders FOLDER; --renders is for --recipe photographs.")
    if len(options.data) != 1 or options.data[0][0] != "folder":
        raise SpherecorrError("A recipe takes --data folder ROOT once, with viewpoints.csv in the folder.")
    root = options.data[0][1]
    (_teach if options.recipe == "teach" else _photographs)(options, root)


def _teach(options: argparse.Namespace, root: str) -> None:
    nothing = options.start == "none" or (options.start is None and options.backbone not in (None, "mini"))
    recipe = _changed(TEACH_FROM_NOTHING if nothing else TEACH, options, {"start"})

    from spherecorr.pipelines.cards import answers
    from spherecorr.pipelines.teach import TeachStep, teach

    draw = show_steps()

    def show(step: TeachStep) -> None:
        if step.maps is None:
            draw(step.step, step.steps, step.losses)

    taught = teach(
        root, options.out, backbone=options.backbone, start=options.start, recipe=recipe, device=options.device,
        on_step=show, progress=show_progress,
    )  # fmt: skip
    before = "" if taught.before is None else f"{answers(taught.before).median:.1f} degrees off (median) before, "
    print(f"held-out photographs: {before}{answers(taught.after).median:.1f} after")
    print(f"wrote {options.out}, a sphere to be used as --sphere {options.out}, and the masks it learned from")


def _photographs(options: argparse.Namespace, root: str) -> None:
    recipe = _changed(PHOTOGRAPHS, options, {"renders"})
    if options.backbone is None:
        raise SpherecorrError("The recipe photographs makes a sphere for a backbone; name it with --backbone.")

    from spherecorr.pipelines.photographs import train_on_photographs

    mapper = train_on_photographs(
        root, options.out, backbone=options.backbone, renders=options.renders, recipe=recipe, device=options.device,
        notify=announce, progress=show_progress, on_step=show_steps(),
    )  # fmt: skip
    alpha = mapper.settings.alpha
    print(f"wrote {options.out}, a sphere to be used as --sphere {options.out}; recommended alpha {alpha:g}")


def _changed(recipe: Recipe, options: argparse.Namespace, others: set[str]) -> Recipe:
    """The recipe with what the options say of its settings.

    Raises:
        SpherecorrError: an option that the recipe has no use for.
    """
    names = {field.name for field in fields(recipe)} - others - {"weights", "held_out"}
    unset = {"preset": "fast", "val_split": "val"}
    given = {name: value for name, value in vars(options).items() if value not in (None, False, [], unset.get(name))}
    if useless := given.keys() - ALWAYS - names - others:
        raise SpherecorrError(
            f"The recipe {options.recipe} does not use --{min(useless).replace('_', '-')}; leave it out."
        )
    changes = {name: value for name, value in given.items() if name in names}
    return replace(recipe, weights=recipe.weights.changed(options.weights or {}), **changes)

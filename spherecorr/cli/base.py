"""What the commands share: the parser, the form of a command, options of several commands, and what they print."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar, get_args

from spherecorr.cli.flags import add_flags
from spherecorr.matching.settings import PoseAlign
from spherecorr.pipelines.settings import Models

NAMES = "spair, spair-u, renders, ap10k, awa-pose, pf-pascal, pf-willow, freiburg-cars, eth80 or folder"
Item = TypeVar("Item")


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Print the message without the usage text and leave with code 2."""
        self.exit(2, f"spherecorr: {message} (see {self.prog} --help)\n")


def add_command(
    commands, name: str, run: Callable[[argparse.Namespace], None], summary: str, example: str
) -> argparse.ArgumentParser:
    """Register a command: `run` gets the parsed options; the example closes its `--help`.

    The first line of the summary stands in the list of commands.
    """
    parser = commands.add_parser(
        name,
        help=summary.splitlines()[0],
        description=summary,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("--debug", action="store_true", help="show the traceback of every error")
    return parser


def add_dataset(parser: argparse.ArgumentParser, names: str = NAMES) -> None:
    """The arguments that name a dataset."""
    parser.add_argument("name", metavar="NAME", help=names)
    parser.add_argument("root", type=Path, metavar="ROOT", help="folder of the dataset")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Where models run."""
    add_flags(parser, Models, only=("device",))
    parser.set_defaults(device=Models.device)


def add_masks(parser: argparse.ArgumentParser) -> None:
    """Masks of another folder."""
    parser.add_argument("--masks", type=Path, metavar="FOLDER", help="masks to use instead of the dataset's own")


def add_pose_align(parser: argparse.ArgumentParser, what: str) -> None:
    """Mirror images of sources; `what` is done with them."""
    parser.add_argument(
        "--pose-align",
        nargs="?",
        const="nearest",
        choices=get_args(PoseAlign),
        help=f"{what}; distances over all cells of the object, or mutual ones (default: not)",
    )


def add_skip_broken(parser: argparse.ArgumentParser, listed: str = "") -> None:
    """Leave out what cannot be used; `listed` says where it is listed."""
    text = f"leave out what cannot be used, say how many{listed or ', and name the first'}"
    parser.add_argument("--skip-broken", action="store_true", help=text)


def show_progress(title: str, items: Sequence[Item]) -> Iterable[Item]:
    """A `pipelines.Progress` that draws a bar."""
    from tqdm import tqdm

    return tqdm(items, desc=title)


def show_steps() -> Callable[[int, int, Mapping[str, float]], None]:
    """A `training.fit.OnStep` that draws a bar, with the losses beside it."""
    from tqdm import tqdm

    bar: tqdm | None = None

    def show(step: int, steps: int, losses: Mapping[str, float]) -> None:
        nonlocal bar
        if bar is None:  # a run that resumes begins later
            bar = tqdm(desc="training", total=steps, initial=step - 1, unit="step")
        if losses:
            bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()}, refresh=False)
        bar.update()
        if step == steps:
            bar.close()
            bar = None

    return show


def announce(sentence: str) -> None:
    """A `pipelines.Notify` that prints at once, although hours of work may follow."""
    print(sentence, flush=True)


def print_left_out(broken: Sequence[str] | None) -> None:
    """Say how much was left out; nothing where nothing was."""
    if broken:
        print(f"left out: {len(broken):,}; the first: {broken[0]}")


def print_run(out: Path) -> None:
    """Print the scores of the validations, and where the checkpoints are."""
    best = "best" if (out / "best").is_dir() else "last"
    for name in dict.fromkeys((best, "last")):
        about = json.loads((out / name / "config.json").read_text(encoding="utf-8"))
        scores = "".join(f"  {score} {100 * value:.1f}" for score, value in about.get("metrics", {}).items())
        print(f"{name}, step {about['step']}{scores}")
    print(f"wrote {out}, with the mapper to be used as --sphere {out / best}")

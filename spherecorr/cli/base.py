"""What the commands share: the parser, the form of a command, forms of options, and the versions a result names."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Print the message without the usage text and leave with code 2."""
        self.exit(2, f"spherecorr: {message} (see {self.prog} --help)\n")


def add_command(commands, name: str, run, summary: str, example: str) -> argparse.ArgumentParser:
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


def given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The options among `names` that were given."""
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def parse_names(text: str) -> tuple[str, ...]:
    """'car,dog' -> ('car', 'dog')."""
    return tuple(text.split(","))


def progress(title: str, unit: str = "image"):
    """A wrapper that shows how far a loop over a sequence is."""
    from tqdm import tqdm

    return lambda items: tqdm(items, desc=title, unit=unit)


def load_models(backbone_name: str | None, sphere_name: str | None, device: str):
    """Load a backbone and its sphere mapper, each chosen by the other where only one is named.

    Returns:
        The Backbone, and the SphereMapper or None.
    """
    from spherecorr.backbones import load_backbone

    sphere = load_sphere_of(backbone_name, sphere_name, device)
    trained_on = sphere.settings.source if sphere else None
    # The mapper knows the layer and tokens, too; a backbone of another name is refused when the mapper is used.
    if trained_on and backbone_name in (None, trained_on.backbone):
        return load_backbone(trained_on, device=device), sphere
    return load_backbone(backbone_name or "mini", device=device), sphere


def load_sphere_of(backbone_name: str | None, sphere_name: str | None, device: str):
    """The mapper that is named; without a name mini's for the backbone mini, else None."""
    from spherecorr.sphere.checkpoint import load_sphere

    if sphere_name is None:
        sphere_name = "mini" if backbone_name in (None, "mini") else "none"
    return None if sphere_name == "none" else load_sphere(sphere_name, device=device)


def describe_versions() -> dict[str, str]:
    """Versions of what computes the result."""
    from importlib.metadata import version
    from platform import python_version

    return {"python": python_version(), **{name: version(name) for name in ("spherecorr", "torch", "timm", "numpy")}}


def add_crop_options(parser: argparse.ArgumentParser, crop: str = "whole", crops: str = "1") -> None:
    """What the crops of a picture show; the texts are the defaults that the help tells."""
    parser.add_argument(
        "--crop",
        choices=("whole", "square", "resized"),
        help=f"a crop shows all, a random square, or the paper's stretched rectangle (default: {crop})",
    )
    parser.add_argument(
        "--smallest-crop",
        type=float,
        metavar="SHARE",
        help="side of the smallest square, as a share of the shorter side (default: 1)",
    )
    parser.add_argument("--crops", type=int, metavar="N", help=f"crops to store of each picture (default: {crops})")
    parser.add_argument(
        "--mirrored",
        action="store_true",
        default=None,
        help="mirror every other crop, and its viewpoint with it; for objects whose left mirrors their right",
    )

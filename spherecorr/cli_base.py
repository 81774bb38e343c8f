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
    return parser


def given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The options among `names` that were given."""
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def parse_names(text: str) -> tuple[str, ...]:
    """'car,dog' -> ('car', 'dog')."""
    return tuple(text.split(","))


def progress(title: str):
    """A wrapper that shows how far a loop over a sequence is."""
    from tqdm import tqdm

    return lambda items: tqdm(items, desc=title, unit="image")


def describe_versions() -> dict[str, str]:
    """Versions of what computes the result."""
    from importlib.metadata import version
    from platform import python_version

    return {"python": python_version(), **{name: version(name) for name in ("spherecorr", "torch", "timm", "numpy")}}

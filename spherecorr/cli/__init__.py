"""The command line: a module for each command, with a function that registers its options and one that runs it.

Commands parse, call `spherecorr.pipelines` and print. They import it when they run, so that `spherecorr --help` answers
at once; options come from settings' dataclasses, whose modules import nothing heavy.
"""

from __future__ import annotations

import argparse
import sys

from spherecorr import __version__
from spherecorr.cli.app import register_app
from spherecorr.cli.base import Parser
from spherecorr.cli.compare import register_compare
from spherecorr.cli.data import register_data
from spherecorr.cli.download import register_download
from spherecorr.cli.eval import register_eval
from spherecorr.cli.extract import register_extract
from spherecorr.cli.importing import register_import
from spherecorr.cli.match import register_match
from spherecorr.cli.pretrain import register_pretrain
from spherecorr.cli.push import register_push
from spherecorr.cli.render import register_render
from spherecorr.cli.reproduce import register_reproduce
from spherecorr.cli.train import register_train
from spherecorr.errors import SpherecorrError

COMMANDS = (
    register_app,
    register_match,
    register_render,
    register_extract,
    register_pretrain,
    register_train,
    register_import,
    register_data,
    register_eval,
    register_reproduce,
    register_compare,
    register_download,
    register_push,
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; what a user got wrong becomes one line on stderr and exit code 2.

    Faults of the program keep their traceback; with `--debug` a user's mistakes show theirs, too.
    """
    options = build_parser().parse_args(arguments)
    try:
        options.run(options)
    except SpherecorrError as error:
        if options.debug:
            raise
        print(f"spherecorr: {error}", file=sys.stderr)
        return 2
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser with all commands."""
    parser = Parser("spherecorr", description="Semantic correspondence with viewpoint-guided spherical maps.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for register in COMMANDS:
        register(commands)
    return parser

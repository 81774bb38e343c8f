"""Options from the fields of a settings dataclass, so that none is written twice.

A field gives the option's name, type and choices, its default, and the entry under `Attributes:` the help: the first
sentence. What follows "None: " in that entry is shown as the default of a field whose default is None.

Options that are not given are None, and the dataclass fills in its own default; see `given`.
"""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

METAVARS = {int: "N", float: "X", Path: "PATH"}


def add_flags(
    parser: argparse.ArgumentParser,
    settings: type,
    *,
    only: Collection[str] | None = None,
    skip: Collection[str] = (),
    rename: Mapping[str, str] | None = None,
    shown: Mapping[str, str] | None = None,
) -> None:
    """Add an option for every field: `smallest_crop: float = 1.0` becomes `--smallest-crop X`.

    Args:
        parser: gets the options.
        settings: a dataclass whose fields are int, float, str, Path, False, a Literal, a tuple of one type, or such a
            type `| None`.
        only: fields to take; None takes all.
        skip: fields to leave out.
        rename: field -> name of its option, where that is another.
        shown: field -> text that the help shows as the default, where the command has one of its own.

    Raises:
        TypeError: a field of another type.
    """
    hints, documented = get_type_hints(settings), attribute_texts(settings)
    for field in fields(settings):
        if field.name in skip or (only is not None and field.name not in only):
            continue
        name = (rename or {}).get(field.name, field.name)
        text, default = _help(documented[field.name], field, (shown or {}).get(field.name))
        text += f" (default: {default})" if default else ""
        form = _form(name, hints[field.name], field.default)
        parser.add_argument(f"--{name.replace('_', '-')}", dest=field.name, help=text.replace("%", "%%"), **form)


def given(options: argparse.Namespace, settings: type, skip: Collection[str] = ()) -> dict[str, Any]:
    """The fields of a settings dataclass that were given as options."""
    values = {field.name: getattr(options, field.name, None) for field in fields(settings) if field.name not in skip}
    return {name: value for name, value in values.items() if value is not None}


def attribute_texts(settings: type) -> dict[str, str]:
    """Field -> its entry under `Attributes:` in the class's docstring, on one line."""
    section = (inspect.getdoc(settings) or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", section, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def list_of(kind: type, name: str, example: str) -> Callable[[str], tuple]:
    """A parser of values with commas between; the name and the example stand in its complaint."""

    def parse(text: str) -> tuple:
        try:
            return tuple(kind(part) for part in text.split(","))
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{name} are written as {example}; got '{text}'") from error

    return parse


def parse_weights(text: str) -> dict[str, float]:
    """'viewpoint=5,surface=1' -> {'viewpoint': 5.0, 'surface': 1.0}."""
    try:
        return {name: float(value) for name, value in (part.split("=") for part in text.split(","))}
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"weights are written as viewpoint=5,surface=1; got '{text}'") from error


def _help(entry: str, field: Field, shown: str | None) -> tuple[str, str]:
    """The help and the default's text, which is empty where there is none to show."""
    described, _, absent = entry.partition("None: ")
    text = re.split(r"\.(?:\s|$)", described, maxsplit=1)[0].rstrip("; ")
    if shown is not None:
        return text, shown
    if field.default is None:
        return text, re.split(r"[.;](?:\s|$)", absent, maxsplit=1)[0]
    return text, "" if field.default is MISSING or field.default is False else _written(field.default)


def _written(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _form(name: str, hint: Any, default: Any) -> dict[str, Any]:
    """What argparse has to know of a type."""
    kinds = get_args(hint)
    if NoneType in kinds:
        (hint,) = (kind for kind in kinds if kind is not NoneType)
        kinds = get_args(hint)
    if hint is bool and default is False:
        return {"action": "store_true", "default": None}
    if get_origin(hint) is Literal:
        return {"choices": kinds}
    if get_origin(hint) is tuple and kinds[1:] == (...,):
        example = _written(default) if isinstance(default, tuple) else "A,B"
        return {"type": list_of(kinds[0], name, example), "metavar": f"{METAVARS.get(kinds[0], 'A')},..."}
    if hint in (int, float, str, Path):
        return {"type": hint, "metavar": METAVARS.get(hint, name.upper())}
    raise TypeError(f"There is no form of an option for the field {name}: {hint}.")

"""The README.md beside a checkpoint: what it was made from, what it is worth, and where it ends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spherecorr.evaluation.tables import Table, percent
from spherecorr.files import write_atomic
from spherecorr.sphere.settings import SphereSettings
from spherecorr.training.settings import TrainSettings

CARD = "README.md"
NEAR, REVERSED = 30, 90  # degrees


@dataclass(frozen=True)
class Answers:
    """How far azimuths are off, in degrees: the median, and the shares within 30 and beyond 90."""

    median: float
    near: float
    reversed: float


def answers(errors: Mapping[str, float]) -> Answers:
    """Sum up errors in degrees by the names of what was asked."""
    values = np.array(list(errors.values()))
    return Answers(float(np.median(values)), float((values <= NEAR).mean()), float((values > REVERSED).mean()))


def write_card(folder: Path, text: str) -> None:
    """Write the card of a checkpoint."""
    write_atomic(folder / CARD, text.encode())


def teach_card(
    name: str,
    kinds: Sequence[str],
    taught: int,
    start: str,
    sphere: SphereSettings,
    training: TrainSettings,
    steps: int,
    before: Mapping[str, float] | None,
    after: Mapping[str, float],
) -> str:
    """The card of a sphere that photographs taught.

    Args:
        name: of the sphere.
        kinds: categories of the photographs.
        taught: photographs that taught.
        start: name of the sphere it started from, or "none".
        sphere: the mapper's settings.
        training: how it was trained.
        steps: that were done.
        before: errors of the start sphere's azimuths, see `teach.Taught`.
        after: errors of its own.
    """
    ended = "" if steps == training.steps else f" of {training.steps}; the training was ended then"
    asked = len([view for view in after if not view.endswith("(mirrored)")])
    mirrored = ", each also as its mirror image" if len(after) > asked else ""
    rows = [] if before is None else [_row(f"before ({start})", before)]
    errors = Table(
        f"Azimuth of {asked} photographs that taught nothing{mirrored}",
        ("", "median error, degrees", "within 30, %", "beyond 90, %"),
        [*rows, _row("after", after)],
    )
    return "\n".join(
        [
            f"# {name}\n",
            f"A sphere mapper for {' and '.join(kinds)}, made by `spherecorr train --recipe teach`.\n",
            *_facts(sphere),
            f"| taught by | {taught} photographs with a rough viewpoint |",
            f"| started from | {start} |",
            f"| steps | {steps}{ended} |\n",
            errors.markdown(),
            "\nThe azimuth is that of the map's mean direction over what the sphere takes for the object.\n",
            "## Licence\n",
            "The weights go on from those of the start sphere and read the features of the backbone: the terms of both "
            "hold. The photographs are not part of it; whoever shares it should have the right to use them.\n",
            "## Limits\n",
            f"- {asked} photographs are few: another choice of them would move the figures by several degrees.",
            "- It was shown viewpoints and outlines, no matching points; where a head or leg lies on the sphere was "
            "taught by a ball in the object's place, and by what the start sphere knew.",
            "- Photographs of other kinds, with several objects, or cut off by the picture's edge are likely to be "
            "misread.",
            "- Masks that were proposed and not checked may hold shadows, people or ground.\n",
        ]
    )


def photographs_card(
    name: str, sphere: SphereSettings, counts: Mapping[str, int], steps: int, batch: int, figures: Table
) -> str:
    """The card of a sphere that renders and photographs taught.

    Args:
        name: of the sphere.
        sphere: the mapper's settings, with the alpha that was chosen.
        counts: what it was trained on -> how many.
        steps: that were done.
        batch: pictures in a step.
        figures: at every alpha.
    """
    return "\n".join(
        [
            f"# {name}\n",
            "A sphere mapper made by `spherecorr train --recipe photographs`.\n",
            *_facts(sphere),
            *(f"| {what} | {count:,} |" for what, count in counts.items()),
            f"| steps | {steps:,} of {batch} pictures |\n",
            "Renders taught the direction of the surface under each patch; photographs, squares of each and of its "
            "mirror image, their viewpoint and outline.\n",
            figures.markdown(),
            "\n## Licence\n",
            "The terms of the backbone's weights hold. The photographs are not part of it; whoever shares it should "
            "have the right to use them.\n",
            "## Limits\n",
            "- The figures, and the choice of alpha by them, are those of renders; photographs may want another.",
            "- Masks that were proposed and not checked may hold shadows, people or ground.\n",
        ]
    )


def sphere_card(name: str, sphere: SphereSettings, config: Mapping[str, Any]) -> str:
    """The card of a sphere that nobody has described.

    Args:
        name: of the sphere.
        sphere: the mapper's settings.
        config: everything that the checkpoint's `config.json` has.
    """
    metrics = config.get("metrics") or {}
    return "\n".join(
        [
            f"# {name}\n",
            "A sphere mapper of spherecorr: it sends every patch of an image to a point on a sphere that stands for "
            "the object's surface, so that left and right are told apart.\n",
            *_facts(sphere),
            *([f"| steps | {config['step']:,} |"] if isinstance(config.get("step"), int) else []),
            *(f"| {score} | {percent(value)} % |" for score, value in metrics.items() if isinstance(value, float)),
            "\n## Licence\n",
            "The mapper reads the features of the backbone: the terms of its weights hold, and those of the data it "
            "was trained on.\n",
            "## Limits\n",
            "- It knows the categories it was trained on; of other kinds it says nothing that can be relied on.",
            "- Where figures stand above, they are those of its training's validation.\n",
        ]
    )


def card_header(fields: Mapping[str, str | Sequence[str]]) -> str:
    """The YAML block on top of a card, from which the Hub reads its fields."""
    # A JSON value is a YAML value, whatever characters it has.
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
    return "\n".join(["---", *lines, "---", "", ""])


def _facts(sphere: SphereSettings) -> list[str]:
    """The first lines of a table: features, alpha, categories."""
    source = "unknown" if sphere.source is None else sphere.source.backbone
    return [
        "| | |",
        "|---|---|",
        f"| features | `{source}` at {sphere.resolution} px |",
        f"| recommended alpha | {sphere.alpha:g} |",
        f"| categories | {', '.join(sphere.categories)} |",
    ]


def _row(name: str, errors: Mapping[str, float]) -> list[str]:
    found = answers(errors)
    return [name, f"{found.median:.1f}", percent(found.near), percent(found.reversed)]

r"""Calibrate the app's flags "not visible" and "likely symmetric mistake" of a sphere on renders.

    spherecorr render renders --split val  --count 280 --pairs 40 --size 448 --backgrounds photos
    spherecorr render renders --split test --count 700 --pairs 60 --size 448 --backgrounds photos
    python experiments/calibrate.py renders --features data/features/held

Every keypoint that a source shows is matched as the app does it, within the target's foreground. A flag is right if

- "not visible": the target does not show the keypoint;
- "likely symmetric mistake": the raw match lies within 0.1 of the box of the mirrored keypoint, and nearer to it
  than to the keypoint (the mirrored one alone decides where the target hides the keypoint). Beside it stands
  whether the raw match is wrong at all, which it also is where the target hides the keypoint.

The rule: of 10, 15, ... 90 degrees the threshold of the highest F1 on `val`, the smallest of equals: `visible_angle`
and `mirror_angle`, for a sphere that was taught true directions. What `symmetric_angle` would do in the place of
`mirror_angle` stands beside it. The two are then measured once on `test`, by the flags of `match` itself. "All"
flags every keypoint: where its F1 is not beaten, the flag says nothing, or F1 is the wrong rule, as where most
keypoints are hidden. Then `--rule informedness` takes the highest recall less the share of false alarms, which is 0 for
"all". Prints Markdown and, last, JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
from held_out import HeldOut, features_folder, open_models, open_split, parser_for, rounded

from spherecorr.data.records import PairRecord, mirrored_name
from spherecorr.evaluation.tables import Table, percent
from spherecorr.matching.match import match_images, prepare
from spherecorr.matching.readout import Ranked, mirror_angles, nearer_mirror
from spherecorr.matching.settings import MatchSettings
from spherecorr.metrics import correct, symmetric_mistake
from spherecorr.sphere.mapper import SphereMapper

ANGLES = range(10, 95, 5)
HIDDEN = (np.nan, np.nan)
AS_THE_APP = MatchSettings(candidates="foreground")


@dataclass(frozen=True, eq=False)
class Judged:
    """Keypoints `[N]` that sources show: angles in degrees, the app's flags, those by other angles, the truth."""

    nearest_angle: np.ndarray
    raw_angle: np.ndarray
    visible: np.ndarray
    flagged: np.ndarray
    by_mirror: dict[int, np.ndarray]
    hidden: np.ndarray
    mistake: np.ndarray
    wrong: np.ndarray


def judge(pair: PairRecord, names: list[str], ranked: Ranked) -> tuple[np.ndarray, ...]:
    """Whether the keypoints are hidden in the target, their best matches symmetric mistakes, and wrong."""
    shown = {name: point for name, point in pair.target.keypoints.items() if point}
    truth = np.array([shown.get(name, HIDDEN) for name in names])
    twin = np.array([shown.get(mirrored_name(name), HIDDEN) for name in names])
    found, pixels = ranked.xy[:, 0], 0.1 * pair.target.longer_side
    error, mirrored_error = (np.linalg.norm(found - place, axis=1) for place in (truth, twin))
    return np.isnan(truth[:, 0]), symmetric_mistake(error, mirrored_error, pixels), ~correct(error, pixels)


def match_all(
    held: HeldOut, mapper: SphereMapper, visible_angle: float | None = None, mirror_angle: float | None = None
) -> Judged:
    """Match every pair as the app does, with these thresholds of its flags, or those of the sphere."""
    asked = {"visible_angle": visible_angle, "mirror_angle": mirror_angle}
    known = replace(mapper.settings, **{name: angle for name, angle in asked.items() if angle is not None})
    images = {key: prepare(held.features[key], mapper, AS_THE_APP) for key in held.images}
    columns, mirrored = [], {angle: [] for angle in ANGLES}
    for pair in held.pairs:
        names = [name for name, point in pair.source.keypoints.items() if point]
        if not names:
            continue
        source, target = images[pair.source.id], images[pair.target.id]
        points = [pair.source.keypoints[name] for name in names]
        result = match_images(source, target, points, AS_THE_APP, known)
        flags = result.nearest_angle, result.raw_angle, result.visible, result.symmetric_mistake
        columns.append((*flags, *judge(pair, names, result.raw)))
        cells, found = source.features.framing.to_cell(points), target.features.framing.to_cell(result.raw.xy[:, 0])
        angles = mirror_angles(source.sphere.points, target.sphere.points, cells, found)
        for angle, flagged in mirrored.items():
            flagged.append(nearer_mirror(angles, result.raw_angle, angle))
    *flags, hidden, mistake, wrong = (np.concatenate(column) for column in zip(*columns, strict=True))
    return Judged(*flags, {angle: np.concatenate(part) for angle, part in mirrored.items()}, hidden, mistake, wrong)


def quality(flagged: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Precision, recall, F1 and informedness of a flag; F1 is 0 where nothing is flagged."""
    right, alarms = (flagged & true).sum(), (flagged & ~true).sum()
    recall = float(right / true.sum()) if true.any() else np.nan
    return {
        "precision": float(right / flagged.sum()) if flagged.any() else np.nan,
        "recall": recall,
        "F1": float(2 * right / max(flagged.sum() + true.sum(), 1)),
        "informedness": recall - float(alarms / (~true).sum()) if not true.all() else np.nan,
    }


def best_angle(flags: dict[int, np.ndarray], true: np.ndarray, rule: str) -> int:
    """The angle whose flag is best by the rule, the smallest of equals."""
    return max(flags, key=lambda angle: (quality(flags[angle], true)[rule], -angle))


def sweep(flags: dict[str, np.ndarray], *truths: np.ndarray) -> list[list[str]]:
    """A row for each flag: its name, the share flagged, and its quality by each truth."""
    return [
        [name, percent(flagged.mean()), *(percent(v) for true in truths for v in quality(flagged, true).values())]
        for name, flagged in flags.items()
    ]


def choose(judged: Judged, rule: str) -> tuple[int, int, list[Table]]:
    """The two thresholds, and the tables that they are chosen from."""
    hidden, mistake, wrong = judged.hidden, judged.mistake, judged.wrong
    everything = {"all": np.ones_like(hidden)}
    flags = {angle: judged.nearest_angle > angle for angle in ANGLES}
    visible_angle = best_angle(flags, hidden, rule)
    columns = ("precision", "recall", "F1", "informedness")
    rows = sweep(everything | {str(angle): flag for angle, flag in flags.items()}, hidden)
    title = f"Not visible: above {visible_angle} degrees ({percent(hidden.mean())} % of {len(hidden)} keypoints)"
    tables = [Table(title, ("above", "flagged", *columns), rows)]
    flags = {angle: (judged.nearest_angle <= visible_angle) & (judged.raw_angle > angle) for angle in ANGLES}
    columns = (*columns, *(f"wrong: {name}" for name in columns))
    rows = sweep(everything | {str(angle): flag for angle, flag in flags.items()}, mistake, wrong)
    shares = f"{percent(mistake.mean())} % of the raw matches; {percent(wrong.mean())} % are wrong"
    title = f"Symmetric mistake by distance alone, beyond `symmetric_angle` ({shares})"
    tables.append(Table(title, ("above", "flagged", *columns), rows))
    mirror_angle = best_angle(judged.by_mirror, mistake, rule)
    rows = sweep({str(angle): flag for angle, flag in judged.by_mirror.items()}, mistake, wrong)
    title = f"Likely symmetric mistake: within {mirror_angle} degrees of the mirror image ({shares})"
    return visible_angle, mirror_angle, [*tables, Table(title, ("within", "flagged", *columns), rows)]


def main() -> None:
    """Choose on one split, measure on the other, print."""
    parser = parser_for(__doc__)
    parser.add_argument("--choose-on", default="val", metavar="SPLIT", help="(default: %(default)s)")
    parser.add_argument("--measure-on", default="test", metavar="SPLIT", help="(default: %(default)s)")
    parser.add_argument("--rule", choices=("F1", "informedness"), default="F1", help="(default: %(default)s)")
    options = parser.parse_args()
    backbone, mapper = open_models(options)
    with features_folder(options) as folder:
        chosen_on, measured_on = (
            open_split(options.renders, split, backbone, mapper.settings.resolution, folder, options.limit)
            for split in (options.choose_on, options.measure_on)
        )
        visible_angle, mirror_angle, tables = choose(match_all(chosen_on, mapper), options.rule)
        judged = match_all(measured_on, mapper, visible_angle, mirror_angle)
    for table in tables:
        print(table.markdown() + "\n")
    result = {
        "sphere": options.sphere,
        "visible_angle": visible_angle,
        "mirror_angle": mirror_angle,
        "keypoints": len(judged.hidden),
        "not visible": quality(~judged.visible, judged.hidden) | {"true": float(judged.hidden.mean())},
        "symmetric mistake": quality(judged.flagged, judged.mistake) | {"true": float(judged.mistake.mean())},
        "symmetric mistake, for wrong": quality(judged.flagged, judged.wrong) | {"true": float(judged.wrong.mean())},
    }
    print(f"On {options.measure_on}, with the flags of the app:\n")
    print(json.dumps(rounded(result)))


if __name__ == "__main__":
    main()

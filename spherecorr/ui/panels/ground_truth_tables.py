"""What the panel "Ground truth" says in words and tables."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np

from spherecorr.evaluation.one_pair import KeypointScore, Verdict
from spherecorr.ui.ground_truth import Explained

VERDICTS: dict[Verdict, tuple[str, str]] = {
    "right": ("right", "Nearer to the keypoint than the threshold"),
    "wrong": ("wrong", "Farther from the keypoint than the threshold"),
    "twin": ("twin", "On the mirrored keypoint: left taken for right, or the like"),
    "hidden": ("hidden", "The target does not show this keypoint, so no match can be right"),
    "decoy": ("on its twin", "The target does not show this keypoint, and the match lies on its mirrored one"),
}
LEGEND = (
    "Lines lead from the matches to the true places, the small rings. Circles are right, squares wrong, diamonds lie "
    "on the mirrored keypoint, the twin. Broken outlines: the target does not show the keypoint. Numbers as in the "
    "table."
)
KAP_EXPLAINED = (
    "<b>KAP</b>, keypoint average precision, asks whether the score itself tells right from wrong. Each keypoint gives "
    "two scores: the highest <b>near</b> its true place (within the threshold), which is right, and the highest "
    "anywhere <b>else</b>, which is wrong. All scores of the pair are sorted; going down from the best, precision is "
    "the share of right ones so far, recall the share of all right ones found. KAP is the area below that curve: 100 "
    "if every right score stands above every wrong one."
)
ABSENT_EXPLAINED = (
    "A keypoint that the target does <b>not show</b> has no true place: its highest score counts as wrong, and every "
    "right score that is not above it loses precision. PCK does not see this; KAP does."
)


def summary_html(found: Mapping[str, Explained], twins_known: bool) -> str:
    """PCK, confused twins and KAP of each similarity, side by side."""
    shown, hidden = (
        {name: [row for row in one.rows if row.present == side] for name, one in found.items()}
        for side in (True, False)
    )
    lines = {
        "right (PCK@0.1)": [
            f"{_count(shown[name], 'right')} of {len(shown[name])} <i>{_percent(one.pck)} %</i>"
            for name, one in found.items()
        ],
        "taken for the twin": [str(_count(rows, "twin")) if twins_known else "not known" for rows in shown.values()],
        "hidden, matched on the twin": [
            f"{_count(rows, 'decoy')} of {len(rows)}" if twins_known else "not known" for rows in hidden.values()
        ],
        "KAP": [_percent(one.kap) for one in found.values()],
    }
    return _table(["", *found], [[title, *cells] for title, cells in lines.items()])


def matches_html(found: Mapping[str, Explained], labels: Mapping[str, str], order: Sequence[int]) -> str:
    """Every keypoint: right or wrong, how far off, and what the score of a hidden one does."""
    lines = []
    for number, i in enumerate(order, start=1):
        rows = [one.rows[i] for one in found.values()]
        lines.append([f"{number} {_name(rows[0], labels)}", *map(_match_cell, rows)])
    return _table(["keypoint", *found], lines)


def kap_html(found: Mapping[str, Explained], labels: Mapping[str, str], order: Sequence[int]) -> str:
    """Every keypoint's highest right and wrong score, and KAP without it."""
    last = list(found)[-1]
    head = ["keypoint", *(f"{name}: near / else" for name in found), f"{last} KAP without it"]
    lines = []
    for number, i in enumerate(order, start=1):
        rows = [one.rows[i] for one in found.values()]
        lines.append([f"{number} {_name(rows[0], labels)}", *map(_score_cell, rows), _percent(rows[-1].kap_without)])
    return _table(head, lines)


def absent_sentence(one: Explained, similarity: str, labels: Mapping[str, str]) -> str:
    """What the hidden keypoint with the highest score does to the pair's KAP."""
    hidden = [row for row in one.rows if not row.present and row.negative is not None]
    right = sum(row.positive is not None for row in one.rows)
    if not hidden or not right:
        return "Here the target shows every keypoint of the source." if not hidden else ""
    worst = max(hidden, key=lambda row: row.negative or 0.0)
    return (
        f"Here {len(hidden)} of {len(one.rows)} keypoints are hidden. By the {similarity} similarity the surest of "
        f"them, {html.escape(label_of(worst, labels))}, scores {worst.negative:.2f}: {worst.outranked} of {right} "
        f"right scores are not above it. Without it KAP would be {_percent(worst.kap_without)} instead of "
        f"{_percent(one.kap)}."
    )


def label_of(row: KeypointScore, labels: Mapping[str, str]) -> str:
    """A keypoint's name for people."""
    return labels.get(row.name, row.name).replace("_", " ")


def in_words(one: Explained, title: str) -> str:
    """What a picture of the matches shows, for those who cannot see it."""
    shown = [row for row in one.rows if row.present]
    return f"{title}: {_count(shown, 'right')} of {len(shown)} keypoints right, {_count(shown, 'twin')} on the twin"


def _match_cell(row: KeypointScore) -> str:
    word, title = VERDICTS[row.verdict]
    badge = f'<span class="sc-verdict" data-is="{row.verdict}" title="{title}">{word}</span>'
    if row.present:
        return f"{badge} {row.error:.0f} px <i>{row.error / row.threshold:.2f} ×</i>"
    return badge if row.negative is None else f"{badge} score {row.negative:.2f}"


def _score_cell(row: KeypointScore) -> str:
    near, other = ("–" if score is None else f"{score:.3f}" for score in (row.positive, row.negative))
    if row.positive is not None and row.negative is not None:
        won = row.positive > row.negative
        near, other = (f"<b>{near}</b>", other) if won else (near, f'<b class="sc-above">{other}</b>')
    return f"{near} / {other}" + ("" if row.present else f" <i>not below {row.outranked} right</i>")


def _name(row: KeypointScore, labels: Mapping[str, str]) -> str:
    return html.escape(label_of(row, labels)) + ("" if row.present else " <i>not in the target</i>")


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    titles = "".join(f'<th scope="col">{title}</th>' for title in head)
    rows = (f'<th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest) for first, *rest in lines)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    table = f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="sc-truth-table" role="region" aria-label="Table" tabindex="0">{table}</div>'


def _count(rows: Sequence[KeypointScore], verdict: Verdict) -> int:
    return sum(row.verdict == verdict for row in rows)


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.1f}"

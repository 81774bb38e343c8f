"""The panel "Ground truth": opens pairs with annotated keypoints, shows which matches are right, and explains KAP."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import gradio as gr
from plotly.graph_objects import Figure

from spherecorr.data.pair_list import AnnotatedPair
from spherecorr.data.symmetry import unknown_symmetry
from spherecorr.errors import SpherecorrError
from spherecorr.evaluation.summary import sides_named
from spherecorr.ui.failures import sentence
from spherecorr.ui.ground_truth import THRESHOLD, GroundTruth, Scores, inside
from spherecorr.ui.page import PRIVATE, Page
from spherecorr.ui.panels.ground_truth_tables import (
    ABSENT_EXPLAINED,
    KAP_EXPLAINED,
    LEGEND,
    absent_sentence,
    in_words,
    kap_html,
    label_of,
    matches_html,
    summary_html,
)
from spherecorr.ui.session import Controls, Picture, Session
from spherecorr.views.curves import keypoint_figure, pair_figure
from spherecorr.views.truth import Mark, again, embedded, marked_figure

TITLE = "Ground truth"
NO_KEYPOINTS = "The pictures that are open have no annotated keypoints. Open a pair that has some with the menus above."
MIRRORED = "In a mirrored picture left and right are exchanged, and the keypoints no longer fit. Mirror it back."
COMPUTING = "The features are being computed; the keypoints are scored when they are there."
TWINS_UNKNOWN = "The dataset does not say which keypoints mirror each other, so twins are not told apart."


def ground_truth_panel(page: Page, example: gr.Dropdown) -> None:
    """Build the panel on a page; `example` is the page's menu of examples, which follows what is opened here."""
    truth = GroundTruth(page.engine)
    panel = Panel(truth)
    with gr.Tab(TITLE):
        with gr.Row(elem_classes="sc-truth-menus"):
            lists = [(pairs.title, key) for key, pairs in truth.lists.items()]
            key, counts = next(((key, pairs.counts) for key, pairs in truth.lists.items()), (None, {}))
            chosen = gr.Dropdown(lists, value=key, label="Pairs of", elem_id="truth-list", min_width=160)
            category = gr.Dropdown(list(counts), label="Category", elem_id="truth-category", min_width=160)
            number = gr.Slider(1, 2, 1, step=1, label="Pair", elem_id="truth-number", visible=False, min_width=160)
            open_pair = gr.Button("Open pair", size="sm", min_width=90, elem_id="truth-open")
            any_pair = gr.Button("Random pair", size="sm", min_width=90, elem_id="truth-random")
        matches = gr.HTML(elem_id="truth-matches")
        kap = gr.HTML(elem_id="truth-kap")
        with gr.Row(elem_classes="sc-truth-plots"):
            plots = [gr.Plot(show_label=False, visible=False, min_width=300) for _ in range(2)]
    page.draw(TITLE, panel.draw, [matches, kap, *plots])
    pair = [chosen, category, number]
    for trigger in (
        chosen.input(panel.choose_list, chosen, [category, number], **PRIVATE).then,
        category.input(panel.choose_category, [chosen, category], number, **PRIVATE).then,
        any_pair.click(panel.choose_any, chosen, [category, number], **PRIVATE).then,
        number.release,
        open_pair.click,
    ):
        page.act(trigger, truth.open, *pair).then(truth.example, page.session, example, **PRIVATE)


class Panel:
    """What the panel's events answer; shared by all visits.

    Args:
        truth: the app's annotated pairs.
    """

    def __init__(self, truth: GroundTruth):
        self.truth = truth

    def choose_list(self, chosen: str) -> Any:
        """Updates of the menu of categories and of the slider, to the first pair of a list."""
        counts = self._counts(chosen)
        if not counts:
            return gr.skip(), gr.skip()
        first = next(iter(counts))
        return gr.update(choices=list(counts), value=first), _slider(counts[first])

    def choose_category(self, chosen: str, category: str) -> Any:
        """An update of the slider, to the first pair of a category."""
        counts = self._counts(chosen)
        return _slider(counts[category]) if category in counts else gr.skip()

    def choose_any(self, chosen: str) -> Any:
        """Updates of the menu of categories and of the slider, to a pair by chance."""
        counts = self._counts(chosen)
        if not counts:
            return gr.skip(), gr.skip()
        category = random.choices(list(counts), list(counts.values()))[0]
        return gr.update(value=category), _slider(counts[category], random.randint(1, counts[category]))

    def draw(self, session: Session, controls: Controls) -> tuple[str, str, Any, Any]:
        """The pair's matches; its KAP in words; and two plots of it. A sentence where something is missing."""
        nothing = gr.update(value=None, visible=False)
        try:
            visit = session.visit
            pair = self.truth.shown(visit)
            if pair is None or visit.pair is None:
                mirrored = visit.pair is not None and any(picture.mirrored for picture in visit.pair)
                return _hint(MIRRORED if mirrored else NO_KEYPOINTS), "", nothing, nothing
            if not self.truth.engine.is_ready(visit, controls):
                return _hint(COMPUTING), "", nothing, nothing
            scores = self.truth.score(pair, visit.pair, controls)
            best = list(scores.found.values())[-1]
            rows = [replace(row, name=label_of(row, pair.labels)) for row in best.rows]
            plots = [keypoint_figure(best.kap, rows), pair_figure(scores.report)]
            by_keypoint, by_recall = (gr.update(value=_for_page(plot), visible=True) for plot in plots)
            return self._matches(pair, scores, visit.pair, controls), _kap(pair, scores), by_keypoint, by_recall
        except Exception as error:
            return _hint(sentence(error)), "", nothing, nothing

    def _counts(self, chosen: str) -> dict[str, int]:
        """Category -> number of pairs of a list; empty, and a warning on the page, where it cannot be read."""
        try:
            return self.truth.pairs(chosen).counts
        except SpherecorrError as error:
            gr.Warning(sentence(error))
            return {}

    def _matches(
        self, pair: AnnotatedPair, scores: Scores, pictures: tuple[Picture, Picture], controls: Controls
    ) -> str:
        pixels = f"{scores.rows[0].threshold:.0f} px, {THRESHOLD:g} of the longer side of {sides_named(scores.table)}"
        where = "on the foreground" if controls.foreground else "anywhere on the picture"
        mixed = f"; alpha is {controls.alpha:g}" if "fused" in scores.found else ""
        text = f"A match is right if its keypoint is nearer than {pixels}. Matches may lie {where}{mixed}."
        text += " The table gives every distance in pixels, and as so many times (×) the threshold."
        twins_known = not unknown_symmetry([pair.record], pair.symmetry)
        parts = [
            f"<p>{text}{'' if twins_known else ' ' + TWINS_UNKNOWN}</p>",
            summary_html(scores.found, twins_known),
            self._pictures(pair, scores, pictures, controls),
            f"<p>{LEGEND}</p>",
            matches_html(scores.found, pair.labels, scores.order),
        ]
        return f'<div class="sc-truth">{"".join(parts)}</div>'

    def _pictures(
        self, pair: AnnotatedPair, scores: Scores, pictures: tuple[Picture, Picture], controls: Controls
    ) -> str:
        """The source's keypoints, and the target once for every similarity."""
        engine, (source, target) = self.truth.engine, pictures
        points = [inside(pair.record.source, row.name) for row in scores.rows]
        truths = [pair.record.target.keypoints.get(row.name) for row in scores.rows]
        names = [label_of(row, pair.labels) for row in scores.rows]
        numbered = list(enumerate(scores.order, start=1))
        marks = [Mark(number, names[i], points[i]) for number, i in numbered]
        picture = embedded(engine.shown(source), source.size, "sc-truth-source")
        figures = [marked_figure(picture, source.size, marks, "Source", f"Source: {len(marks)} keypoints")]
        result = engine.match(source, target, points, controls)
        picture = embedded(engine.shown(target), target.size, "sc-truth-target")
        for similarity, one in scores.found.items():
            places = getattr(result, similarity).xy[:, 0].tolist()
            marks = [
                Mark(number, f"{names[i]}: {row.verdict}", tuple(places[i]), row.verdict, truths[i])
                for number, i, row in ((number, i, one.rows[i]) for number, i in numbered)
            ]
            title, reach = f"Target: {similarity}", one.rows[0].threshold
            figures.append(marked_figure(picture, target.size, marks, title, in_words(one, title), reach))
            picture = again("sc-truth-target")
        return f'<div class="sc-truth-pictures">{"".join(figures)}</div>'


def _kap(pair: AnnotatedPair, scores: Scores) -> str:
    last = list(scores.found)[-1]
    here = absent_sentence(scores.found[last], last, pair.labels)
    table = kap_html(scores.found, pair.labels, scores.order)
    plots = (
        f"The first plot has every keypoint's two scores by the {last} similarity: a good one has all green dots to "
        "the right of all red marks. The second goes through the sorted scores from the best."
    )
    return f'<div class="sc-truth"><p>{KAP_EXPLAINED}</p><p>{ABSENT_EXPLAINED} {here}</p>{table}<p>{plots}</p></div>'


def _for_page(figure: Figure) -> Figure:
    """Without a background of its own, in greys that read on light and dark pages."""
    clear, grey, line = "rgba(0,0,0,0)", "#7c8694", "rgba(124,134,148,0.3)"
    axes = {"gridcolor": line, "zerolinecolor": line, "linecolor": line}
    legend = {"orientation": "h", "yref": "container", "y": 0.01, "yanchor": "bottom", "x": 0}
    margin = {"t": 44, "b": 110, "r": 20}
    figure.update_layout(paper_bgcolor=clear, plot_bgcolor=clear, font={"color": grey}, legend=legend, margin=margin)
    return figure.update_xaxes(**axes).update_yaxes(**axes)


def _slider(count: int, value: int = 1) -> Any:
    """The slider for so many pairs; hidden where there is one."""
    return gr.update(maximum=max(count, 2), value=value, visible=count > 1)


def _hint(text: str) -> str:
    return f'<p class="sc-hint">{text}</p>'

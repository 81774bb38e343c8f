"""Pictures of a pair with its annotated keypoints and where each similarity found them, as SVG."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from spherecorr.evaluation.one_pair import Verdict

Place = tuple[float, float]

COLOURS: dict[Verdict | None, str] = {
    None: "#334155",
    "right": "#007a63",
    "wrong": "#c8102e",
    "twin": "#b45309",
    "hidden": "#475569",
    "decoy": "#b45309",
}
SIDE, QUALITY = 512, 82  # of the embedded JPEG
LINE = 'fill="none" stroke-linecap="round"'


@dataclass(frozen=True)
class Mark:
    """A keypoint on a picture.

    Attributes:
        number: in the table below the pictures.
        label: for the tooltip.
        place: (x, y) in original pixels, of the keypoint in the source or of its match in the target.
        verdict: of the match; None in the source.
        truth: (x, y) of the keypoint in the target; None where it does not show it, and in the source.
    """

    number: int
    label: str
    place: Place
    verdict: Verdict | None = None
    truth: Place | None = None


def embedded(image: Image.Image, size: tuple[int, int], name: str) -> str:
    """A picture as an SVG element with the id `name`, `size` units large, which further figures can use again."""
    small = image.copy()
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY)
    data = b64encode(buffer.getvalue()).decode()
    return f'<image id="{name}" width="{size[0]}" height="{size[1]}" href="data:image/jpeg;base64,{data}"/>'


def again(name: str) -> str:
    """The picture that `embedded` put into another figure of the page under this name."""
    return f'<use href="#{name}"/>'


def marked_figure(
    picture: str, size: tuple[int, int], marks: Sequence[Mark], title: str, said: str, reach: float = 0.0
) -> str:
    """A captioned picture with numbered marks: circles are right, diamonds lie on the twin, squares are wrong.

    A line leads from each match to its keypoint, a small ring. Broken outlines mark keypoints that the target
    does not show.

    Args:
        picture: from `embedded` or `again`.
        size: (width, height) of the original picture in pixels.
        marks: what to draw, in original pixels.
        title: the caption.
        said: the same in words, for those who do not see the picture.
        reach: px within which a match is right, drawn as a faint circle around each keypoint; 0 for none.
    """
    unit = max(size) / 100
    drawn = [_truth(mark, unit, reach) for mark in marks] + [_head(mark, unit) for mark in marks]
    label = html.escape(said, quote=True)
    view = f'viewBox="0 0 {size[0]} {size[1]}" role="img" aria-label="{label}"'
    return f"<figure><svg {view}>{picture}{''.join(drawn)}</svg><figcaption>{html.escape(title)}</figcaption></figure>"


def _truth(mark: Mark, unit: float, reach: float) -> str:
    """The keypoint itself, and the way to it from the match."""
    if mark.truth is None:
        return ""
    x, y = mark.truth
    parts = []
    if reach:
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{reach:.1f}" fill="none" stroke="white" stroke-opacity=".45" '
            f'stroke-width="{unit / 4:.2f}"/>'
        )
    ends = f'x1="{mark.place[0]:.1f}" y1="{mark.place[1]:.1f}" x2="{x:.1f}" y2="{y:.1f}"'
    for colour, width in (("white", 1.1), (COLOURS[mark.verdict], 0.6)):
        parts.append(f'<line {ends} {LINE} stroke="{colour}" stroke-width="{width * unit:.2f}"/>')
    for colour, width in (("black", 1.1), ("white", 0.6)):
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{unit:.2f}" {LINE} stroke="{colour}" '
            f'stroke-width="{width * unit:.2f}"/>'
        )
    return "".join(parts)


def _head(mark: Mark, unit: float) -> str:
    """The numbered mark at the match, or at the source's keypoint."""
    (x, y), colour, side = mark.place, COLOURS[mark.verdict], 2.1 * unit
    hollow = mark.verdict in ("hidden", "decoy")
    fill, ink = ("white", colour) if hollow else (colour, "white")
    dashes = f' stroke-dasharray="{unit:.2f} {0.7 * unit:.2f}"' if hollow else ""
    style = f'fill="{fill}" stroke="{colour if hollow else "white"}" stroke-width="{0.5 * unit:.2f}"{dashes}'
    if mark.verdict in ("twin", "decoy"):
        side *= 1.25
        corners = f"{x:.1f},{y - side:.1f} {x + side:.1f},{y:.1f} {x:.1f},{y + side:.1f} {x - side:.1f},{y:.1f}"
        shape = f'<polygon points="{corners}" {style}/>'
    elif mark.verdict == "wrong":
        corner = f'x="{x - side:.1f}" y="{y - side:.1f}" width="{2 * side:.1f}" height="{2 * side:.1f}"'
        shape = f"<rect {corner} {style}/>"
    else:
        shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{side:.1f}" {style}/>'
    text = (
        f'<text x="{x:.1f}" y="{y + 0.9 * unit:.1f}" font-size="{2.6 * unit:.1f}" font-weight="600" '
        f'text-anchor="middle" fill="{ink}">{mark.number}</text>'
    )
    return f"<g><title>{html.escape(mark.label)}</title>{shape}{text}</g>"

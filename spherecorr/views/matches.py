"""Pictures of matches: numbered pins, ranks, heat maps, and the side-by-side figure."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from spherecorr.geometry import Framing, cells_to_image
from spherecorr.matching.match import MatchResult

# Twelve colours that stay apart for the common colour-vision deficiencies, the most different first.
COLOURS = (
    "#e20134", "#008df9", "#ffc33b", "#009f81", "#8400cd", "#ff6e3a",
    "#00c2f9", "#ff5aaf", "#9f0162", "#00fccf", "#ffb2fd", "#a86a1f",
)  # fmt: skip

FIGURE_HEIGHT = 512
FIGURE_GAP = 12
CAPTION_HEIGHT = 34
DIMMED = 0.55  # of the brightness, outside a marked object
RIM = 1.22  # radius of a pin's head with its white rim, in radii of the head


def text_colour(colour: str) -> str:
    """Black or white, whichever reads better on a colour such as '#ffc33b'."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 150 else "white"


def draw_pins(image: Image.Image, points: np.ndarray, active: int | None = None, enlarged: float = 1.0) -> Image.Image:
    """Draw numbered pins whose tips mark the points; where points are near each other, their heads spread out.

    Args:
        image: RGB.
        points: `[N, 2]` in the image's own pixels; rows with NaN are left out.
        active: index of the point that is drawn larger.
        enlarged: how many times as large pins are as usual, for an image that is shown small.
    """
    image = image.copy()
    unit = enlarged * max(image.size) / 100
    drawn = [i for i in range(len(points)) if np.isfinite(points[i]).all()]
    radii = [unit * (3.3 if i == active else 2.6) for i in drawn]
    heads = _spread_heads(points[drawn], radii, image.size)
    # All stems below all heads below all tips, so that every number and every tip can be seen; the active one on top.
    for part in ("stem", "head", "tip"):
        for i, radius, head in sorted(zip(drawn, radii, heads, strict=True), key=lambda pin: pin[0] == active):
            sprite = _pin_sprite(part, str(i + 1), COLOURS[i % len(COLOURS)], radius, head)
            x, y = (int(value) for value in points[i])
            image.paste(sprite, (x - sprite.width // 2, y - sprite.height // 2), sprite)
    return image


def draw_marked(image: Image.Image, mask: np.ndarray) -> Image.Image:
    """Draw the outline of a mask, white with a dark edge, and dim what lies outside.

    Args:
        image: RGB.
        mask: boolean `[h, w]` of the image's size.
    """
    pixels = np.array(image)
    pixels[~mask] = (pixels[~mask] * DIMMED).astype(np.uint8)
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for colour, width in (((20, 20, 20), 5), ((255, 255, 255), 2)):
        cv2.drawContours(pixels, contours, -1, colour, width, cv2.LINE_AA)
    return Image.fromarray(pixels)


def overlay_heat(image: Image.Image, row: np.ndarray, framing: Framing, opacity: float) -> Image.Image:
    """Lay a similarity row over the image it belongs to: the more similar, the brighter and the less transparent.

    Args:
        image: RGB of any size, showing the whole original image.
        row: similarity `[H, W]`, -inf where there is none.
        framing: of the row's cells.
        opacity: 0..1.
    """
    finite = np.isfinite(row)
    if opacity == 0 or not finite.any():
        return image
    # Half of the cells are the background of the question; the colours are for the better half.
    low, high = np.median(row[finite]), row[finite].max()
    heat = np.clip((np.where(finite, row, low) - low) / max(high - low, 1e-6), 0, 1)
    heat = np.clip(cells_to_image(heat, framing, image.size), 0, 1)
    colours = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    weight = opacity * np.sqrt(heat)
    return Image.fromarray(cv2.blendLinear(np.asarray(image), np.ascontiguousarray(colours), 1 - weight, weight))


def match_panels(
    source_image: Image.Image, target_image: Image.Image, result: MatchResult, height: int = FIGURE_HEIGHT
) -> list[tuple[str, Image.Image]]:
    """Captions and pictures with numbered points: source, raw, and sphere, fused where there is a sphere.

    Args:
        source_image: the original source image, upright RGB.
        target_image: the original target image, upright RGB.
        result: from `match`, in original pixels.
        height: of the pictures in pixels.
    """
    panels = [("source", source_image, result.points), ("raw features", target_image, result.raw.xy[:, 0])]
    if result.sphere is not None and result.fused is not None:
        panels.append(("sphere", target_image, result.sphere.xy[:, 0]))
        panels.append(("raw + sphere", target_image, result.fused.xy[:, 0]))
    drawn = []
    for caption, image, points in panels:
        scale = height / image.height
        small = image.resize((max(1, round(image.width * scale)), height), Image.Resampling.LANCZOS)
        drawn.append((caption, draw_pins(small, points * (small.width / image.width, scale))))
    return drawn


def match_figure(source_image: Image.Image, target_image: Image.Image, result: MatchResult) -> Image.Image:
    """The `match_panels` of a match side by side."""
    drawn = match_panels(source_image, target_image, result)
    width = sum(image.width for _, image in drawn) + FIGURE_GAP * (len(drawn) + 1)
    figure = Image.new("RGB", (width, FIGURE_HEIGHT + CAPTION_HEIGHT + FIGURE_GAP), "white")
    font, x = ImageFont.load_default(20), FIGURE_GAP
    for caption, image in drawn:
        ImageDraw.Draw(figure).text((x, CAPTION_HEIGHT / 2), caption, "black", font, anchor="lm")
        figure.paste(image, (x, CAPTION_HEIGHT))
        x += image.width + FIGURE_GAP
    return figure


def _circle(centre: tuple[float, float] | np.ndarray, radius: float) -> tuple[float, float, float, float]:
    return centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius


def _spread_heads(tips: np.ndarray, radii: list[float], size: tuple[int, int]) -> list[tuple[float, float]]:
    """Where pins have their heads, (x, y) from the tip in radii of the head.

    A head stands above its tip, or hangs below where the image ends, unless it would cover another head or tip: then it
    goes to the nearest free place around its own tip, and if there is none, to the one that is covered least.

    Args:
        tips: `[N, 2]` in pixels.
        radii: of the heads, in pixels.
        size: (width, height) of the image.
    """
    heads: list[tuple[float, float]] = []
    centres = np.empty((0, 2))
    for i, (tip, radius) in enumerate(zip(tips, radii, strict=True)):
        offsets = _places_around_a_tip() * (1, 1 if tip[1] > 3.3 * radius else -1)
        places = tip + offsets * radius
        reach = RIM * radius
        others = np.concatenate([centres, np.delete(tips, i, axis=0)])
        clear = np.array([RIM * (radius + other) for other in radii[:i]] + [reach] * (len(tips) - 1))
        gaps = np.linalg.norm(places[:, None] - others[None], axis=2) - clear
        covered = np.maximum(-gaps, 0).sum(axis=1)
        covered += np.maximum(reach - np.minimum(places, np.subtract(size, places)), 0).sum(axis=1)
        best = int(covered.argmin())  # the first of equals
        heads.append((float(offsets[best, 0]), float(offsets[best, 1])))
        centres = np.concatenate([centres, places[None, best]])
    return heads


@lru_cache(maxsize=1)
def _places_around_a_tip() -> np.ndarray:
    """Places for a head `[N, 2]` in its radii, the best first: upright, then ever more to either side and farther."""
    places = [
        (length * np.sin(angle), -length * np.cos(angle))
        for length in (2.1, 4.6, 7.1)
        for turn in np.deg2rad(range(0, 181, 12))
        for angle in (turn, -turn)
    ]
    return np.array(places)


@lru_cache(maxsize=512)
def _pin_sprite(part: str, label: str, colour: str, radius: float, head: tuple[float, float]) -> Image.Image:
    """An RGBA picture of the "stem", "head" or "tip" of a pin whose tip is at its middle pixel."""
    # PIL does not smooth edges, so the pin is drawn four times as large and scaled down.
    times, length = 4, float(np.hypot(*head))
    side = 2 * round(radius * (length + 1.4)) + 1
    big = Image.new("RGBA", (side * times, side * times))
    draw = ImageDraw.Draw(big)
    tip, r = np.full(2, side * times / 2), radius * times
    centre, up = tip + np.multiply(head, r), np.divide(head, length)
    rim = (RIM - 1) * r
    if part == "tip":
        draw.ellipse(_circle(tip, 0.34 * r), "white")
        draw.ellipse(_circle(tip, 0.2 * r), colour)
    for grow, fill in ((rim, "white"), (0.0, colour)):
        if part == "stem":
            across = np.array([-up[1], up[0]]) * (0.62 * r + grow)
            base = centre - up * 0.8 * r
            draw.polygon([tuple(corner) for corner in (tip - up * grow, base - across, base + across)], fill)
        if part == "head":
            draw.ellipse(_circle(centre, r + grow), fill)
    if part == "head":
        draw.text(tuple(centre), label, text_colour(colour), ImageFont.load_default(1.35 * r), anchor="mm")
    return big.resize((side, side), Image.Resampling.BOX)

"""One line in a notebook shows a match, a joint PCA, sphere maps, the sphere, a report, or what a pair adds to KAP.

    from spherecorr.views import show
    show.match([left, right], matches)

Pictures become small JPEGs, which also show where no JavaScript runs, such as on GitHub; with a plot comes its Plotly
figure, which notebooks let a person turn and zoom.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from plotly.graph_objects import Figure

from spherecorr.errors import SpherecorrError
from spherecorr.evaluation.keypoint_table import KeypointTable
from spherecorr.evaluation.one_pair import keypoint_scores
from spherecorr.evaluation.report import Report
from spherecorr.features import FeatureMap, SphereMap
from spherecorr.images import ImageLike, load_image
from spherecorr.matching.candidates import find_foreground
from spherecorr.matching.match import MatchResult
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.views.curves import keypoint_figure, pck_figure, precision_recall_figure
from spherecorr.views.globe import globe_picture
from spherecorr.views.matches import match_panels
from spherecorr.views.pca import pca_pictures
from spherecorr.views.sphere_plot import on_sphere, sphere_figure, sphere_patches
from spherecorr.views.spheremap import sphere_picture
from spherecorr.views.stills import still

WIDEST, QUALITY = 1000, 85  # of the JPEG in a notebook
HEIGHT, GAP, CAPTION = 220, 8, 24  # pixels of pictures in rows
MATCHED = 242  # of pictures with numbered points: four square ones fill the width
PLOTLY = "application/vnd.plotly.v1+json"


@dataclass(frozen=True, eq=False)
class Shown:
    """What a notebook shows when it stands in the last line of a cell.

    Attributes:
        image: the whole picture; `image.save("figure.png")` keeps it.
        figure: the same as an interactive Plotly figure; None where there is none.
    """

    image: Image.Image
    figure: Figure | None = None

    def __repr__(self) -> str:
        """The size of the picture."""
        return f"Shown({self.image.width} x {self.image.height} pixels)"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """A JPEG at most `WIDEST` pixels wide, and the figure."""
        factor = min(1.0, WIDEST / self.image.width)
        size = round(self.image.width * factor), max(1, round(self.image.height * factor))
        encoded = BytesIO()
        self.image.resize(size, Image.Resampling.LANCZOS).save(encoded, "JPEG", quality=QUALITY, optimize=True)
        bundle: dict[str, Any] = {"text/plain": repr(self), "image/jpeg": b64encode(encoded.getvalue()).decode()}
        if self.figure is not None:
            bundle[PLOTLY] = json.loads(str(self.figure.to_json()))
        return bundle


def pictures(images: Sequence[ImageLike], captions: Sequence[str] = ()) -> Shown:
    """Pictures side by side, with captions above them where there are any."""
    return Shown(_rows([[load_image(image) for image in images]], captions))


def match(images: Sequence[ImageLike], result: MatchResult) -> Shown:
    """Source and target with numbered points: source | raw, and | sphere | fused where there is a sphere.

    Four wide pictures stand in two rows.

    Args:
        images: source and target, upright.
        result: of `spherecorr.match`.
    """
    source, target = _pair(images)
    panels = match_panels(source, target, result, MATCHED)
    if len(panels) == 2 or sum(image.width + GAP for _, image in panels) - GAP <= WIDEST:
        return Shown(_captioned(panels))
    widest = max(image.width for _, image in panels)
    panels = [(caption, _centred(image, widest)) for caption, image in panels]
    return Shown(_stacked([_captioned(panels[:2]), _captioned(panels[2:])]))


def pca(images: Sequence[ImageLike], maps: Sequence[FeatureMap], sphere: SphereMapper | None = None) -> Shown:
    """Pictures, and below them the first three principal components of all their features together.

    Args:
        images: any number.
        maps: the features of each.
        sphere: leaves what it takes for background black; None shows all.
    """
    loaded = _loaded(images, maps)
    cells = None if sphere is None else [_foreground(one, sphere)[1] for one in maps]
    return Shown(_rows([loaded, pca_pictures(list(maps), cells, [image.size for image in loaded])]))


def sphere_maps(images: Sequence[ImageLike], maps: Sequence[FeatureMap], sphere: SphereMapper) -> Shown:
    """Pictures, and below them each cell in the colour of its place on the sphere, background black.

    Args:
        images: any number.
        maps: the features of each.
        sphere: the mapper.
    """
    loaded = _loaded(images, maps)
    found = [_foreground(one, sphere) for one in maps]
    painted = [sphere_picture(own, cells, image.size) for (own, cells), image in zip(found, loaded, strict=True)]
    return Shown(_rows([loaded, painted]))


def sphere(
    images: Sequence[ImageLike], maps: Sequence[FeatureMap], mapper: SphereMapper, result: MatchResult | None = None
) -> Shown:
    """Both objects' patches on the sphere, in the colours of their images; points, and arcs to their fused matches.

    Args:
        images: source (dots) and target (diamonds).
        maps: the features of each, framed without padding.
        mapper: the sphere's.
        result: of `spherecorr.match`; None shows no points.
    """
    _pair(images)
    found = [_foreground(one, mapper) for one in maps]
    source, target = (
        sphere_patches(own, image, cells) for (own, cells), image in zip(found, _loaded(images, maps), strict=True)
    )
    selected = matched = np.zeros((0, 3))
    if result is not None:
        best = result.raw if result.fused is None else result.fused
        selected, matched = on_sphere(found[0][0], result.points), on_sphere(found[1][0], best.xy[:, 0])
    seen = globe_picture(source, target, selected, matched)
    return Shown(seen, sphere_figure(source, target, selected, matched))


def report(found: Report, over: str = "all") -> Shown:
    """Precision against recall (the area below is KAP), and PCK against the threshold.

    Args:
        found: of `spherecorr.evaluate`; as the last line of a cell it shows its tables.
        over: all pairs, or a category.
    """
    plots = [still(figure) for figure in (precision_recall_figure(found, over), pck_figure(found, over))]
    return Shown(_rows([plots], height=plots[0].height))


def keypoints(table: KeypointTable, alpha: int = 0) -> Shown:
    """What each keypoint of one pair adds to its KAP.

    Args:
        table: of the pair, see `KeypointTable.select`.
        alpha: index of the similarity.
    """
    return plot(keypoint_figure(*keypoint_scores(table, alpha)))


def plot(figure: Figure) -> Shown:
    """A Plotly figure of lines and marks, and a still picture of it."""
    return Shown(still(figure, 760), figure)


def _pair(images: Sequence[ImageLike]) -> tuple[Image.Image, Image.Image]:
    if len(images) != 2:
        raise SpherecorrError(f"A match has two pictures, source and target; got {len(images)}.")
    return load_image(images[0]), load_image(images[1])


def _loaded(images: Sequence[ImageLike], maps: Sequence[FeatureMap]) -> list[Image.Image]:
    """The pictures, upright.

    Raises:
        SpherecorrError: there are not as many as feature maps, or they are not those that the maps are of.
    """
    if len(images) != len(maps):
        raise SpherecorrError(f"Each picture has a feature map; got {len(images)} pictures and {len(maps)} maps.")
    loaded = [load_image(image) for image in images]
    for image, own in zip(loaded, maps, strict=True):
        if image.size != tuple(own.framing.image_size):
            said = " and ".join(f"{width} x {height}" for width, height in (image.size, own.framing.image_size))
            raise SpherecorrError(f"Pictures and feature maps go together in order; here their sizes are {said}.")
    return loaded


def _foreground(features: FeatureMap, mapper: SphereMapper) -> tuple[SphereMap, np.ndarray]:
    """The sphere map, and boolean `[H, W]`: the object's cells."""
    own = mapper.sphere_map(features)
    return own, find_foreground(features, mapper, own).cells


def _captioned(panels: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    return _rows([[image for _, image in panels]], [caption for caption, _ in panels], MATCHED)


def _centred(image: Image.Image, width: int) -> Image.Image:
    """The picture with white on both sides."""
    canvas = Image.new("RGB", (width, image.height), "white")
    canvas.paste(image, ((width - image.width) // 2, 0))
    return canvas


def _stacked(rows: Sequence[Image.Image]) -> Image.Image:
    """Pictures below one another, from the left."""
    figure = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), "white")
    for number, row in enumerate(rows):
        figure.paste(row, (0, sum(above.height for above in rows[:number])))
    return figure


def _rows(rows: Sequence[Sequence[Image.Image]], captions: Sequence[str] = (), height: int = HEIGHT) -> Image.Image:
    """Rows of pictures of one height below one another, each column centred; captions above the first row."""
    scaled = [[_scaled(image, height) for image in row] for row in rows]
    widths = [max(image.width for image in column) for column in zip(*scaled, strict=True)]
    top = CAPTION if captions else 0
    size = sum(widths) + GAP * (len(widths) - 1), top + len(rows) * (height + GAP) - GAP
    figure = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(figure), ImageFont.load_default(15)
    for number, width in enumerate(widths):
        left = sum(widths[:number]) + GAP * number
        if captions:
            draw.text((left + width / 2, top / 2), captions[number], "#333333", font, anchor="mm")
        for line, row in enumerate(scaled):
            figure.paste(row[number], (left + (width - row[number].width) // 2, top + line * (height + GAP)))
    return figure


def _scaled(image: Image.Image, height: int) -> Image.Image:
    """Smooth where it gets smaller; enlarged, its pixels stay."""
    how = Image.Resampling.LANCZOS if image.height > height else Image.Resampling.NEAREST
    return image.resize((max(1, round(image.width * height / image.height)), height), how)

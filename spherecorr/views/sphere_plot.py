"""The sphere in 3D: both images' patches in their image colours, selected points, their matches, the arcs between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from plotly.graph_objects import Figure, Scatter3d, Surface

from spherecorr.features import SphereMap
from spherecorr.views.matches import COLOURS, text_colour

MAX_PATCHES = 700
GLOBE_GREY = "#8b95a1"


@dataclass(frozen=True, eq=False)
class Patches:
    """Patches of one image on the sphere: `points` `[N, 3]` of unit length, `colours` `[N]` such as 'rgb(1,2,3)'."""

    points: np.ndarray
    colours: list[str]


def sphere_patches(sphere: SphereMap, image: Image.Image, foreground: np.ndarray | None) -> Patches:
    """Take the foreground's patches, at most `MAX_PATCHES` evenly chosen, in the mean colours of their cells.

    Args:
        sphere: the image's sphere map `[3, H, W]`.
        image: RGB of any size, showing the whole original image (framed without padding).
        foreground: boolean `[H, W]`, or None for all cells.
    """
    rows, columns = sphere.points.shape[1:]
    keep = np.ones(rows * columns, dtype=bool) if foreground is None else foreground.reshape(-1)
    index = np.flatnonzero(keep)
    index = index[:: max(1, -(-len(index) // MAX_PATCHES))]
    pixels = np.asarray(image.resize((columns, rows), Image.Resampling.BOX)).reshape(-1, 3)[index]
    points = sphere.points.float().cpu().numpy().reshape(3, -1).T[index]
    return Patches(points, [f"rgb({r},{g},{b})" for r, g, b in pixels])


def on_sphere(sphere: SphereMap, points: np.ndarray) -> np.ndarray:
    """Where original pixels `[N, 2]` lie on the sphere `[N, 3]`; NaN for NaN."""
    there = np.isfinite(points).all(axis=1)
    columns, rows = sphere.framing.to_cell(np.where(there[:, None], points, 0)).T
    vectors = sphere.points.float().cpu().numpy()[:, rows, columns].T.copy()
    vectors[~there] = np.nan
    return vectors


def sphere_figure(
    source: Patches, target: Patches, selected: np.ndarray, matched: np.ndarray, active: int | None = None
) -> Figure:
    """Draw the sphere.

    Args:
        source: patches of the source image, drawn as dots.
        target: patches of the target image, drawn as diamonds.
        selected: `[N, 3]` where the selected points lie.
        matched: `[N, 3]` where their matches lie; NaN where there is none.
        active: index of the point that the camera turns to; without one it looks at the mean of the source patches.
    """
    figure = Figure(_globe())
    for patches, symbol, name in ((source, "circle", "source"), (target, "diamond", "target")):
        figure.add_trace(_markers(patches.points, 3, symbol, patches.colours, name=name))
    for i, (point, match) in enumerate(zip(selected, matched, strict=True)):
        colour = COLOURS[i % len(COLOURS)]
        if np.isfinite(match).all():
            x, y, z = great_circle(point, match).T * 1.02
            figure.add_trace(
                Scatter3d(x=x, y=y, z=z, mode="lines", line={"color": colour, "width": 7}, hoverinfo="skip")
            )
            figure.add_trace(_large(match, "diamond", colour, "", f"match of {i + 1}"))
        figure.add_trace(_large(point, "circle", colour, str(i + 1), f"point {i + 1}"))
    towards = selected[active] if active is not None else source.points.mean(axis=0)
    hidden = {"visible": False, "range": [-1.12, 1.12]}
    figure.update_layout(
        template="none",
        showlegend=False,
        paper_bgcolor="rgba(0,0,0,0)",
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        scene={"xaxis": hidden, "yaxis": hidden, "zaxis": hidden, "aspectmode": "cube", "camera": camera(towards)},
    )
    return figure


def great_circle(start: np.ndarray, end: np.ndarray, steps: int = 24) -> np.ndarray:
    """The shortest arc between two unit vectors: `[steps, 3]`, unit length; opposite ends take some way round."""
    angle = np.arccos(np.clip(start @ end, -1, 1))
    side = end - start * (start @ end)
    if np.linalg.norm(side) < 1e-6:  # equal or opposite: any direction at right angles will do
        side = np.cross(start, np.eye(3)[np.abs(start).argmin()])
    side = side / np.linalg.norm(side)
    t = np.linspace(0, angle, steps)[:, None]
    return np.cos(t) * start + np.sin(t) * side


def camera(towards: np.ndarray, distance: float = 1.4) -> dict:
    """A Plotly camera that looks at the globe from above a point; any vector but 0 is taken, 0 counts as x."""
    length = np.linalg.norm(towards)
    eye = np.array([1.0, 0.0, 0.0]) if length < 1e-6 else towards / length
    up = [0, 0, 1] if abs(eye[2]) < 0.95 else [0, 1, 0]
    return {"eye": dict(zip("xyz", (distance * eye).tolist(), strict=True)), "up": dict(zip("xyz", up, strict=True))}


def _markers(points: np.ndarray, size: int, symbol: str, colour: str | list[str], **more) -> Scatter3d:
    x, y, z = points.T.round(3)
    marker = {"size": size, "symbol": symbol, "color": colour, "line": {"width": 0}}
    return Scatter3d(x=x, y=y, z=z, mode="markers", marker=marker, hoverinfo="name", **more)


def _large(point: np.ndarray, symbol: str, colour: str, label: str, name: str) -> Scatter3d:
    x, y, z = ([value] for value in point * 1.03)
    marker = {
        "size": 13 if symbol == "circle" else 8,
        "symbol": symbol,
        "color": colour,
        "line": {"color": "white", "width": 2},
    }
    font = {"color": text_colour(colour), "size": 13}
    return Scatter3d(
        x=x, y=y, z=z, mode="markers+text", marker=marker, text=[label], textfont=font,
        textposition="middle center", name=name, hoverinfo="name",
    )  # fmt: skip


def _globe() -> list[Scatter3d | Surface]:
    """A faint ball, a little smaller than the unit sphere so that it hides the far side's points only partly."""
    azimuth, height = np.meshgrid(np.linspace(0, 2 * np.pi, 37), np.linspace(-np.pi / 2, np.pi / 2, 19))
    x, y, z = np.cos(height) * np.cos(azimuth), np.cos(height) * np.sin(azimuth), np.sin(height)
    flat = {"ambient": 1, "diffuse": 0, "specular": 0, "roughness": 1, "fresnel": 0}
    ball = Surface(
        x=(0.97 * x).round(3), y=(0.97 * y).round(3), z=(0.97 * z).round(3), opacity=0.28, showscale=False,
        colorscale=[[0, GLOBE_GREY], [1, GLOBE_GREY]], lighting=flat, hoverinfo="skip",
    )  # fmt: skip
    lines = [np.c_[x[:, i], y[:, i], z[:, i]] for i in range(0, 36, 6)]
    lines += [np.c_[x[i], y[i], z[i]] for i in range(3, 18, 3)]
    gap = np.full((1, 3), np.nan)
    x, y, z = np.concatenate([part for line in lines for part in (line * 0.98, gap)]).T.round(3)
    net = Scatter3d(x=x, y=y, z=z, mode="lines", line={"color": GLOBE_GREY, "width": 1}, opacity=0.5, hoverinfo="skip")
    return [ball, net]

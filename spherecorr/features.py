"""Feature maps, where they came from, and what is computed from several of them together."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import Literal

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from spherecorr.geometry import Framing
from spherecorr.identity import FeatureSource, digest
from spherecorr.markup import html_table

THUMBNAIL = 224  # px, the longer side of the picture of a feature map in a notebook


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """Frozen features of one image.

    Attributes:
        features: float tensor `[D, H, W]`.
        framing: how the image became the grid of H x W cells.
        source: which model and tokens they are.
        parts: further maps of the same image, without parts of their own, each with its own grid, channels and source,
            such as other levels of a diffusion model. A sphere mapper reads `features` alone, raw similarity all.
    """

    features: Tensor
    framing: Framing
    source: FeatureSource
    parts: tuple[FeatureMap, ...] = ()

    def __repr__(self) -> str:
        """The backbone, the size of the features, and of the image."""
        channels, rows, columns = self.features.shape
        width, height = self.framing.image_size
        more = f", {len(self.parts)} parts" if self.parts else ""
        return f"FeatureMap({self.backbone} [{channels}, {rows}, {columns}] of {width} x {height} pixels{more})"

    def _repr_html_(self) -> str:
        """For notebooks: what it is, and its first three principal components as a picture."""
        encoded = BytesIO()
        _thumbnail(self).save(encoded, "PNG")
        picture = f"data:image/png;base64,{b64encode(encoded.getvalue()).decode()}"
        (channels, rows, columns), (width, height) = self.features.shape, self.framing.image_size
        facts = [
            ("backbone", self.backbone),
            ("features", f"{channels} channels, {columns} x {rows} cells of {self.framing.patch} pixels"),
            ("layer", f"{self.source.layer}, {'after' if self.source.norm else 'before'} the final norm"),
            ("image", f"{width} x {height} pixels"),
            *((f"part {i}", repr(part)) for i, part in enumerate(self.parts, start=1)),
        ]
        return html_table("FeatureMap", (), facts) + f'<img src="{picture}" alt="principal components">'

    @property
    def backbone(self) -> str:
        """The backbone's name."""
        return self.source.backbone

    @property
    def sources(self) -> tuple[FeatureSource, ...]:
        """Of the features and of all parts."""
        return self.source, *(part.source for part in self.parts)

    def tokens(self) -> Tensor:
        """The features as tokens `[H * W, D]`, row by row."""
        return self.features.flatten(1).T

    @cached_property
    def unit(self) -> Tensor:
        """Float32 `[P, H * W]`, the `unit_vectors` of all cells, row by row; kept as long as the map is."""
        values = [self.features.flatten(1), *(resample(part, self.framing) for part in self.parts)]
        return torch.cat([_unit(value) for value in values])

    def unit_vectors(self, cells: np.ndarray) -> Tensor:
        """The features of cells (col, row) `[N, 2]` at unit length, and those of all parts at the cells' centres.

        Returns:
            Float32 `[P, N]`: P is the number of channels of the features and all parts together.
        """
        columns, rows = torch.as_tensor(cells, device=self.features.device).T
        values = [self.features[:, rows, columns]]
        values += [_sample(part, self.framing.to_pixel(cells)) for part in self.parts]
        return torch.cat([_unit(value) for value in values])


def resample(feature_map: FeatureMap, framing: Framing) -> Tensor:
    """Features at the centres of the cells of another framing of the image, row by row: float32 `[D, H * W]`.

    Linear between the centres of the map's own cells.
    """
    columns, rows = framing.grid
    cells = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    return _sample(feature_map, framing.to_pixel(cells))


def state_digest(state: Mapping[str, Tensor]) -> str:
    """Of a model's weights, by their names."""
    return digest(key.encode() + tensor_bytes(tensor) for key, tensor in sorted(state.items()))


def tensor_bytes(tensor: Tensor) -> bytes:
    """The values of a tensor of any dtype, for digests."""
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def _unit(values: Tensor) -> Tensor:
    """Vectors `[D, N]` at unit length, float32; 0 stays 0."""
    values = values.float()
    return values / torch.linalg.vector_norm(values, dim=0).clamp(min=1e-12)


def _sample(feature_map: FeatureMap, points: np.ndarray) -> Tensor:
    """Features at original pixels `[N, 2]`, linear between the centres of cells: float32 `[D, N]`."""
    place = feature_map.framing.to_grid(points) / feature_map.framing.grid * 2 - 1
    grid = torch.as_tensor(place, dtype=torch.float32, device=feature_map.features.device)[None, None]
    values = feature_map.features.float()[None]
    sampled = torch.nn.functional.grid_sample(values, grid, padding_mode="border", align_corners=False)
    return sampled[0, :, 0]


@dataclass(frozen=True, eq=False)
class SphereMap:
    """Surface points of one image.

    Attributes:
        points: `[3, H, W]` of unit length on the sphere; `[2, H, W]` on the plane.
        framing: of the cells.
        surface: the name of the surface, see `sphere.surface`.
        foreground: float `[H, W]`, 0..1, how likely a cell is the object's; None where the mapper cannot tell so.
    """

    points: Tensor
    framing: Framing
    surface: Literal["sphere", "plane"] = "sphere"
    foreground: Tensor | None = None


def joint_pca(
    maps: list[FeatureMap], foregrounds: list[np.ndarray] | None = None, components: int = 3
) -> list[np.ndarray]:
    """Project several feature maps on the principal components of all their cells together.

    Of maps with parts the primary `features` are taken, which a sphere mapper reads.

    Args:
        maps: feature maps with the same number of channels.
        foregrounds: boolean `[H, W]` per map; the components are fitted on these cells only.
        components: how many, at most D.

    Returns:
        One float array `[H, W, components]` per map. Every component has unit variance over the fitted cells (where
        the features vary in so many directions), and the sign of its largest loading is positive, so the same maps
        always give the same pictures.
    """
    tokens = [feature_map.tokens().float().cpu() for feature_map in maps]
    chosen = tokens
    if foregrounds is not None:
        masks = (torch.from_numpy(foreground.reshape(-1)) for foreground in foregrounds)
        chosen = [t[mask] for t, mask in zip(tokens, masks, strict=True)]
    fitted = torch.cat(chosen)
    if len(fitted) <= components:  # too few foreground cells for a basis: use everything
        fitted = torch.cat(tokens)
    mean = fitted.mean(dim=0)
    centred = fitted - mean
    # Not scikit-learn's PCA: its first import in a thread of the app can lock.
    variances, directions = torch.linalg.eigh(centred.T @ centred / max(len(fitted) - 1, 1))
    variances, directions = variances.flip(0)[:components], directions.flip(1)[:, :components]
    largest = directions.abs().argmax(dim=0)
    signs = directions.gather(0, largest[None]).sign()
    # Directions in which the features hardly vary stay near 0: stretching them would show rounding noise as colour.
    deviations = variances.clamp(min=1e-5 * float(variances[0]) + 1e-12).sqrt()
    basis = directions * signs / deviations
    projected = ((t - mean) @ basis for t in tokens)
    return [p.reshape(*m.features.shape[1:], components).numpy() for p, m in zip(projected, maps, strict=True)]


def component_colours(components: np.ndarray) -> np.ndarray:
    """Values of `joint_pca` as colours in 0..1: the middle is spread, outliers do not take the whole range."""
    return (1 + np.tanh(components)) / 2  # the sigmoid of twice the value


def _thumbnail(feature_map: FeatureMap) -> Image.Image:
    """The first three principal components of one image as red, green and blue; grey where there are fewer."""
    (components,) = joint_pca([feature_map], components=min(3, len(feature_map.features)))
    colours = np.full((*components.shape[:2], 3), 0.5)
    colours[..., : components.shape[2]] = component_colours(components)
    small = Image.fromarray((colours * 255).round().astype(np.uint8))
    times = max(1, THUMBNAIL // max(small.size))
    return small.resize((small.width * times, small.height * times), Image.Resampling.NEAREST)


def estimate_foreground(feature_map: FeatureMap) -> np.ndarray:
    """Guess the object's cells by the boundary prior: the background is what the image's border looks like.

    A cell's distance is one minus its highest cosine similarity to a border cell, smoothed; Otsu's threshold splits it.
    Meant for pictures with one object away from the border; where the guess leaves fewer than 4 cells, all are taken.

    Returns:
        Boolean `[H, W]`.
    """
    features = torch.nn.functional.normalize(feature_map.features.float(), dim=0)
    rows, columns = features.shape[1:]
    border = torch.zeros(rows, columns, dtype=torch.bool)
    border[[0, -1]] = True
    border[:, [0, -1]] = True
    similarity = torch.einsum("dn,dhw->nhw", features[:, border.to(features.device)], features)
    # The second-best border cell, so that a border cell does not explain itself.
    distance = 1 - similarity.topk(min(2, len(similarity)), dim=0).values[-1].cpu().numpy()
    smooth = cv2.GaussianBlur(distance, (3, 3), 0)
    low, high = float(smooth.min()), float(smooth.max())
    scaled = ((smooth - low) / max(high - low, 1e-12) * 255).astype(np.uint8)
    _, mask = cv2.threshold(scaled, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    foreground = mask.astype(bool)
    return foreground if foreground.sum() >= 4 else np.ones_like(foreground)

"""Feature maps, where they came from, and what is computed from several of them together."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from spherecorr.geometry import Framing
from spherecorr.identity import FeatureSource


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """Frozen features of one image.

    Attributes:
        features: float tensor `[D, H, W]`.
        framing: how the image became the grid of H x W cells.
        source: which model and tokens they are.
        parts: further maps of the same image, each with its own grid, channels and source, such as other levels of a
            diffusion model; a sphere mapper reads `features` alone, raw similarity all of them.
    """

    features: Tensor
    framing: Framing
    source: FeatureSource
    parts: tuple[FeatureMap, ...] = ()

    @property
    def backbone(self) -> str:
        """The backbone's name."""
        return self.source.backbone

    def tokens(self) -> Tensor:
        """The features as tokens `[H * W, D]`, row by row."""
        return self.features.flatten(1).T


@dataclass(frozen=True, eq=False)
class SphereMap:
    """Points of one image's cells: `points` `[dim, H, W]`, on the sphere of unit length, and the cells' `framing`."""

    points: Tensor
    framing: Framing


def joint_pca(
    maps: list[FeatureMap], foregrounds: list[np.ndarray] | None = None, components: int = 3
) -> list[np.ndarray]:
    """Project several feature maps on the principal components of all their cells together.

    Args:
        maps: feature maps with the same number of channels.
        foregrounds: boolean `[H, W]` per map; the components are fitted on these cells only.
        components: how many, at most D.

    Returns:
        One float array `[H, W, components]` per map. Every component has unit variance over the fitted cells (where
        the features vary in so many directions), and the sign of its largest loading is positive, so the same maps
        always give the same pictures.
    """
    from sklearn.decomposition import PCA

    tokens = [feature_map.tokens().float().cpu().numpy() for feature_map in maps]
    chosen = tokens if foregrounds is None else [t[f.reshape(-1)] for t, f in zip(tokens, foregrounds, strict=True)]
    fitted = np.concatenate(chosen)
    if len(fitted) <= components:  # too few foreground cells for a basis: use everything
        fitted = np.concatenate(tokens)
    pca = PCA(components, svd_solver="covariance_eigh").fit(fitted)
    largest = np.abs(pca.components_).argmax(axis=1)
    signs = np.sign(pca.components_[np.arange(components), largest])
    # Directions in which the features hardly vary stay near 0: stretching them would show rounding noise as colour.
    variance = pca.explained_variance_
    deviation = np.sqrt(np.maximum(variance, 1e-5 * variance[0] + 1e-12))
    return [
        (pca.transform(t) * signs / deviation).reshape(*m.features.shape[1:], components)
        for t, m in zip(tokens, maps, strict=True)
    ]


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

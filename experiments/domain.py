r"""Which statistic tells photographs that a sphere does not know from those that it does?

    python experiments/domain.py photo_viewpoints \
        --other photos/bottle photos/plant photos/tv --other photo_teach/images

Fitted on the object's patches, by its mask, of some photographs of trn in `photo_split.csv`; the threshold is a share
of val's. Known are photographs of test, unknown those of each `--other`, all with the foreground that the app finds.

- patches: `sphere.domain`: mean distance of the object's patches to their nearest of 128 centroids of patches;
- mean feature: distance of the mean patch to the nearest of 64 centroids of such means;
- Gaussian: Mahalanobis distance of the mean patch, half of the covariance replaced by a multiple of the identity.

Prints a Markdown table and, last, JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from held_out import add_model_options, open_models, rounded
from sklearn.cluster import KMeans
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn.functional import normalize

from spherecorr.data.folder import Folder
from spherecorr.evaluation.inputs import spread
from spherecorr.evaluation.tables import Table, percent
from spherecorr.files import list_files
from spherecorr.geometry import mask_to_cells
from spherecorr.images import load_image
from spherecorr.matching.candidates import find_foreground
from spherecorr.sphere.domain import Domain

QUANTILES = (0.95, 0.98, 0.99)
Statistic = Callable[[Tensor], float]


def by_patches(fitted: Sequence[Tensor]) -> Statistic:
    """The distance that `sphere.domain` takes."""
    return Domain.fit(fitted, fitted)._distance


def by_mean_feature(fitted: Sequence[Tensor]) -> Statistic:
    """Distance of the mean patch to the nearest centroid of means."""
    means = normalize(torch.stack([patches.mean(0) for patches in fitted]), dim=-1)
    centroids = KMeans(min(64, len(means) // 2), n_init=4, random_state=0).fit(means.numpy()).cluster_centers_
    units = normalize(torch.from_numpy(centroids).float(), dim=-1)
    return lambda patches: float(1 - (normalize(patches.mean(0), dim=-1) @ units.T).max())


def by_gaussian(fitted: Sequence[Tensor]) -> Statistic:
    """Mahalanobis distance of the mean patch."""
    means = normalize(torch.stack([patches.mean(0) for patches in fitted]), dim=-1)
    covariance = torch.cov(means.T)
    even = torch.eye(len(covariance)) * covariance.trace() / len(covariance)
    inverse, middle = torch.linalg.inv((covariance + even) / 2), means.mean(0)

    def distance(patches: Tensor) -> float:
        away = normalize(patches.mean(0), dim=-1) - middle
        return float((away @ inverse @ away).sqrt())

    return distance


STATISTICS = {"patches": by_patches, "mean feature": by_mean_feature, "Gaussian": by_gaussian}


def main() -> None:
    """Compare the statistics."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder with viewpoints.csv and masks")
    add_model_options(parser)
    parser.add_argument("--other", type=Path, nargs="+", action="append", default=[], help="folders of unknown kinds")
    parser.add_argument("--dealt", type=Path, default=Path(__file__).parent / "photo_split.csv", help="the splits")
    parser.add_argument("--limit", type=int, default=100, help="photographs of each split (default: %(default)s)")
    options = parser.parse_args()
    backbone, mapper = open_models(options)
    dealt = dict(line.split(",") for line in options.dealt.read_text().split()[1:])

    def patches(path: Path, mask: np.ndarray | None = None) -> Tensor:
        features = backbone(load_image(path), resolution=mapper.settings.resolution)
        cells = None if mask is None else mask_to_cells(mask, features.framing)
        if cells is None or not cells.any():
            cells = find_foreground(features, mapper, mapper.sphere_map(features)).cells
        return features.tokens().float().cpu()[torch.tensor(cells.reshape(-1))]

    split: dict[str, list[Tensor]] = {}
    for name in ("trn", "val", "test"):
        paths = {path for path, part in dealt.items() if part == name}
        records = [
            r for r in Folder(options.root).images("all") if r.path.relative_to(options.root).as_posix() in paths
        ]
        chosen = spread(sorted(records, key=lambda record: record.category), options.limit)
        split[name] = [patches(record.path, None if name == "test" else record.load_mask()) for record in chosen]
    others = {
        ", ".join(folder.name for folder in folders): [
            patches(path) for folder in folders for path in spread(list_files(folder, endings={".jpg", ".png"}), 30)
        ]
        for folders in options.other
    }
    rows, found = [], {}
    for name, fit in STATISTICS.items():
        statistic = fit(split["trn"])
        val, test = (np.array([statistic(p) for p in split[part]]) for part in ("val", "test"))
        thresholds = [np.quantile(val, quantile) for quantile in QUANTILES]
        groups = {"known": test, **{key: np.array([statistic(p) for p in group]) for key, group in others.items()}}
        for key, distances in groups.items():
            truth = [0] * len(test) + [1] * len(distances)
            area = np.nan if key == "known" else float(roc_auc_score(truth, np.concatenate([test, distances])))
            flagged = [float((distances > threshold).mean()) for threshold in thresholds]
            found[f"{name}: {key}"] = {"n": len(distances), "auroc": area, "flagged": flagged}
            shares = [percent(share) for share in flagged]
            rows.append([name, key, str(len(distances)), "" if key == "known" else percent(area), *shares])
    head = ("statistic", "photographs of", "n", "AUROC", *(f"flagged at {q:.0%} of val" for q in QUANTILES))
    print(Table("Unlike what the sphere was trained on", head, rows).markdown())
    print(json.dumps(rounded(found)))


if __name__ == "__main__":
    main()

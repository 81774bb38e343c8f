"""Scores of a mapper on held-out pairs, to watch a training by."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from spherecorr.data.records import PairRecord
from spherecorr.evaluation.scoring import score_pairs
from spherecorr.evaluation.summary import summarise
from spherecorr.features import FeatureMap
from spherecorr.sphere.mapper import SphereMapper

SCORES = {"kap": ("KAP", "macro"), "pck": ("PCK", "pooled"), "symmetric": ("symmetric mistakes", "pooled")}


def validator(
    pairs: Sequence[PairRecord], features: Mapping[str, FeatureMap], threshold: float = 0.1
) -> Callable[[SphereMapper], dict[str, float]]:
    """What `training.fit` takes as `validate`.

    Args:
        pairs: held out from training.
        features: image id -> feature map, of the mapper's backbone.
        threshold: share of the longer side of the target's box.

    Returns:
        A function of a mapper: KAP (mean of the categories), PCK and symmetric mistakes (over all keypoints) of the
        fused similarity at the mapper's alpha, of the sphere alone and of raw features, all 0..1; `kap_fused` first.
        Scores for which nothing counts, such as symmetric mistakes without mirrored keypoints, are left out.
    """
    images = {image.id for pair in pairs for image in (pair.source, pair.target)}

    def validate(mapper: SphereMapper) -> dict[str, float]:
        spheres = {image: mapper.sphere_map(features[image]) for image in images}
        shares = {"fused": mapper.settings.alpha, "sphere": 1.0, "raw": 0.0}
        alphas = sorted(set(shares.values()))
        table = score_pairs(pairs, features, spheres, alphas, thresholds=(threshold,), protocols=("corrected",))
        report = summarise(table, resamples=0)
        names = dict(zip(alphas, report.similarities, strict=True))
        scores = {
            f"{score}_{similarity}": report.value(metric, names[alpha], over)
            for similarity, alpha in shares.items()
            for score, (metric, over) in SCORES.items()
        }
        return {name: value for name, value in scores.items() if not math.isnan(value)}

    return validate

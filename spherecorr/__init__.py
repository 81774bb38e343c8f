"""spherecorr: semantic correspondence with viewpoint-guided spherical maps.

The names below are imported when first used, so that `import spherecorr` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spherecorr.backbones import load_backbone
    from spherecorr.data.registry import open_dataset
    from spherecorr.evaluation.evaluate import evaluate
    from spherecorr.evaluation.report import Report
    from spherecorr.features import FeatureMap, SphereMap, joint_pca
    from spherecorr.images import load_image
    from spherecorr.matching.alignment import align
    from spherecorr.matching.match import match
    from spherecorr.pipelines.compare import compare
    from spherecorr.pipelines.teach import teach
    from spherecorr.pipelines.train import train
    from spherecorr.sphere.checkpoint import load_sphere
    from spherecorr.sphere.mapper import SphereMapper

__version__ = "0.1.0"

__all__ = [
    "FeatureMap",
    "Report",
    "SphereMap",
    "SphereMapper",
    "align",
    "compare",
    "evaluate",
    "joint_pca",
    "load_backbone",
    "load_image",
    "load_sphere",
    "match",
    "open_dataset",
    "teach",
    "train",
]

_HOMES = {
    "FeatureMap": "spherecorr.features",
    "Report": "spherecorr.evaluation.report",
    "SphereMap": "spherecorr.features",
    "SphereMapper": "spherecorr.sphere.mapper",
    "align": "spherecorr.matching.alignment",
    "compare": "spherecorr.pipelines.compare",
    "evaluate": "spherecorr.evaluation.evaluate",
    "joint_pca": "spherecorr.features",
    "load_backbone": "spherecorr.backbones",
    "load_image": "spherecorr.images",
    "load_sphere": "spherecorr.sphere.checkpoint",
    "match": "spherecorr.matching.match",
    "open_dataset": "spherecorr.data.registry",
    "teach": "spherecorr.pipelines.teach",
    "train": "spherecorr.pipelines.train",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'spherecorr' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

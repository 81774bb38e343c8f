"""spherecorr: semantic correspondence with viewpoint-guided spherical maps.

The names below are imported when first used, so that `import spherecorr` costs nothing.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "load_image": "spherecorr.images",
    "load_backbone": "spherecorr.backbones",
    "load_sphere": "spherecorr.sphere.checkpoint",
    "match": "spherecorr.matching.match",
    "evaluate": "spherecorr.evaluation.evaluate",
    "Report": "spherecorr.evaluation.report",
    "joint_pca": "spherecorr.features",
    "FeatureMap": "spherecorr.features",
    "SphereMap": "spherecorr.features",
    "SphereMapper": "spherecorr.sphere.mapper",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'spherecorr' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

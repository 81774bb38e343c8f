"""Frozen backbones: image -> FeatureMap.

The list of backbones and the question whether weights are at hand cost nothing; torch and timm are imported when a
backbone is loaded.
"""

from importlib import import_module
from typing import Any

from spherecorr.backbones.registry import BACKBONES, BackboneInfo
from spherecorr.backbones.weights import BackboneError, weights_available

_LAZY = ("Backbone", "load_backbone")
__all__ = ["BACKBONES", "Backbone", "BackboneError", "BackboneInfo", "load_backbone", "weights_available"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'spherecorr.backbones' has no attribute '{name}'")
    return getattr(import_module("spherecorr.backbones.vit"), name)

"""What a thing is, not what it is called: which features these are, and digests of what things were made from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

PositionEmbedding = Literal["timm", "dinov2"]


@dataclass(frozen=True)
class FeatureSource:
    """What makes two feature maps comparable: the model, and which of its tokens.

    Attributes:
        backbone: registry name, timm name or `local-dir:` path.
        dim: channels D.
        patch: side of one patch in input pixels.
        layer: index of the transformer block whose output is taken, counted from 0.
        norm: True if the model's final norm was applied (the paper's mapper uses tokens before it).
        position_embedding: how position embeddings were resized: timm's way or as in the original DINOv2 release.
        weights: digest of the model's weights, see `file_digest`; None where it is not known.
    """

    backbone: str
    dim: int
    patch: int
    layer: int
    norm: bool = False
    position_embedding: PositionEmbedding = "timm"
    weights: str | None = None

    def differs_from(self, other: FeatureSource) -> list[str]:
        """Names of the attributes that make two feature maps incomparable; empty if they can be compared.

        Weights are told apart by their digest, so that a folder may move; where one of the two is not known, by the
        backbone's name.
        """
        named = self.weights is None or other.weights is None
        ignored = "weights" if named else "backbone"
        mine, others = asdict(self), asdict(other)
        return [name for name in mine if name != ignored and mine[name] != others[name]]


def without_names(value: Any) -> Any:
    """A JSON-able value without the names of backbones whose weights it states: a folder may move.

    For comparing settings: `FeatureSource.differs_from` for what `asdict` made of it, however deep it lies.
    """
    if isinstance(value, list):
        return [without_names(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    named = value.get("weights") is None or "backbone" not in value
    return {key: without_names(entry) for key, entry in value.items() if named or key != "backbone"}


def digest(chunks: Iterable[bytes]) -> str:
    """SHA-256 of some chunks, 20 hexadecimal digits; where one chunk ends and the next begins counts."""
    total = hashlib.sha256()
    for chunk in chunks:
        total.update(len(chunk).to_bytes(8, "little") + chunk)
    return total.hexdigest()[:20]


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's content, 20 hexadecimal digits; read once as long as its size and time stay the same.

    Raises:
        OSError: the file cannot be read.
    """
    path = Path(path).resolve()
    status = path.stat()
    return _file_digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=65_536)
def _file_digest(path: Path, size: int, time: int) -> str:
    total = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            total.update(chunk)
    return total.hexdigest()[:20]

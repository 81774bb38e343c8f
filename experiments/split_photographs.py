"""Deal photographs to trn, val and test, once and before anything is tried: `photo_split.csv` is what it wrote.

    python experiments/split_photographs.py photo_viewpoints --out experiments/photo_split.csv

Of every category and azimuth 5 in 8 go to trn, 1 to val and 2 to test, in the order of a hash of their names. Copies of
one picture stay together.
"""

from __future__ import annotations

import argparse
import hashlib
from collections import defaultdict
from pathlib import Path

import numpy as np

from spherecorr.data.folder import Folder
from spherecorr.data.records import ImageRecord
from spherecorr.files import write_atomic

DEAL = ("test", "trn", "trn", "val", "trn", "test", "trn", "trn")
SAME = 0.97  # correlation of two thumbnails from which on they are copies


def deal(records: list[ImageRecord]) -> dict[str, str]:
    """The split of every image by its id."""
    groups: dict[tuple, list[ImageRecord]] = defaultdict(list)
    for record in records:
        groups[record.category, record.azimuth].append(record)
    splits = {}
    for key, group in groups.items():
        first = _hash(repr(key))
        ordered = sorted(group, key=lambda record: _hash(str(record.instance)))
        splits.update({record.id: DEAL[(place + first) % len(DEAL)] for place, record in enumerate(ordered)})
    thumbnails = np.stack([_thumbnail(record) for record in records])
    alike = thumbnails @ thumbnails.T / thumbnails.shape[1] > SAME
    for place, record in enumerate(records):
        splits[record.id] = splits[records[int(alike[place].argmax())].id]
    return splits


def _hash(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest(), 16)


def _thumbnail(record: ImageRecord) -> np.ndarray:
    pixels = np.asarray(record.load_picture().convert("L").resize((16, 16)), dtype=float).ravel()
    return (pixels - pixels.mean()) / pixels.std()


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    records = Folder(options.root).images("all")
    splits = deal(records)
    lines = [f"{record.path.relative_to(options.root).as_posix()},{splits[record.id]}" for record in records]
    write_atomic(options.out, ("\n".join(["image,split", *lines]) + "\n").encode())


if __name__ == "__main__":
    main()

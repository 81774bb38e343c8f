"""Hostile files from a seed: pictures of eight formats that were tampered with, bombs, odd modes, and model files."""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tiny_models import blocks

FORMATS = {
    "jpg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP", "bmp": "BMP", "tif": "TIFF", "ppm": "PPM", "ico": "ICO",
}  # fmt: skip
MODES = {
    "png": ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"),
    "tif": ("1", "L", "P", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"),
    "jpg": ("L", "RGB", "CMYK"),
    "webp": ("RGB", "RGBA"),
    "gif": ("1", "L", "P"),
}


def encoded(image: Image.Image, ending: str, **options) -> bytes:
    """A picture's file."""
    buffer = io.BytesIO()
    image.save(buffer, FORMATS[ending], **options)
    return buffer.getvalue()


def honest_pictures() -> dict[str, bytes]:
    """One small picture in every format."""
    image = blocks((200, 160), (20, 20))
    return {ending: encoded(image, ending) for ending in FORMATS}


def mutated(content: bytes, rng: random.Random) -> bytes:
    """A file that was tampered with in one of many ways, its first bytes more often than others."""
    changed = bytearray(content)
    place = rng.randrange(min(64, len(changed)) if rng.random() < 0.5 else len(changed))
    way = rng.randrange(8)
    if way == 0:
        for _ in range(rng.randint(1, 20)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    elif way == 1:
        del changed[place:]
    elif way == 2:
        changed[place:place] = rng.randbytes(rng.randint(1, 400))
    elif way == 3:
        del changed[place : place + rng.randint(1, 200)]
    elif way == 4:
        changed[place : place + 4] = rng.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\0\0\0\x80"])
    elif way == 5:
        changed[place] ^= 1 << rng.randrange(8)
    elif way == 6:
        changed += rng.randbytes(rng.randint(1, 2000)) + bytes(changed)
    else:
        changed[place : place + 30] = changed[-30:]
    return bytes(changed)


def bombs() -> dict[str, Callable[[], bytes]]:
    """Small files that claim, or unpack to, very large pictures; made when they are called for."""
    small = blocks((64, 48), (4, 4))
    jpeg = bytearray(encoded(small, "jpg"))
    start = jpeg.index(b"\xff\xc0") + 5
    jpeg[start : start + 4] = struct.pack(">HH", 65500, 65500)
    bitmap = bytearray(encoded(small, "bmp"))
    bitmap[18:26] = struct.pack("<ii", 60000, -60000)
    gif = bytearray(encoded(small, "gif"))
    gif[6:10] = struct.pack("<HH", 65535, 65535)
    tiff = encoded(small, "tif").replace(struct.pack("<HHII", 256, 4, 1, 64), struct.pack("<HHII", 256, 4, 1, 2**31))
    inner = png(40000, 40000)
    icon = struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(inner), 22) + inner
    wide = Image.new("RGB", (16383, 7000))
    return {
        "claims.jpg": lambda: bytes(jpeg),
        "claims.bmp": lambda: bytes(bitmap),
        "claims.gif": lambda: bytes(gif),
        "claims.tif": lambda: tiff,
        "claims.png": lambda: png(2**31 - 1, 2**31 - 1),
        "claims.ppm": lambda: b"P6 99999999 99999999 255\n" + b"x" * 100,
        "inside.ico": lambda: icon,
        "unpacks.png": lambda: png(20000, 20000, rows=bytes(20000 // 8 + 1) * 20000),
        "unpacks.webp": lambda: encoded(wide, "webp", lossless=True, quality=0, method=0),
        "text.png": lambda: png(64, 64, before=chunk(b"tEXt", b"Comment\0" + b"x" * 30_000_000)),
        "packed text.png": lambda: png(64, 64, before=_packed(b"zTXt", b"Comment\0\0", 50_000_000)),
        "profile.png": lambda: png(64, 64, before=_packed(b"iCCP", b"icc\0\0", 20_000_000)),
        "frames.gif": _animation,
        "wide.png": lambda: png(16385, 16),
        "tall.png": lambda: png(16, 16385),
        "long.png": lambda: encoded(Image.new("1", (16384, 16)), "png"),
        "thin.png": lambda: encoded(Image.new("1", (16, 16384)), "png"),
        "narrow.png": lambda: encoded(Image.new("L", (15, 400)), "png"),
        "dot.png": lambda: encoded(Image.new("L", (1, 1)), "png"),
        "none.png": lambda: png(0, 0),
    }


def _packed(kind: bytes, head: bytes, length: int) -> bytes:
    return chunk(kind, head + zlib.compress(bytes(length)))


def _animation() -> bytes:
    frames = [Image.new("L", (300, 300), i % 256) for i in range(300)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def png(width: int, height: int, rows: bytes = b"\0", before: bytes = b"") -> bytes:
    """A PNG file of one bit a pixel whose head may lie."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width & 0xFFFFFFFF, height & 0xFFFFFFFF, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def chunk(kind: bytes, content: bytes) -> bytes:
    """A part of a PNG file, with its checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def odd_pictures() -> dict[str, bytes]:
    """Pictures in every mode that a format stores, floats that are no numbers, and what is no picture at all."""
    image = blocks((96, 64), (2, 2))
    found = {}
    for ending, modes in MODES.items():
        for mode in modes:
            source = image.convert("L") if mode in ("I;16", "I", "F", "LA", "1") else image
            found[f"{mode.replace(';', '')}.{ending}"] = encoded(source.convert(mode), ending)
    values = np.full((40, 40), np.nan, np.float32)
    found["nan.tif"] = encoded(Image.fromarray(values), "tif")
    values[:20], values[20:] = np.inf, -np.inf
    found["infinite.tif"] = encoded(Image.fromarray(values), "tif")
    values[:] = 3e38
    found["largest.tif"] = encoded(Image.fromarray(values), "tif")
    found["clear.png"] = encoded(Image.new("RGBA", (40, 40), (0, 0, 0, 0)), "png")
    drawing = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    others = {"empty.png": b"", "drawing.svg": drawing, "drawing.png": drawing, "page.jpg": b"<html><script>hacked=1"}
    others |= {
        "list.png": b"GIF89a",
        "script.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n%%EndComments\n",
    }
    return (
        found
        | others
        | {"book.pdf": b"%PDF-1.4\n", "table.csv": b"=cmd|' /C calc'!A0", "zip.png": b"PK\3\4" + bytes(40)}
    )


# Models


class Marker:
    """Unpickled carelessly, it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Callable, tuple]:
        return open, (str(self.path), "w")


def hostile_spheres(folder: Path, honest: Path, marker: Path) -> list[str]:
    """Write sphere checkpoints that no trainer writes; returns their names.

    Args:
        folder: to write into.
        honest: a sound checkpoint.
        marker: a file that appears if a pickle is run.
    """
    folder.mkdir(parents=True)
    names = []
    pickles = {
        "pickle.pth": pickle.dumps(Marker(marker)),
        "pickle.pt": pickle.dumps({"sphere_mapper.0.weight": Marker(marker)}),
        "cut.pth": pickle.dumps({"a": 1})[:-3],
        "text.pth": b"sphere",
        "empty.pth": b"",
    }
    for name, content in pickles.items():
        (folder / name).write_bytes(content)
        names.append(str(folder / name))
    saved = {"archive.pth": {"x": Marker(marker)}, "list.pth": [1, 2], "nan.pth": _authors(float("nan"))}
    saved["numbers.pth"] = {"sphere_mapper.0.weight": torch.ones(32, 64), 7: torch.ones(1)}
    for name, content in saved.items():
        torch.save(content, folder / name)
        names.append(str(folder / name))
    weights, config = (honest / "model.safetensors").read_bytes(), json.loads((honest / "config.json").read_text())
    for name, content in _weights(weights).items():
        names.append(_sphere(folder / f"weights {name}", content, json.dumps(config)))
    for name, text in _configs(config).items():
        names.append(_sphere(folder / f"config {name}", weights, text))
    names.append(_sphere(folder / "<img src=x onerror=hacked=1>", weights, json.dumps(config)))
    return names


def _sphere(folder: Path, weights: bytes, config: str) -> str:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.json").write_text(config)
    return str(folder)


def _weights(sound: bytes) -> dict[str, bytes]:
    length = struct.unpack("<Q", sound[:8])[0]
    head, body = json.loads(sound[8 : 8 + length]), sound[8 + length :]

    def with_head(changed: dict | str) -> bytes:
        text = (changed if isinstance(changed, str) else json.dumps(changed)).encode()
        return struct.pack("<Q", len(text)) + text + body

    first = next(key for key, about in head.items() if len(set(about.get("shape", []))) > 1)
    entry = head[first]
    nan = bytearray(body)
    nan[entry["data_offsets"][0] : entry["data_offsets"][0] + 4] = struct.pack("<f", float("nan"))
    return {
        "empty": b"",
        "short": sound[:100],
        "cut": sound[:-10],
        "long head": struct.pack("<Q", 2**62) + sound[8:],
        "no json": with_head("{" * 50),
        "nested": with_head("[" * 100_000),
        "offsets": with_head({**head, first: {**entry, "data_offsets": [0, 2**40]}}),
        "shape": with_head({**head, first: {**entry, "shape": [2**31, 2**31]}}),
        "turned shape": with_head({**head, first: {**entry, "shape": entry["shape"][::-1]}}),
        "integers": with_head({**head, first: {**entry, "dtype": "I32"}}),
        "missing": with_head({key: value for key, value in head.items() if key != first}),
        "nan": sound[: 8 + length] + bytes(nan),
    }


def _configs(sound: dict) -> dict[str, str]:
    changes = {
        "alpha": 7, "feature_dim": -1, "width": 10**9, "surface": "torus", "source": [1], "categories": 5,
        "visible_angle": None, "unknown": 1,
    }  # fmt: skip
    changed = {key: json.dumps({**sound, "sphere": {**sound["sphere"], key: value}}) for key, value in changes.items()}
    nan = json.dumps({**sound, "sphere": {**sound["sphere"], "alpha": float("nan")}})
    return changed | {
        "nan": nan,
        "list": "[]",
        "text": '"sphere"',
        "nested": "[" * 100_000,
        "cut": "{",
        "null": '{"sphere": null}',
    }


def _authors(value: float) -> dict[str, torch.Tensor]:
    return {"sphere_mapper.0.weight": torch.full((32, 64), value)}

"""The door of the endpoints: what programs send is checked before anything is done with it.

JSON can hold anything in any field: other types, null, NaN, numbers without end, lists in lists.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from spherecorr.backbones.registry import Preset
from spherecorr.errors import SpherecorrError
from spherecorr.ui.session import MAX_POINTS, Point

PRESETS: tuple[Preset, ...] = ("fast", "balanced", "fine")
MAX_RANKS = 100
_SHOWN = 60
"""Characters of a wrong value that an error repeats."""


def point_pairs(points: Any) -> list[Point]:
    """1 to `MAX_POINTS` points; whether they lie in the image is for matching to say.

    Raises:
        SpherecorrError: too many, none, or no pairs of finite numbers.
    """
    if not isinstance(points, list | tuple):
        raise SpherecorrError("Points must be a list of [x, y] pairs of numbers.")
    if not 1 <= len(points) <= MAX_POINTS:
        raise SpherecorrError(f"Send 1 to {MAX_POINTS} points a call; got {len(points):,}.")
    return [_pair(point) for point in points]


def share(alpha: Any) -> float | None:
    """Alpha, or None for what the sphere recommends.

    Raises:
        SpherecorrError: no number from 0 to 1.
    """
    if alpha is None:
        return None
    if not _is_number(alpha) or not 0 <= alpha <= 1:
        raise SpherecorrError(f"alpha is the sphere's share and must lie between 0 and 1; got {_short(alpha)}.")
    return float(alpha)


def rank_count(k: Any) -> int:
    """How many ranked matches.

    Raises:
        SpherecorrError: no whole number from 1 to `MAX_RANKS`.
    """
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MAX_RANKS:
        raise SpherecorrError(
            f"k, the number of matches per point, must be a whole number from 1 to {MAX_RANKS}; got {_short(k)}."
        )
    return k


def preset_name(resolution: Any) -> Preset:
    """A resolution preset.

    Raises:
        SpherecorrError: any other value.
    """
    for preset in PRESETS:
        if preset == resolution:
            return preset
    raise SpherecorrError(f'Resolution is "fast", "balanced" or "fine"; got {_short(resolution)}.')


def switch(value: Any, name: str) -> bool:
    """True or false.

    Raises:
        SpherecorrError: any other value, such as "false" or 0.
    """
    if not isinstance(value, bool):
        raise SpherecorrError(f"{name} is true or false; got {_short(value)}.")
    return value


def choice(name: Any, offered: Sequence[str], what: str) -> str:
    """A name that the app's menu offers; "" is "".

    Only the menu's names are taken, so that a caller cannot make the app read folders or fetch from elsewhere.

    Raises:
        SpherecorrError: any other value.
    """
    if isinstance(name, str) and (not name or name in offered):
        return name
    raise SpherecorrError(f"Unknown {what} {_short(name)}. Choose one of: {', '.join(offered)}.")


def _pair(point: Any) -> Point:
    if not isinstance(point, list | tuple) or len(point) != 2 or not all(map(_is_number, point)):
        raise SpherecorrError("Points must be a list of [x, y] pairs of numbers.")
    return float(point[0]), float(point[1])


def _is_number(value: Any) -> bool:
    """Whether it is a number that a float can hold; NaN and infinities are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def _short(value: Any) -> str:
    if isinstance(value, list | dict):  # long ones need not be written out to be cut
        return "a list" if isinstance(value, list) else "an object"
    if isinstance(value, int) and value.bit_length() > 200:  # Python refuses to write very long ones
        return "a huge number"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

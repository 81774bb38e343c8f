"""The learning rate over a training."""

from __future__ import annotations

import math


def one_cycle(step: int, steps: int, warm_up: float, peak: float) -> float:
    """A learning rate that rises in a straight line to its peak, then falls to 0 along half a cosine.

    Args:
        step: counted from 0; the rate is that of its middle.
        steps: of the whole training.
        warm_up: share of the steps in which it rises, above 0 and below 1.
        peak: the highest rate.
    """
    done = (step + 0.5) / steps
    if done < warm_up:
        return peak * done / warm_up
    return peak * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up))) / 2

"""Random weights from a seed, without a trace in torch's global random generator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within it, torch's generator of the CPU begins at a seed; afterwards it is where it was before."""
    with torch.random.fork_rng(devices=[]):
        # Not `torch.manual_seed`, which would seed the GPUs too: new weights lie on the CPU.
        torch.default_generator.manual_seed(seed)
        yield

"""What moves the weights: AdamW, or Muon for the matrices inside the mapper's blocks and AdamW for all else.

Muon makes its steps orthogonal in bfloat16, which turns last bits of the gradients into larger differences: several
processes that share a batch come as near to one as that allows.
"""

from __future__ import annotations

import torch
from torch.optim import AdamW, Optimizer

from spherecorr.errors import SpherecorrError
from spherecorr.sphere.mapper import SphereMapper
from spherecorr.sphere.prototypes import Prototypes
from spherecorr.training.settings import TrainSettings

MUON_RATE = 5.0  # times AdamW's learning rate; measured in experiments/README.md


def make_optimisers(mapper: SphereMapper, prototypes: Prototypes, settings: TrainSettings) -> list[Optimizer]:
    """One optimiser, or two that share the parameters between them.

    Raises:
        SpherecorrError: Muon is asked for, and this torch has none.
    """
    parameters, decay = [*mapper.parameters(), *prototypes.parameters()], settings.weight_decay
    if settings.optimiser == "adamw":
        return [AdamW(parameters, weight_decay=decay, fused=True)]
    try:
        from torch.optim import Muon
    except ImportError as error:
        raise SpherecorrError(
            f"The optimiser 'muon' needs torch 2.9 or newer, and this is {torch.__version__}; update torch, or take "
            "'adamw'."
        ) from error
    matrices = [parameter for parameter in mapper.blocks.parameters() if parameter.ndim == 2]
    chosen = set(map(id, matrices))
    others = [parameter for parameter in parameters if id(parameter) not in chosen]
    muon = Muon(matrices, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
    return [muon, AdamW(others, weight_decay=decay, fused=True)]


def set_learning_rate(optimisers: list[Optimizer], rate: float) -> None:
    """Give all optimisers the rate of a step, Muon its multiple."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = rate if isinstance(optimiser, AdamW) else MUON_RATE * rate

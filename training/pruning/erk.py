"""Erdős-Rényi-Kernel: how dense each layer of a sparse network is, told by its shape alone.

A layer's density is proportional to the sum of its sides over their product, (C_out + C_in + K_h + K_w) by
(C_out · C_in · K_h · K_w): many zeros where there are many weights, few in small layers. Evci et al. 2020, Rigging the
Lottery, section 3, after Mocanu et al. 2018, whose Erdős-Rényi graphs do so for linear layers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sparsenet.errors import MaskError


def erk_densities(shapes: Mapping[str, Sequence[int]], keep: float) -> dict[str, float]:
    """Layer → density in [0, 1]; all layers together keep ``keep`` weights.

    ``shapes`` are those of the weights, (C_out, C_in / groups, …), none of them empty. A layer that would be more than
    dense is dense, and the others share what is left.

    Raises:
        MaskError: ``keep`` is negative, or more than the layers have.
    """
    total = sum(map(math.prod, shapes.values()))
    if not 0 <= keep <= total:
        raise MaskError(f"cannot keep {keep} weights: the chosen layers have {total}")
    densities: dict[str, float] = {}
    free = dict(shapes)
    while free:
        scale = keep / sum(map(sum, free.values()))
        wanted = {name: scale * sum(shape) / math.prod(shape) for name, shape in free.items()}
        full = [name for name, density in wanted.items() if density > 1]
        if not full:
            densities |= wanted
            break
        for name in full:
            densities[name] = 1.0
            keep -= math.prod(free.pop(name))
    return {name: densities[name] for name in shapes}

"""Whether channels that nobody needs stay, so that nonzero weights stay together in quads.

Integer kernels skip a quad, four zeros in a row along input channels (see ``graph.types.QUAD``). A network pruned in
1×4 blocks has its nonzeros in whole quads; one channel cut in front moves all behind it across their borders, and
twice as many quads have a nonzero. A channel that stays is nothing but zero weights, which cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.passes.quad_order import quads_used
from sparsenet.graph.types import QUAD

Kept = npt.NDArray[np.bool_]  # (C,) True: the channel stays
Weight = npt.NDArray[np.floating[Any]]
#: Nonzeros are in blocks if so many of the weights in quads that have one are none.
BLOCKS = 0.9


def whole_quads(kept: Kept, weights: Iterable[Weight], in_bytes: bool) -> Kept:
    """The channels to keep of a tensor: ``kept``, or the rest of their quads too where fewer quads are used so.

    Args:
        kept: (C,) what must stay.
        weights: (C_out, C, …) of the layers that read the tensor.
        in_bytes: whether these run in integers; if not yet, only weights that were pruned in blocks count.
    """
    touched = np.pad(kept, (0, -len(kept) % QUAD)).reshape(-1, QUAD).any(axis=1)
    whole: Kept = np.repeat(touched, QUAD)[: len(kept)]
    used = [uses(weight) for weight in weights]
    if (whole == kept).all() or not used:
        return kept
    places = np.concatenate(used, axis=1)
    as_whole = quads_used(places, np.flatnonzero(whole))
    if not in_bytes and places.sum() < BLOCKS * QUAD * as_whole:
        return kept
    return whole if as_whole < quads_used(places, np.flatnonzero(kept)) else kept


def uses(weight: Weight) -> npt.NDArray[np.bool_]:
    """(C_in, C_out * taps): where a weight of each input channel is not zero."""
    flat = weight.reshape(*weight.shape[:2], -1) != 0
    return flat.transpose(1, 0, 2).reshape(weight.shape[1], -1)

"""How fast a pruned network has to be, and what tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from converters import from_torch
from converters.pruning.timetable import LayerMs
from sparsenet.checks import flag, real_number, shown
from sparsenet.errors import MaskError
from sparsenet.graph import Graph


@dataclass(frozen=True)
class Deadline:
    """What an inference may take, for one sample on one thread.

    Attributes:
        ms: milliseconds; or
        speedup: by what those of the dense network are to be divided. Exactly one of the two.
        int8: whether both networks compute in 8-bit integers.
        layer_ms: what tells the milliseconds of each node of a network; None measures them on this machine.

    Raises:
        MaskError: one of them is something else.
    """

    ms: float | None
    speedup: float | None
    int8: bool = False
    layer_ms: LayerMs | None = None

    def __post_init__(self) -> None:
        if (self.ms is None) == (self.speedup is None):
            raise MaskError("scope 'latency' needs either ms or speedup, not both and not neither")
        if self.ms is not None:
            real_number(self.ms, "ms", above=True, error=MaskError)
        if self.speedup is not None:
            real_number(self.speedup, "speedup", 1.0, error=MaskError)
        flag(self.int8, "int8", MaskError)
        if self.layer_ms is not None and not callable(self.layer_ms):
            raise MaskError(f"layer_ms must be a function of a Graph, got {shown(self.layer_ms)}")


def exported(model: nn.Module, shape: Sequence[int] | None, allowed: Mapping[str, Tensor]) -> Graph:
    """The network as a graph, with the weights that may be kept.

    Args:
        model: any that can be converted.
        shape: of one sample.
        allowed: by parameter.

    Raises:
        MaskError: there is no shape.
        UnsupportedOpError, InputError: the network cannot be converted.
    """
    if shape is None:
        raise MaskError(
            "scope 'latency' times the network: give input_shape=(C, H, W), or batches to take it from"
        )
    return from_torch(model, torch.zeros(1, *shape), dict(allowed), optimize=False)

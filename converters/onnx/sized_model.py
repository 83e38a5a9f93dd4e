"""An ONNX model with a size for every dimension of its inputs: what one walk over it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from converters.symbolic.given_sizes import AllSizes

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class SizedModel:
    """A loaded model at some sizes.

    Attributes:
        proto: the model.
        name: what the graph is called.
        opset: version of the operators it is written in.
        lead: how many dimensions the graph's tensors have in front of the model's: 1 where its batch is fixed, else 0.
        sizes: of every input's dimensions, by the input's name.
    """

    proto: onnx.ModelProto
    name: str
    opset: int
    lead: int
    sizes: AllSizes

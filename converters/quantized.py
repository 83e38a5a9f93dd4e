"""Quantized tensors of a source network: the numbers that they stand for, with the grid as an annotation.

What a network rounds is kept as ``Graph.quantization``, not as arithmetic, so that the planner can compute in integers
where every tensor of a node has a grid, and need not round where none is read in integers. A rounding also limits its
numbers to a range, which exporters use in place of an activation (``relu6`` as the range 0 to 6): that stays, as a
``clip`` in the epilogue of what makes the tensor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from converters.builder import Act, GraphBuilder, Site
from converters.decompose.elementwise import binary, clip, scalar
from sparsenet.graph import Node
from sparsenet.graph.clamped_line import bounds_of
from sparsenet.graph.ops import ACTIVATIONS, OPS, as_step
from sparsenet.graph.quantization import LEAST_SCALE, MOST_SCALE, Quantization
from sparsenet.graph.types import FloatArray


@dataclass(frozen=True)
class Quantized(Act):
    """A tensor that the source network has as bytes; ``tensor`` holds the numbers that they stand for.

    Attributes:
        scale, zero_point: as the source has them.
        signed: whether its bytes are -128 to 127, not 0 to 255.
    """

    scale: float = 1.0
    zero_point: int = 0
    signed: bool = False

    @property
    def grid(self) -> Quantization:
        """The same numbers as unsigned bytes."""
        return Quantization.of_activations(self.scale, self.zero_point + (128 if self.signed else 0))

    def numbers(self, source: npt.ArrayLike) -> FloatArray:
        """The numbers that the source's bytes stand for."""
        return self.grid.numbers(np.asarray(source) + (128 if self.signed else 0))


def quantized(
    b: GraphBuilder, site: Site, x: Act, scale: float, zero_point: int, signed: bool
) -> Quantized | None:
    """``x`` as bytes, or None if it cannot be annotated so: its scale is none, or it has another grid already."""
    made = Quantized(x.tensor, float(scale), int(zero_point), signed)
    if type(x) is not Act or not LEAST_SCALE <= scale <= MOST_SCALE or not 0 <= made.grid.zero_point <= 255:
        return None
    known = b.rounded.setdefault(x.tensor, [])
    for other in known:
        if other.grid.same_grid(made.grid):
            return Quantized(other.tensor, made.scale, made.zero_point, signed)
    if known:
        return None
    limited = _limited(b, site, x, made.grid)
    made = Quantized(limited.tensor, made.scale, made.zero_point, signed)
    b.graph.quantization[made.tensor] = made.grid
    known.append(made)
    return made


def _limited(b: GraphBuilder, site: Site, x: Act, grid: Quantization) -> Act:
    """``x`` within the range of its grid, where the op that makes it can limit its results at no cost."""
    maker = b.maker(x.tensor)
    if maker is None or not (OPS[maker.op].epilogue or _is_limit(maker)):
        return x
    least, most = (float(number) for number in grid.numbers(grid.range))
    return b.node("clip", site.sub("range"), [x.tensor], {"min": least, "max": most})


def _is_limit(node: Node) -> bool:
    """Whether an op only limits numbers; a table of another function's results is within its grid anyway."""
    return node.op in ACTIVATIONS and bounds_of(as_step(node)) is not None


def as_integers(b: GraphBuilder, site: Site, x: Quantized) -> Act:
    """The bytes themselves, as numbers: for operators that compute with them."""
    steps = binary(b, site.sub("divided"), "div", Act(x.tensor), scalar(x.scale))
    rounded = b.node("round", site.sub("rounded"), [steps.tensor])
    shifted = binary(b, site.sub("shifted"), "add", rounded, scalar(float(x.zero_point)))
    return clip(b, site, shifted, *((-128, 127) if x.signed else (0, 255)))


def same_numbers(b: GraphBuilder, source: Quantized, x: Act) -> Quantized:
    """``x``, all of whose numbers are those of ``source``, as bytes of the same grid."""
    b.graph.quantization.setdefault(x.tensor, source.grid)
    return Quantized(x.tensor, source.scale, source.zero_point, source.signed)

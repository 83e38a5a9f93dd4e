"""The weights of a CPU's plan: packed constants, by their number in the block that the tapes point into."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.graph import FloatArray
from sparsenet.plan.layout import Rows
from sparsenet.plan.lowering.constants import Constants
from sparsenet.plan.ref import Ref, Word


@dataclass
class Weights(Constants[Ref]):
    """Collects constants; a candidate that is only measured adds constants of its own behind the existing ones."""

    constants: list[npt.NDArray[Any]] = field(default_factory=list, kw_only=True)
    _lane_bits: dict[Rows, Ref] = field(default_factory=dict, init=False)

    def _place(self, array: npt.NDArray[Any]) -> Ref:
        self.constants.append(array)
        return Ref("weights", len(self.constants) - 1)

    def padded_constant(self, vector: FloatArray, fill: float = 0.0) -> Ref:
        """A per-channel vector, padded so that whole vectors may be read from any of its elements."""
        out = np.full(vector.size + 64, fill, np.float32)
        out[: vector.size] = vector
        return self.constant(out)

    def lines(self, layout: Rows) -> dict[str, Word]:
        """The arguments that tell a kernel how its output's lines are laid out; all of ``_LINES`` but the height."""
        if layout not in self._lane_bits:
            self._lane_bits[layout] = self.constant(layout.lane_bits())
        return {
            "full_vectors": layout.full_vectors,
            "lane_bits": self._lane_bits[layout],
            "line_vectors": layout.line_vectors,
            "halo_vectors": layout.halo_vectors,
            "out_row": layout.row_bytes,
            "out_channel": layout.channel_bytes,
        }

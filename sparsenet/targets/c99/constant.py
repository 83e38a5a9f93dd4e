"""Constants of exported code: what is in flash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Constant:
    """An array in flash.

    Attributes:
        number: which one it is; its name is made of it.
        array: its numbers.
        layer: the node that it was made for.
    """

    number: int
    array: npt.NDArray[Any]
    layer: str

    @property
    def flat(self) -> npt.NDArray[Any]:
        """Its numbers in a row."""
        return np.ascontiguousarray(self.array).reshape(-1)


#: An argument that does not change from call to call.
Word = Constant | int | float

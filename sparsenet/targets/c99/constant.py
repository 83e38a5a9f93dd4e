"""Constants of exported code: what is in flash."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

#: Bytes of a word of the processors that code is exported for.
WORD = 4


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

    @cached_property
    def flat(self) -> npt.NDArray[Any]:
        """Its numbers in a row, in whole words."""
        return whole_words(self.array)


def whole_words(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The numbers of ``array`` in a row, zeros behind them up to a multiple of ``WORD`` bytes; one word at least.

    Such arrays follow each other without gaps: a section of them has as many bytes as they have together.
    """
    flat = array.reshape(-1)
    size = max(WORD, -(-flat.nbytes // WORD) * WORD)
    return np.pad(flat, (0, (size - flat.nbytes) // flat.itemsize))


#: An argument that does not change from call to call.
Word = Constant | int | float

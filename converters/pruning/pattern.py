"""Which weights may become zero together: any, blocks of input channels, or so many of every M."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from converters.pruning.columns import Columns
from sparsenet.checks import items, whole_number
from sparsenet.errors import InputError

BoolArray = npt.NDArray[np.bool_]
#: Columns that are decided on at once where nothing else says how many.
AT_ONCE = 128


@dataclass(frozen=True)
class Pattern:
    """Zeros of a weight.

    Attributes:
        block: so many consecutive input channels of an output and a tap live and die together. The last block of a row
            is what is left.
        kept, of: unless ``of`` is 0, ``kept`` of every ``of`` consecutive input channels of an output and a tap may
            differ from zero.
    """

    block: int = 1
    kept: int = 0
    of: int = 0

    @classmethod
    def parsed(cls, block: object, n_m: object) -> Pattern:
        """The pattern of the arguments ``block``, (1, channels), and ``n_m``, (N, M); each None if it is not given.

        Raises:
            InputError: one of them is something else, or both are given.
        """
        if block is not None and n_m is not None:
            raise InputError("block and n_m are two patterns: give one of them")
        if n_m is not None:
            pair = items(n_m, "n_m")
            if len(pair) != 2:
                raise InputError(f"n_m must be (N, M), for example (2, 4); got {n_m!r:.40}")
            of = whole_number(pair[1], "M of n_m", least=2)
            return cls(kept=whole_number(pair[0], "N of n_m", of - 1), of=of)
        if block is None:
            return cls()
        sides = items(block, "block")
        if len(sides) != 2 or sides[0] != 1:
            raise InputError(f"block must be (1, input channels), for example (1, 4); got {block!r:.40}")
        return cls(whole_number(sides[1], "the input channels of a block"))

    def starts(self, columns: Columns) -> list[int]:
        """The first column of every block, or of every ``of`` columns; taps are apart."""
        step = self.of or min(self.block, columns.channels)
        taps = range(0, columns.count, columns.channels)
        return [tap + start for tap in taps for start in range(0, columns.channels, step)]

    def spans(self, columns: Columns) -> list[tuple[int, int]]:
        """The columns that are decided on together, first and behind the last: whole blocks, or one group of N:M."""
        starts = [*self.starts(columns), columns.count]
        edges = [0]
        for start, end in itertools.pairwise(starts):
            if start > edges[-1] and (self.of or end - edges[-1] > AT_ONCE):
                edges.append(start)
        return list(zip(edges, [*edges[1:], columns.count], strict=True))

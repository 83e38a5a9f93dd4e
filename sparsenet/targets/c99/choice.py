"""Choosing kernels for all layers together: few instructions, but each other kernel is more code.

A layer may be computed in several ways, of which each has a kernel. Taken layer by layer the fastest way would make a
kernel for every width of a line; so kernels are left out again, the dearest first, as long as the instructions that the
layers without it take more are worth the code that is saved (the drop heuristic for facility location: Feldman, Lehrer
and Ray, Management Science 12(9), 1966).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sparsenet.targets.c99.constant import Word
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.stage import Stage

#: A statement of a kernel is about so many bytes, and so large a part of all instructions a byte of code is worth:
#: 1 kB as much as 1 %.
_STATEMENT_BYTES, _PART_PER_BYTE = 9, 1e-5


@dataclass(frozen=True, eq=False)
class Choice:
    """A stage whose kernel is to be chosen.

    Attributes:
        stage: whose kernel and arguments are still to be told.
        instructions: of a run, by each kernel that may do it.
        settle: what arguments the kernel is given, once it is chosen.
    """

    stage: Stage
    instructions: Mapping[Kernel, int]
    settle: Callable[[Kernel], Mapping[str, Word]]


def chosen(choices: Sequence[Choice]) -> list[Kernel]:
    """The kernel for each of ``choices``."""
    if not choices:
        return []
    costs = [choice.instructions for choice in choices]
    kernels = list(dict.fromkeys(min(cost, key=cost.__getitem__) for cost in costs))
    table = np.array([[cost.get(kernel, math.inf) for kernel in kernels] for cost in costs], np.float64)
    worth = _PART_PER_BYTE * table.min(axis=1).sum()
    code = [worth * _STATEMENT_BYTES * kernel.source().count(";") for kernel in kernels]
    while True:
        without = [
            np.delete(table, place, axis=1).min(axis=1, initial=math.inf).sum()
            for place in range(len(kernels))
        ]
        changes = np.array(without) - table.min(axis=1).sum() - code
        dearest = int(changes.argmin())
        if changes[dearest] >= 0:
            break
        table = np.delete(table, dearest, axis=1)
        del kernels[dearest], code[dearest]
    return [kernels[place] for place in table.argmin(axis=1)]

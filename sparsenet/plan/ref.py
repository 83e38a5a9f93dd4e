"""What a stage gives kernels before anything has an address: places in memory, integers and numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ref:
    """A place in memory: a space (weights, arena, ring, input, output), which one of it, a byte offset."""

    space: str
    index: int
    offset: int = 0

    def __add__(self, offset: int) -> Ref:
        return Ref(self.space, self.index, self.offset + offset)


#: What a kernel is given for a pointer, an integer or a number (see ``targets.family.Argument``).
Word = Ref | int | float

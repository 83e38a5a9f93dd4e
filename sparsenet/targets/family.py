"""What the registry says of a kernel family."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

Kind = Literal["pointer", "integer", "number"]


class Argument(NamedTuple):
    """One argument of a kernel.

    Attributes:
        name: by which the planner gives it and the kernel reads it.
        kind: an address, an int64 or a float32.
    """

    name: str
    kind: Kind


def signature(text: str) -> tuple[Argument, ...]:
    """Arguments as the tables write them: ``*x`` is a pointer, ``eps:f32`` a number, ``rows`` an integer."""
    return tuple(map(_argument, text.split()))


def _argument(word: str) -> Argument:
    if word.startswith("*"):
        return Argument(word[1:], "pointer")
    name, _, kind = word.partition(":")
    return Argument(name, "number" if kind == "f32" else "integer")


@dataclass(frozen=True)
class Family:
    """One algorithm.

    Attributes:
        module: target and file of its ``kernels``, as ``cpu.softmax``, whose ``build(kernel)`` returns the Numba
            cfunc, or for a GPU the function that ``simt.machine.entry`` makes a kernel.
        declared: the arguments in order, as ``signature`` reads them; those of the epilogue follow. A CUDA kernel's are
            its int64 parameters, between the three arrays and what the epilogue reads.
        tile: names of the tile parameters, in the order of the name's last word.
        summary: what it computes, for the support table.
    """

    module: str
    declared: str
    tile: tuple[str, ...]
    summary: str

    @cached_property
    def signature(self) -> tuple[Argument, ...]:
        """The arguments in order, without the epilogue's."""
        return signature(self.declared)

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(argument.name for argument in self.signature)

"""What the registry says of a kernel family."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from sparsenet.graph.types import ElementType

Kind = Literal["pointer", "integer", "number"]


class Argument(NamedTuple):
    """One argument of a kernel.

    Attributes:
        name: by which the planner gives it and the kernel reads it.
        kind: an address, an int64 or a float32.
    """

    name: str
    kind: Kind


#: What may stand behind a name and a colon; a name without is an int64.
_NUMBERS: dict[str, Kind] = {"": "integer", "f32": "number"}


def signature(text: str) -> tuple[Argument, ...]:
    """Arguments as the tables write them: ``*x`` is a pointer, ``eps:f32`` a number, ``rows`` an integer.

    Raises:
        ValueError: another type of number is written, or a name that none can be.
    """
    return tuple(map(_argument, text.split()))


def _argument(word: str) -> Argument:
    name, colon, kind = word.partition(":")
    pointer, name = name.startswith("*"), name.removeprefix("*")
    if not name.isidentifier() or (kind not in _NUMBERS) or (colon and (pointer or not kind)):
        raise ValueError(f"'{word}' declares no argument: write '*name', 'name' or 'name:f32'")
    return Argument(name, "pointer" if pointer else _NUMBERS[kind])


@dataclass(frozen=True)
class Family:
    """One algorithm, for one element type.

    Attributes:
        element: the type of the tensor that it makes; of others that it reads, the kernel knows.
        operation: what it does, by which weights and in which layout, as ``conv_csr_rows``.
        module: target and file of its ``kernels``, as ``cpu.softmax``, whose ``build(kernel)`` returns the Numba
            cfunc, or for a GPU the function that ``simt.machine.entry`` makes a kernel.
        declared: the arguments in order, as ``signature`` reads them; those of the epilogue follow. A CUDA kernel's are
            its int64 parameters, between the three arrays and what the epilogue reads.
        tile: names of the tile parameters, in the order of the name's last word.
        summary: what it computes, for the support table.
    """

    element: ElementType
    operation: str
    module: str
    declared: str
    tile: tuple[str, ...]
    summary: str

    @cached_property
    def name(self) -> str:
        """Key of the registry's table, as ``f32_conv_csr_rows``."""
        return f"{self.element}_{self.operation}"

    @cached_property
    def signature(self) -> tuple[Argument, ...]:
        """The arguments in order, without the epilogue's."""
        return signature(self.declared)

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(argument.name for argument in self.signature)


def by_name(*families: Family) -> dict[str, Family]:
    """A table of families."""
    return {family.name: family for family in families}

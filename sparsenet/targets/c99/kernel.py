"""Kernels in C: a family with its parameters fixed, printed as one function and the struct of its arguments."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from functools import cached_property

from sparsenet.graph.types import F32, I8, I32, U8, U8X4, U16
from sparsenet.targets.c99 import epilogue
from sparsenet.targets.c99.families import FAMILIES
from sparsenet.targets.family import Argument, Family

#: Element type → its type in C.
C_TYPES = {F32: "float", I8: "int8_t", I32: "int32_t", U8: "uint8_t", U8X4: "uint32_t", U16: "uint16_t"}
_BY_NAME = {str(element): name for element, name in C_TYPES.items()}
#: Kind of an argument that is no pointer → its type in C.
_NUMBERS = {"integer": "uint32_t", "number": "float"}


@dataclass(frozen=True)
class Kernel:
    """A family with its parameters fixed.

    Attributes:
        family_name: key of ``FAMILIES``.
        tile: values of the family's tile parameters.
        fused: fused ops in execution order.
    """

    family_name: str
    tile: tuple[int, ...] = ()
    fused: tuple[str, ...] = ()

    @property
    def family(self) -> Family:
        """The family."""
        return FAMILIES[self.family_name]

    @cached_property
    def name(self) -> str:
        """The function's name without the prefix of the network: ``f32_conv_csr_rows_relu_24x1``."""
        tile = "x".join(map(str, self.tile))
        return "_".join([self.family_name, *self.fused, *([tile] if tile else [])])

    @cached_property
    def signature(self) -> list[Argument]:
        """The arguments that do not change from call to call, in order; those of fused ops carry their step."""
        arguments = list(self.family.signature)
        for step, op in enumerate(self.fused):
            arguments += [a._replace(name=f"{a.name}_{step}") for a in epilogue.ARGUMENTS[op]]
        return arguments

    def parameter(self, name: str) -> int:
        """Value of a tile parameter."""
        return self.tile[self.family.tile.index(name)]

    def declaration(self, argument: Argument) -> str:
        """The member of the struct: a type in C and the name."""
        if argument.kind == "pointer":
            return f"const {_BY_NAME[argument.pointee or str(self.family.element)]} *{argument.name}"
        return f"{_NUMBERS[argument.kind]} {argument.name}"

    @cached_property
    def body(self) -> str:
        """The statements of the function."""
        module = importlib.import_module(f"sparsenet.targets.c99.kernels.{self.family.module}")
        return "\n".join(module.body(self))

    @cached_property
    def members(self) -> list[Argument]:
        """The arguments that the statements read, at least one: parameters may leave some without a use."""
        read = set(re.findall(r"\ba->(\w+)", self.body))
        return [argument for argument in self.signature if argument.name in read] or self.signature[:1]

    def source(self) -> str:
        """The struct of its arguments and the function, with ``@`` where the prefix of the network goes."""
        members = "".join(f"    {self.declaration(argument)};\n" for argument in self.members)
        return (
            f"/* {self.family.summary} */\n"
            f"typedef struct {{\n{members}}} @{self.name}_args;\n\n"
            f"static void @{self.name}(const void *arguments, const void **rows, void *out_row, uint32_t y)\n{{\n"
            f"    const @{self.name}_args *a = (const @{self.name}_args *)arguments;\n{self.body}\n}}\n"
        )

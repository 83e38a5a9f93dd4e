"""Every kernel, once: the table that drives dispatch, tests, benchmarks and the documents' support list.

A *family* is an algorithm in one file of ``cpu/`` or ``cuda/``; a *kernel* is a family with its parameters fixed,
known by name::

    f32_conv_csr_rows_add_relu__cpu_v16_1x4
    element-type op weight-format layout epilogue... target lanes tile      (a bias is part of every conv and linear)

Nothing here imports Numba: a warm start loads machine code by name alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from sparsenet.graph.ops import ACTIVATIONS, FUSED_OP_TENSORS
from sparsenet.graph.types import ELEMENT_TYPES, ElementType
from sparsenet.tables import Table
from sparsenet.targets.cpu.families import CPU_FAMILIES
from sparsenet.targets.cpu.runtime import jit
from sparsenet.targets.cuda.families import CUDA_FAMILIES
from sparsenet.targets.family import Argument, Family, signature, source_hash

#: Fused op → the tape arguments it reads; activations read their parameters.
EPILOGUE_ARGUMENTS: dict[str, tuple[Argument, ...]] = {
    **{
        op: signature(
            " ".join(
                f"*{t.name}:f32" if t.per_channel else f"*{t.name} {t.name}_row {t.name}_channel"
                for t in tensors
            )
        )
        for op, tensors in FUSED_OP_TENSORS.items()
    },
    **{
        op: tuple(Argument(name, "number") for name in activation.parameters)
        for op, activation in ACTIVATIONS.items()
    },
}

#: The same for kernels that make integers: what was added has a scale and a zero point of its own, and activations that
#: clip are bounds, which these kernels have anyway.
INTEGER_EPILOGUE_ARGUMENTS = {
    "add": signature("*residual residual_row residual_channel residual_scale:f32 residual_zero"),
    "leaky_relu": EPILOGUE_ARGUMENTS["leaky_relu"],
}

#: How ``f32_transpose_none_any`` makes a line: one number repeated; contiguous numbers; every second number; numbers at
#: any stride; square tiles transposed, where neighbouring lines are neighbours in the source.
TRANSPOSE_WAYS = ("broadcast", "contiguous", "stride_2", "strided", "transposed")
#: What the `broadcast` and `reduce` families compute, by the number of their tile parameter.
BROADCAST_OPERATIONS = (
    "add",
    "sub",
    "mul",
    "div",
    "pow",
    "maximum",
    "minimum",
    "greater",
    "less",
    "equal",
)
REDUCE_OPERATIONS = ("sum", "max", "min", "prod")

FAMILIES: Table[Family] = Table.joined(CPU_FAMILIES, CUDA_FAMILIES)


@dataclass(frozen=True)
class Kernel:
    """A family with its parameters fixed.

    Attributes:
        family: key of ``FAMILIES``.
        lanes: numbers per vector on a CPU (16, 8 or 4 float32), or per load of a GPU's thread (4, 2 or 1).
        tile: values of the family's tile parameters.
        epilogue: fused ops in execution order (see ``EPILOGUE_ARGUMENTS``).
    """

    family: str
    lanes: int
    tile: tuple[int, ...] = ()
    epilogue: tuple[str, ...] = field(default=())

    @cached_property
    def name(self) -> str:
        """The kernel's name: registry key, benchmark id and profile entry."""
        parts = [self.family, *self.epilogue]
        tile = "x".join(map(str, self.tile))
        return "_".join(parts) + f"__{self.target}_v{self.lanes}" + (f"_{tile}" if tile else "")

    @cached_property
    def code_name(self) -> str:
        """What its machine code is kept under: its name; of a kernel from elsewhere the hash of its source, too."""
        build = FAMILIES[self.family].build
        return self.name if build is None else f"{self.name}_{source_hash(build)}"

    @property
    def algorithm(self) -> str:
        """The family without its element type, such as ``conv_csr_rows``."""
        return FAMILIES[self.family].algorithm

    @property
    def target(self) -> str:
        """What the kernel runs on: ``cpu`` or ``cuda``."""
        return FAMILIES[self.family].module.partition(".")[0]

    @property
    def element(self) -> ElementType:
        """The type of the elements that the kernel makes."""
        return FAMILIES[self.family].element

    @cached_property
    def signature(self) -> list[Argument]:
        """The tape arguments in order; the name of an epilogue's carries its step's index, as ``scale.1``."""
        arguments = list(FAMILIES[self.family].signature)
        known = EPILOGUE_ARGUMENTS if self.element.is_float else INTEGER_EPILOGUE_ARGUMENTS
        for step, op in enumerate(self.epilogue):
            arguments += [a._replace(name=f"{a.name}.{step}") for a in known[op]]
        return arguments

    def pointee(self, argument: Argument) -> ElementType | None:
        """The type of the array that a pointer is to; None if it holds several, or is not a pointer."""
        if argument.kind != "pointer":
            return None
        return ELEMENT_TYPES.get(argument.pointee) if argument.pointee else self.element

    @cached_property
    def arguments(self) -> list[str]:
        """The names of the tape arguments, in order."""
        return [argument.name for argument in self.signature]

    def parameter(self, name: str) -> int:
        """Value of a tile parameter by name."""
        return self.tile[FAMILIES[self.family].tile.index(name)]

    def with_parameter(self, name: str, value: int) -> Kernel:
        """The same kernel with another value of one tile parameter."""
        index = FAMILIES[self.family].tile.index(name)
        return replace(self, tile=(*self.tile[:index], value, *self.tile[index + 1 :]))

    def address(self) -> int:
        """Address of the machine code, compiled or loaded now if it was not yet."""
        return jit.function_address(self.code_name, self.build)

    def build(self) -> object:
        """Compile: returns the Numba ``cfunc``, or for a GPU the kernel as a Python function."""
        family = FAMILIES[self.family]
        if family.build is not None:
            return family.build(self)
        target, _, name = family.module.partition(".")
        module = importlib.import_module(f"sparsenet.targets.{target}.kernels.{name}")
        return module.build(self)


def addresses_of(kernels: Iterable[Kernel]) -> dict[str, int]:
    """Address of the machine code of every kernel by its name, compiled or loaded now, together, if it was not yet."""
    kernels = list(kernels)
    addresses = jit.function_addresses({kernel.code_name: kernel.build for kernel in kernels})
    return {kernel.name: address for kernel, address in zip(kernels, addresses, strict=True)}


def support_table() -> Sequence[tuple[str, str]]:
    """``(family, summary)`` of every kernel family, for docs/kernels.md."""
    return [(name, family.summary) for name, family in FAMILIES.items()]

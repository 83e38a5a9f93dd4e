"""What a plan is made for: the facts of a machine that planning depends on, as plain values.

The planner reads nothing from the machine that it runs on: a plan for any target is made on any machine.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import NamedTuple

from sparsenet.graph.types import F32, ElementType
from sparsenet.targets.family import Dot
from sparsenet.targets.registry import Kernel

#: Bytes of the shortest vector that kernels are made for.
SHORTEST_VECTOR = 16


class Vector(NamedTuple):
    """Vectors of one element type.

    Attributes:
        element: type of the elements.
        lanes: elements of a vector.
    """

    element: ElementType
    lanes: int

    def __hash__(self) -> int:  # layouts are looked up often
        return hash((self.element.name, self.lanes))

    def fitting(self, width: int) -> Vector:
        """The longest vector up to this one that lines of ``width`` elements leave no more than half empty."""
        lanes = self.lanes
        while lanes * self.element.itemsize > SHORTEST_VECTOR and width <= lanes // 2:
            lanes //= 2
        return self._replace(lanes=lanes)

    def kernel(self, algorithm: str, tile: Sequence[int] = (), epilogue: tuple[str, ...] = ()) -> Kernel:
        """The kernel of this element type and vector length; ``algorithm`` as in ``Kernel.algorithm``."""
        return Kernel(f"{self.element}_{algorithm}", self.lanes, tuple(tile), epilogue)


@dataclass(frozen=True)
class Target:
    """A kind of machine.

    Attributes:
        name: for people and the command line.
        instruction_set: instruction set of its machine code, as ``platform.machine`` names it; "" for any.
        features: what a CPU must have to run as fast as the plan expects, in LLVM's spelling.
        vector_bytes: bytes of the longest vector that is computed at full rate.
        registers: vector registers that a kernel's tile may fill.
        l1_bytes: the first-level data cache of a core.
        l2_bytes: the second-level cache of a core; many servers have 1 MB.
        whole_map_bytes: a map smaller than this stays in L2 until the next layer has read it.
        streamed_weight_bytes: weights that are read again for every row that streams by leave L2 room for the rows.
        elements: element types that there are kernels for.
        dot: its best instruction for products of quads.
        lowering: the module that tells how ops become stages (see ``sparsenet.plan.lowering.tables``).
    """

    name: str
    instruction_set: str
    features: frozenset[str]
    vector_bytes: int
    registers: int
    l1_bytes: int = 48 * 1024
    l2_bytes: int = 1024 * 1024
    whole_map_bytes: int = 768 * 1024
    streamed_weight_bytes: int = 768 * 1024
    elements: tuple[ElementType, ...] = (F32,)
    dot: Dot = Dot.PLAIN
    lowering: str = "sparsenet.targets.cpu.lower"

    def __hash__(self) -> int:
        return hash(self.name)

    def vector(self, element: ElementType = F32) -> Vector:
        """The longest vector of this element type."""
        return Vector(element, self.vector_bytes // element.itemsize)


_AVX512 = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl"})
AVX512VNNI = Target("avx512vnni", "x86_64", _AVX512 | {"avx512vnni"}, 64, 32, dot=Dot.VNNI)
AVX512 = Target("avx512", "x86_64", _AVX512, 64, 32, dot=Dot.WORDS)
AVXVNNI = Target("avxvnni", "x86_64", frozenset({"avx2", "fma", "avxvnni"}), 32, 16, dot=Dot.VNNI)
AVX2 = Target("avx2", "x86_64", frozenset({"avx2", "fma"}), 32, 16, dot=Dot.WORDS)
SSE = Target("sse", "x86_64", frozenset({"sse2"}), 16, 16, dot=Dot.WORDS)
#: Boards have smaller caches: these are a Cortex-A72's, half of its second level, which other cores use too.
NEON = Target(
    "neon",
    "aarch64",
    frozenset({"neon"}),
    16,
    32,
    32 * 1024,
    512 * 1024,
    384 * 1024,
    384 * 1024,
    dot=Dot.SMULL,
)
NEON_DOTPROD = replace(NEON, name="neon-dotprod", features=NEON.features | {"dotprod"}, dot=Dot.SDOT)
NEON_I8MM = replace(NEON, name="neon-i8mm", features=NEON.features | {"i8mm"}, dot=Dot.USDOT)
GENERIC = Target("generic", "", frozenset(), 16, 16)

#: Targets by name; of those that a CPU can be, the first is the best.
TARGETS = {
    target.name: target
    for target in (
        AVX512VNNI,
        AVX512,
        AVXVNNI,
        AVX2,
        SSE,
        NEON_I8MM,
        NEON_DOTPROD,
        NEON,
        GENERIC,
    )
}


def best(features: Set[str], lanes: int) -> Target:
    """The best target of those whose features are among ``features`` and whose vectors have at most ``lanes`` lanes."""
    return next(t for t in TARGETS.values() if t.features <= features and t.vector().lanes <= lanes)

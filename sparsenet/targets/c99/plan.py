"""The plan of exported code: all that its source is printed from."""

from __future__ import annotations

from dataclasses import dataclass

from sparsenet.graph import TensorInfo
from sparsenet.plan.plan import Decision
from sparsenet.targets.c99.builder import Options
from sparsenet.targets.c99.constant import Constant
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.stage import Stage
from sparsenet.targets.c99.value import Value, is_image


@dataclass(frozen=True)
class Count:
    """How many elements of an axis of some results are valid, which a run tells.

    Attributes:
        tensor: that holds the number.
        most: all that there is room for.
        results: of every such result the number among the outputs.
    """

    tensor: str
    most: int
    results: list[int]


@dataclass(frozen=True)
class CPlan:
    """A network as C code will run it.

    Attributes:
        stages: typed calls, each done once for every one of its units.
        order: of all calls in order the number of their stage.
        values: what the stages make, in their order.
        arena_bytes: working memory of a run.
        constants: what is in flash, in the order of the stages.
        inputs, outputs: the caller's arrays.
        counts: one number each behind the outputs, where only the first elements of an axis of a result are valid.
        decisions: what was chosen for each node, and why.
        options: what was asked for.
    """

    stages: list[Stage]
    order: list[int]
    values: list[Value]
    arena_bytes: int
    constants: list[Constant]
    inputs: list[TensorInfo]
    outputs: list[TensorInfo]
    counts: list[Count]
    decisions: list[Decision]
    options: Options

    @property
    def kernels(self) -> list[Kernel]:
        """Every kernel in use, once."""
        return list(dict.fromkeys(stage.kernel for stage in self.stages))

    @property
    def is_mixed(self) -> bool:
        """Whether some layers with weights are computed in integers, and others in float32."""
        weighted = [decision.format.startswith("int8") for decision in self.decisions if decision.weights]
        return any(weighted) and not all(weighted)

    @property
    def maps(self) -> list[Value]:
        """The values in the arena."""
        return [
            value
            for value in self.values
            if value.output is None and value.fixed is None and value.viewed is None
        ]

    @property
    def by_rows(self) -> Stage | None:
        """The stage that takes the caller's image row by row, if that is the only input."""
        takers = [stage for stage in self.stages if stage.input is not None]
        alone = len(self.inputs) == 1 and bool(takers)
        return takers[0] if alone and is_image([int(d or 1) for d in self.inputs[0].shape[1:]]) else None

    def bytes_of(self, layer: str) -> int:
        """Bytes of the constants of one node."""
        return sum(constant.flat.nbytes for constant in self.constants if constant.layer == layer)

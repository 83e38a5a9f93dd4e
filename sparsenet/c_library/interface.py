"""What a C library offers, as names and sizes: the facts that the header, the test program and the documents share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from sparsenet.c_library.program import arena_bytes
from sparsenet.graph import TensorInfo
from sparsenet.graph.feeds import image_shape
from sparsenet.plan.plan import Plan
from sparsenet.text.c_names import parameter_names


@dataclass(frozen=True)
class Tensor:
    """An input or output of ``run``.

    Attributes:
        name: of the parameter.
        macro: the beginning of the names of its sizes.
        info: the tensor in the graph.
        counted_by: of an output of dynamic length, the parameter that gets the length.
    """

    name: str
    macro: str
    info: TensorInfo
    counted_by: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of one image."""
        return image_shape(self.info)

    @property
    def size(self) -> int:
        """Numbers of one image."""
        return prod(self.shape)


@dataclass(frozen=True)
class Interface:
    """The library ``name`` of a network.

    Attributes:
        name: what every name begins with.
        title: what it is, for people.
        notes: what the model says of its numbers, likewise.
        inputs, outputs: in the order of the parameters of ``run``; outputs of which only the first elements are valid
            are followed by those that count them.
        arena_bytes: working memory.
    """

    name: str
    title: str
    notes: Sequence[str]
    inputs: list[Tensor]
    outputs: list[Tensor]
    arena_bytes: int

    @property
    def macro(self) -> str:
        """What every macro begins with."""
        return self.name.upper()

    @classmethod
    def of(cls, plan: Plan, name: str, title: str, notes: Sequence[str] = ()) -> Interface:
        """The interface of ``plan``."""
        infos = [*plan.inputs, *plan.outputs]
        results = parameter_names("output", [info.name for info in plan.outputs])
        words = [*parameter_names("input", [info.name for info in plan.inputs]), *results]
        by_name = {info.name: word for info, word in zip(plan.outputs, results, strict=True)}
        tensors = [
            Tensor(word, f"{name}_{word}".upper(), info, by_name[info.partial.count] if info.partial else "")
            for info, word in zip(infos, words, strict=True)
        ]
        return cls(
            name, title, notes, tensors[: len(plan.inputs)], tensors[len(plan.inputs) :], arena_bytes(plan)
        )

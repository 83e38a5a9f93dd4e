"""What the functions and files of an exported network are called, and the arrays that they take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

from sparsenet.graph import TensorInfo
from sparsenet.targets.c99.plan import CPlan
from sparsenet.targets.c99.value import is_image, map_shape
from sparsenet.text.c_names import parameter_names


@dataclass(frozen=True)
class Port:
    """One of the caller's arrays.

    Attributes:
        word: its name in C.
        tensor: its name in the graph.
        shape: of one image.
        c_type: of its numbers.
        note: what else there is to say of it.
    """

    word: str
    tensor: str
    shape: tuple[int, ...]
    c_type: str
    note: str = ""

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return prod(self.shape)

    @property
    def is_image(self) -> bool:
        """Whether it is an image."""
        return is_image(self.shape)

    @property
    def image(self) -> tuple[int, int, int]:
        """(channels, height, width); see ``value.map_shape``."""
        return map_shape(self.shape)

    @property
    def shape_text(self) -> str:
        """The shape for people."""
        return " x ".join(map(str, self.shape)) or "1"


@dataclass(frozen=True)
class Names:
    """Names for one network: ``face_`` before functions and types, ``FACE_`` before macros."""

    name: str
    plan: CPlan

    @property
    def upper(self) -> str:
        """The name in macros."""
        return self.name.upper()

    @cached_property
    def inputs(self) -> list[Port]:
        """The arrays that the caller gives."""
        return _ports("input", self.plan.inputs, "uint8_t" if self.plan.options.u8 else "float")

    @cached_property
    def outputs(self) -> list[Port]:
        """The arrays that the caller wants filled."""
        notes = {
            number: f"valid are the first *{port.word} of axis {_axis(self.plan.outputs[number])}"
            for port, count in zip(self.counts, self.plan.counts, strict=True)
            for number in count.results
        }
        ports = _ports("output", self.plan.outputs, "float")
        return [replace(port, note=notes.get(number, "")) for number, port in enumerate(ports)]

    @cached_property
    def counts(self) -> list[Port]:
        """The numbers that tell the caller how much of those is valid."""
        firsts = [TensorInfo(self.plan.outputs[count.results[0]].name, (None,)) for count in self.plan.counts]
        notes = [f"from 0 to {count.most}" for count in self.plan.counts]
        ports = _ports("count", firsts, "int32_t")
        return [replace(port, note=note) for port, note in zip(ports, notes, strict=True)]

    @cached_property
    def results(self) -> list[Port]:
        """All that is written for the caller."""
        return [*self.outputs, *self.counts]

    def fill(self, text: str) -> str:
        """``text`` with the prefixes in place of ``@`` and ``$``."""
        return text.replace("@", f"{self.name}_").replace("$", f"{self.upper}_")


def _ports(kind: str, infos: list[TensorInfo], c_type: str) -> list[Port]:
    words = parameter_names(kind, [info.name for info in infos])
    return [
        Port(word, info.name, tuple(int(d or 1) for d in info.shape[1:]), c_type)
        for word, info in zip(words, infos, strict=True)
    ]


def _axis(info: TensorInfo) -> int:
    """The axis of one image's result of which only the first elements are valid."""
    assert info.partial is not None
    return info.partial.axis - 1

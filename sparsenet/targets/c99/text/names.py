"""What the functions and files of an exported network are called, and the arrays that they take."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from math import prod

from sparsenet.graph import TensorInfo
from sparsenet.targets.c99.plan import CPlan
from sparsenet.text.c_names import is_name


@dataclass(frozen=True)
class Port:
    """One of the caller's arrays.

    Attributes:
        word: its name in C.
        tensor: its name in the graph.
        shape: of one image.
        c_type: of its numbers.
    """

    word: str
    tensor: str
    shape: tuple[int, ...]
    c_type: str

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return prod(self.shape)

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
        return _ports("output", self.plan.outputs, "float")

    def fill(self, text: str) -> str:
        """``text`` with the prefixes in place of ``@`` and ``$``."""
        return text.replace("@", f"{self.name}_").replace("$", f"{self.upper}_")


def _ports(kind: str, infos: list[TensorInfo], c_type: str) -> list[Port]:
    ports: list[Port] = []
    for info in infos:
        word = kind
        if len(infos) > 1:
            word = f"{kind}_{re.sub(r'[^a-z0-9]+', '_', info.name.lower()).strip('_')}"[:40]
            if not is_name(word) or any(port.word == word for port in ports):
                word = f"{kind}_{len(ports)}"
        ports.append(Port(word, info.name, tuple(int(d or 1) for d in info.shape[1:]), c_type))
    return ports

"""What a node's fused epilogue reads, as kernels take it."""

from __future__ import annotations

from sparsenet.graph import Node
from sparsenet.graph.ops import split_inputs
from sparsenet.targets.cuda.builder import Builder, Epilogue, NoKernelError, Value


def epilogue_of(builder: Builder, node: Node, out: Value, start: Epilogue | None = None) -> Epilogue:
    """The epilogue of ``node``, whose result is ``out``, after the words of ``start``."""
    epilogue = start or Epilogue()
    tensors = iter(split_inputs(node)[1])
    for word, *numbers in node.epilogue:
        if word == "affine":
            scale, shift = (builder.graph.constants[next(tensors)] for _ in range(2))
            add_affine(builder, epilogue, scale, shift)
        elif word == "add":
            add_residual(epilogue, builder.get(next(tensors)), out)
        else:
            epilogue.words.append(word)
            epilogue.numbers += numbers
    return epilogue


def add_affine(builder: Builder, epilogue: Epilogue, scale: object, shift: object) -> None:
    """Append a scale and a shift per channel."""
    epilogue.words.append("affine")
    epilogue.tensors += [builder.weights.add(scale), builder.weights.add(shift)]  # type: ignore[arg-type]


def add_residual(epilogue: Epilogue, residual: Value, out: Value) -> None:
    """Append the sum with ``residual``, which must lie as ``out`` does."""
    if residual.layout is None or not residual.layout.lies_like(out.maps):
        raise NoKernelError("it adds a constant in its epilogue")
    epilogue.words.append("add")
    epilogue.tensors += [residual, residual.layout.pitch]

"""Epilogues: what the fused steps of a node read, as kernels take it."""

from __future__ import annotations

from sparsenet.graph import Node
from sparsenet.plan.lowering.epilogue import FusedStep, fused_steps
from sparsenet.targets.cuda.builder import Builder, Epilogue, NoKernelError, Value


def epilogue_of(builder: Builder, node: Node, out: Value, first: FusedStep | None = None) -> Epilogue:
    """The epilogue of ``node``, whose result is ``out``, behind the step ``first``."""
    epilogue = Epilogue()
    for step in [*([first] if first else []), *fused_steps(builder.graph, node)]:
        epilogue.ops += (step.op,)
        epilogue.numbers += step.numbers
        epilogue.tensors += map(builder.constant, step.vectors)
        for tensor in step.tensors:
            residual = builder.get(tensor)
            if residual.layout is None or not residual.layout.lies_like(out.maps):
                raise NoKernelError("it adds a constant in its epilogue")
            epilogue.tensors += [residual, residual.layout.pitch]
    return epilogue

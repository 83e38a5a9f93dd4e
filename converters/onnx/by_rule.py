"""Nodes of constants by the importer's own rules: where onnx has no evaluation, or one that ignores the opset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from converters.builder import Act, Const, GraphBuilder
from converters.onnx.call import Call, Rule
from sparsenet import reference

#: Operators that onnx evaluates as its newest opset says, whatever the model's, or with numbers other than specified.
PREFERRED = frozenset({
    "Softmax", "LogSoftmax", "Hardmax", "Resize", "Upsample", "BatchNormalization", "LpPool", "GlobalLpPool", "LRN",
    "Pad",
})  # fmt: skip


def takes(inputs: Sequence[object], kinds: str = "f") -> bool:
    """Whether the first input is one that a graph can have: numbers of these NumPy kinds, and at least one of them."""
    first = inputs[0] if inputs else None
    if not isinstance(first, Const) or first.array.dtype.kind not in kinds:
        return False
    return first.array.ndim > 0 and first.array.size > 0


def evaluate(rule: Rule, call: Call) -> list[Const]:
    """Results of ``call``, whose inputs are all constants, through a graph of its own.

    Raises:
        Unsupported: the rule refuses its inputs.
        GraphError: the inputs do not fit the rule.
    """
    first = call.inputs[0]
    assert isinstance(first, Const)
    builder = GraphBuilder(call.site.name)
    x = builder.input("x", (None, *first.array.shape))
    result = rule(replace(call, b=builder, inputs=[x, *call.inputs[1:]], lead=1, static_batch=None))
    results = list(result) if isinstance(result, Sequence) else [result]
    acts = [(f"y{i}", value) for i, value in enumerate(results) if isinstance(value, Act)]
    if not acts:
        return [value for value in results if isinstance(value, Const)]
    graph, _ = builder.finish(acts)
    made = reference.run(graph, {"x": first.array.astype(np.float32)[None]})
    return [
        Const(made[f"y{i}"][0].astype(np.float32)) if isinstance(value, Act) else value
        for i, value in enumerate(results)
        if isinstance(value, Act | Const)
    ]

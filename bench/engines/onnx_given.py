"""A quantized ONNX file that the user brought, with a number for every size of its input."""

from __future__ import annotations

from pathlib import Path

import onnx

from sparsenet.errors import InputError


def with_sizes(source: Path, target: Path, sizes: list[int]) -> Path:
    """``source`` if its input has these sizes, else ``target``, to which it is written with open sizes filled in.

    Engines plan worse for sizes that they do not know.

    Raises:
        InputError: the file has another size.
    """
    model = onnx.load(source)
    held = {tensor.name for tensor in model.graph.initializer}
    (given,) = (tensor for tensor in model.graph.input if tensor.name not in held)
    dims = given.type.tensor_type.shape.dim
    has = [dim.dim_value or None for dim in dims]
    if len(has) != len(sizes) or any(a not in (None, b) for a, b in zip(has, sizes, strict=True)):
        raise InputError(f"{source} is quantized for an input of {has}, not of {sizes}")
    if has == sizes:
        return source
    for dim, size in zip(dims, sizes, strict=True):
        dim.dim_value = size
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    onnx.save(onnx.shape_inference.infer_shapes(model), target)
    return target

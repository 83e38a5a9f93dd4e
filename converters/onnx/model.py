"""The contents of a ModelProto as plain values: opset, inputs, constants, attributes, inferred shapes and types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from converters.builder import Const, Unsupported
from converters.onnx.isolated import infer_shapes
from converters.onnx.load import sparse_tensor_array, tensor_array
from converters.symbolic.given_sizes import AllSizes, Declared, Sizes, advice
from sparsenet.errors import InputError, MaskError, UnsupportedOpError
from sparsenet.graph import Shape

if TYPE_CHECKING:
    import onnx

OLDEST_OPSET, NEWEST_OPSET = 7, 28
#: The onnx.TensorProto.DataType that an input may have, with NumPy's names (it has none for bfloat16).
FLOAT_TYPES = {1: np.float32, 10: np.float16, 11: np.float64, 16: np.float32}
INTEGER_TYPES = {
    2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64, 12: np.uint32, 13: np.uint64,
}  # fmt: skip
TRUTH_TYPE = 9
INPUT_TYPES = {**FLOAT_TYPES, **INTEGER_TYPES, TRUTH_TYPE: np.bool_}


def opset_of(model: onnx.ModelProto, name: str) -> int:
    """The model's operator set; UnsupportedOpError if its meaning is not known here."""
    versions = {o.domain: int(o.version) for o in model.opset_import}
    version = versions.get("", versions.get("ai.onnx", 0))
    if not version and versions:
        raise UnsupportedOpError(
            f"'{name}' uses no operators of ONNX itself, only those of {', '.join(sorted(versions))}, "
            "which are not supported"
        )
    if not OLDEST_OPSET <= version <= NEWEST_OPSET:
        raise UnsupportedOpError(
            f"'{name}' uses ONNX opset {version}; opsets {OLDEST_OPSET} to {NEWEST_OPSET} are supported "
            "(onnx.version_converter changes it)"
        )
    return version


def inputs_of(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Inputs that are not merely initializers listed twice, as older models do."""
    constants = {t.name for t in graph.initializer} | {s.values.name for s in graph.sparse_initializer}
    return [info for info in graph.input if info.name not in constants]


def declared(info: onnx.ValueInfoProto, rank: int = 0) -> Declared:
    """The declaration of an input; one of no known rank is said to have ``rank`` open dimensions."""
    tensor = info.type.tensor_type
    if not tensor.HasField("shape"):
        return Declared(info.name, ("",) * rank)
    dims = tensor.shape.dim
    return Declared(info.name, tuple(int(d.dim_value) if d.dim_value > 0 else str(d.dim_param) for d in dims))


def input_shape(info: onnx.ValueInfoProto, sizes: Sizes, lead: int) -> Shape:
    """Shape of an input in the graph, which has ``lead`` dimensions more than the model's ``sizes``.

    Raises:
        InputError: it cannot be an input of a graph, or leaves a dimension open, and then how to give it.
    """
    if info.type.tensor_type.elem_type not in INPUT_TYPES:
        kinds = "floats of 16 to 64 bits, integers of 8 bits or more, and bool"
        raise InputError(f"input '{info.name}' has a type that is not supported; inputs may be {kinds}")
    if not sizes and not lead:
        raise InputError(
            f"input '{info.name}' has no dimensions, and the first of a graph's input is the batch; "
            "convert with batch='fixed' (--batch fixed)"
        )
    missing = [axis for axis, size in enumerate(sizes) if size is None and axis >= 1 - lead]
    if missing:
        raise InputError(advice(declared(info, len(sizes)), missing))
    return (None, *sizes[1 - lead :])


def common_batch(sizes: AllSizes) -> int | None:
    """The batch size all inputs have, if there is one."""
    found = {shape[0] for shape in sizes.values() if shape}
    return found.pop() if len(found) == 1 else None


def constant_of(node: onnx.NodeProto) -> Const:
    """The value of a Constant node."""
    attrs = attributes_of(node)
    for key, value in attrs.items():
        if key == "sparse_value":
            return Const(sparse_tensor_array(value), node.output[0])
        if key == "value":
            return Const(value, node.output[0])
        if key in ("value_float", "value_floats"):
            return Const(np.array(value, np.float32), node.output[0])
        if key in ("value_int", "value_ints"):
            return Const(np.array(value, np.int64), node.output[0])
    raise Unsupported("constants are supported as tensors or numbers")


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """Attributes as plain Python values: numbers, strings, lists, arrays."""
    from onnx import TensorProto, helper

    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        if isinstance(value, TensorProto):
            return tensor_array(value)
        return value

    found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return {k: [plain(v) for v in value] if _is_list(value) else plain(value) for k, value in found.items()}


def _is_list(value: Any) -> bool:
    return not isinstance(value, str | bytes | int | float) and hasattr(value, "__len__")


def infer(model: onnx.ModelProto, sizes: AllSizes) -> tuple[dict[str, Shape], dict[str, int]]:
    """Shapes (the batch None) and element types of tensors, as far as onnx infers them from the inputs' ``sizes``.

    Shapes are only used to find more to report behind a node that failed; whatever keeps onnx from inferring them is
    reported anyway.
    """
    import onnx

    complete = onnx.ModelProto()
    complete.CopyFrom(model)
    for domain in {node.domain for node in model.graph.node} - {o.domain for o in model.opset_import}:
        complete.opset_import.append(onnx.helper.make_opsetid(domain, 1))
    for info in inputs_of(complete.graph):
        for dim, size in zip(info.type.tensor_type.shape.dim, sizes[info.name], strict=False):
            if size is not None:
                dim.dim_value = size
    graph = infer_shapes(complete) or model.graph
    shapes: dict[str, Shape] = {}
    types = _types_in_branches(graph)
    for info in (*graph.input, *graph.value_info, *graph.output):
        types[info.name] = int(info.type.tensor_type.elem_type)
        dims = [int(d.dim_value) for d in info.type.tensor_type.shape.dim]
        if dims and all(d > 0 for d in dims[1:]):
            shapes[info.name] = (None, *dims[1:])
    return shapes, types


def _types_in_branches(graph: onnx.GraphProto) -> dict[str, int]:
    """Element types of what a graph and its nodes' graphs hold or make."""
    types: dict[str, int] = {}
    waiting = [graph]
    while waiting:
        one = waiting.pop()
        types |= {tensor.name: int(tensor.data_type) for tensor in one.initializer}
        types |= {info.name: int(info.type.tensor_type.elem_type) for info in (*one.value_info, *one.output)}
        waiting += [a.g for node in one.node for a in node.attribute if a.HasField("g")]
    return types


def mask_initializer(graph: onnx.GraphProto, name: str, mask: np.ndarray) -> None:
    """Zero the weights of one initializer where ``mask`` is 0; MaskError if it does not fit."""
    from onnx import numpy_helper

    tensor = next((t for t in graph.initializer if t.name == name), None)
    if tensor is None:
        raise MaskError(f"mask '{name}' fits no initializer of the ONNX model")
    if tuple(tensor.dims) != mask.shape:
        raise MaskError(f"mask '{name}' is {mask.shape}, its initializer {tuple(tensor.dims)}")
    if not np.isin(mask, (0, 1)).all():
        raise MaskError(f"mask '{name}' holds values other than 0 and 1")
    masked = np.where(mask == 0, np.float32(0), tensor_array(tensor)).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(masked, name))

"""ONNX model → Graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, Value, explain
from converters.hints import onnx_hint
from converters.lowering import BATCH_HINT
from converters.onnx_call import Call
from converters.onnx_fold import Sizes, fold
from converters.onnx_load import OnnxLike, load_model, sparse_tensor_array, tensor_array
from converters.onnx_ops import RULES
from sparsenet.errors import GraphError, InputError, MaskError, UnsupportedOpError
from sparsenet.graph import Graph, Shape

if TYPE_CHECKING:
    import onnx

OLDEST_OPSET, NEWEST_OPSET = 7, 28
_FLOAT_TYPES = {1: np.float32, 10: np.float16, 11: np.float64}  # onnx.TensorProto.DataType


Batch = Literal["free", "fixed"]


def from_onnx(
    model: OnnxLike,
    *,
    optimize: bool = True,
    masks: Mapping[str, Any] | None = None,
    batch: Batch = "free",
) -> Graph:
    """Convert an ONNX model to a Graph. Tensors and nodes keep their ONNX names; every weight becomes float32.

    Shapes must be static but for dimension 0, the batch, which is free in the graph even if the model fixed it.

    Args:
        model: a path, the bytes of a file, or an ``onnx.ModelProto``. Opsets 7 to 28.
        optimize: run every exact pass (folding and fusion; see ``converters.passes``).
        masks: initializer name → 0/1 array of its shape; the weights where it is 0 become 0.
        batch: "free": dimension 0 of every tensor is the batch, of any size. "fixed": dimension 0 is a dimension like
            any other, for models that work across it; a tensor of the model is then one sample of the graph, which has
            its own batch in front: a model's input (1, 3, 224, 224) is the graph's (N, 1, 3, 224, 224).

    Raises:
        UnsupportedOpError: lists every node without a counterpart, by name, with a hint; or the opset is not known.
        ModelFileError: the file is not an ONNX model, is damaged, or its external data leaves its folder.
        InputError: an input is not a float tensor, or has an open dimension besides the batch.
        MaskError: a mask fits no initializer or holds other values than 0 and 1.
        MissingExtraError: onnx is not installed.
    """
    graph = OnnxSource(model, masks, batch).graph()
    if optimize:
        from converters import passes

        graph = passes.optimize(graph)
    return graph


@dataclass
class OnnxSource:
    """A loaded ONNX model: gives its Graph, and its own value of every tensor for comparison."""

    model: OnnxLike
    masks: Mapping[str, Any] | None = None
    batch: Batch = "free"
    value_names: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.proto, self.name = load_model(self.model)
        if self.proto.functions:
            from onnx.inliner import inline_local_functions

            self.proto = inline_local_functions(self.proto)
        self.opset = _opset(self.proto, self.name)
        for name, mask in (self.masks or {}).items():
            _mask_initializer(self.proto.graph, name, np.asarray(mask))

    @property
    def weight_bytes(self) -> int:
        """Bytes of the model's float initializers, stored as dense float32."""
        count = sum(
            int(np.prod(t.dims)) for t in self.proto.graph.initializer if t.data_type in (*_FLOAT_TYPES, 16)
        )
        return 4 * (count + sum(int(np.prod(t.dims)) for t in self.proto.graph.sparse_initializer))

    def example(self) -> dict[str, np.ndarray]:
        """Seeded standard-normal inputs by name, with the model's batch or 1."""
        rng = np.random.default_rng(0)
        lead = 1 if self.batch == "fixed" else 0
        shapes = {info.name: _input_shape(info, lead) for info in _inputs(self.proto.graph)}
        batch = _static_batch(self.proto.graph) or 1
        sizes = {name: [batch, *(int(d or 0) for d in shape[1:])] for name, shape in shapes.items()}
        return {name: rng.standard_normal(size).astype(np.float32) for name, size in sizes.items()}

    def graph(self) -> Graph:
        """The network as it is written, before any pass."""
        graph, names = _Walk(self).run()
        self.value_names = names
        return graph

    def values(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What onnxruntime (or, without it, onnx's reference evaluator) computes for every tensor of ``graph()``."""
        import onnx

        exposed = onnx.ModelProto()
        exposed.CopyFrom(self.proto)
        present = {o.name for o in exposed.graph.output}
        wanted = sorted(set(self.value_names.values()))
        exposed.graph.output.extend(onnx.ValueInfoProto(name=n) for n in wanted if n not in present)
        types = {i.name: _FLOAT_TYPES[i.type.tensor_type.elem_type] for i in _inputs(self.proto.graph)}
        feeds = {name: np.asarray(inputs[name]).astype(types[name]) for name in types}
        results = dict(zip(wanted, _run(exposed, wanted, feeds), strict=True))
        return {tensor: np.asarray(results[name], np.float32) for tensor, name in self.value_names.items()}


def _run(model: onnx.ModelProto, outputs: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        return list(ReferenceEvaluator(model).run(outputs, feeds))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return list(session.run(outputs, feeds))


class _Walk:
    """One pass over the model, node by node, building the graph."""

    def __init__(self, source: OnnxSource) -> None:
        self.proto, self.opset = source.proto, source.opset
        self.lead = 1 if source.batch == "fixed" else 0
        self.builder = GraphBuilder(source.name)
        self.builder.source = f"opset {self.opset}"
        self.env: dict[str, Value | Sizes | None] = {}  # None: made by an unsupported node, shape unknown
        self.static_batch = _static_batch(self.proto.graph)
        self._inferred: dict[str, Shape] | None = None

    def run(self) -> tuple[Graph, dict[str, str]]:
        graph = self.proto.graph
        for tensor in graph.initializer:
            self.env[tensor.name] = Const(tensor_array(tensor), tensor.name)
        for sparse in graph.sparse_initializer:
            self.env[sparse.values.name] = Const(sparse_tensor_array(sparse), sparse.values.name)
        refused = []
        for info in _inputs(graph):
            try:
                self.env[info.name] = self.builder.input(info.name, _input_shape(info, self.lead))
            except InputError as error:
                refused.append(str(error))
                self.env[info.name] = None
        used = {name for node in graph.node for name in node.input} | {o.name for o in graph.output}
        for node in graph.node:
            results = self._convert(node)
            for i, name in enumerate(node.output):
                if i < len(results):
                    self.env[name] = results[i]
                elif name and name in used:
                    hint = f"its output {i} ('{name}') is not supported"
                    self.builder.fail(node.name or node.output[0], node.op_type, hint)
                    self.env[name] = None
        missing = [o.name for o in graph.output if o.name not in self.env]
        if missing:
            raise GraphError(f"output '{missing[0]}' of the ONNX model is made by no node")
        if refused and not self.builder.failed:
            raise InputError("; ".join(refused))
        for reason in refused:
            self.builder.fail(reason.split("'")[1], "input", reason)
        outputs = [(o.name, _as_value(self.env[o.name])) for o in graph.output]
        built, _ = self.builder.finish(outputs)
        made_there = {name for node in graph.node for name in node.output}
        return built, {n.output: n.output for n in built.nodes if n.output in made_there}

    def _convert(self, node: onnx.NodeProto) -> list[Any]:
        """One value per output; nodes that fail are noted and stood in for."""
        op = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}"
        site = self._site(node)
        for name in node.input:
            if name and name not in self.env:
                raise GraphError(
                    f"node '{site.name}' ({op}) reads '{name}', which no earlier node, input or constant makes"
                )
        inputs = [self.env[name] if name else None for name in node.input]
        try:
            if op == "Constant":
                return [_constant(node)]
            unknown = any(name and value is None for name, value in zip(node.input, inputs, strict=True))
            if not unknown and not any(isinstance(value, Act) for value in inputs):
                if node.domain not in ("", "ai.onnx"):
                    raise Unsupported(onnx_hint(op))
                return list(fold(node, inputs, self.opset))  # type: ignore[arg-type]
            rule = RULES.get(op)
            if rule is None:
                raise Unsupported(onnx_hint(op))
            if unknown:
                return [None] * len(node.output)
            call = Call(
                self.builder,
                site,
                inputs,
                _attributes(node),
                self.opset,
                list(node.output),
                None if self.lead else self.static_batch,
                self.lead,
            )
            result = rule(call)
            return list(result) if isinstance(result, Sequence) else [result]
        except (Unsupported, GraphError) as error:
            self.builder.fail(site.name, _with_attribute(op, node, error), self._hint(error))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            self.builder.fail(site.name, op, f"its attributes or inputs are incomplete: {error}")
        return [self._stand_in(name) for name in node.output]

    def _hint(self, error: Unsupported | GraphError) -> str:
        across_batch = str(error) == BATCH_HINT and not self.lead
        return explain(error) + ("; or convert with batch='fixed'" if across_batch else "")

    def _stand_in(self, name: str) -> Act | None:
        """A tensor of the shape onnx infers, so that the nodes behind are examined too; None if it infers none."""
        if self._inferred is None:
            self._inferred = _infer_shapes(self.proto)
        shape = self._inferred.get(name)
        if not shape or not name or (self.lead and shape[0] is None):
            return None
        return self.builder.stand_in(name, (None, *shape) if self.lead else shape)

    def _site(self, node: onnx.NodeProto) -> Site:
        tensor = node.output[0] if node.output else ""
        return Site(self.builder.unique_node(node.name or tensor), tensor)


def _with_attribute(op: str, node: onnx.NodeProto, error: Exception) -> str:
    """The operator, with the attribute that is to blame."""
    name = getattr(error, "attribute", "")
    value = _attributes(node).get(name) if name else None
    return op if value is None else f"{op}, {name}={value!r}"


def _as_value(value: Value | Sizes | None) -> Value | None:
    return Const(value.at[0]) if isinstance(value, Sizes) else value


def _opset(model: onnx.ModelProto, name: str) -> int:
    version = next((int(o.version) for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if not OLDEST_OPSET <= version <= NEWEST_OPSET:
        raise UnsupportedOpError(
            f"'{name}' uses ONNX opset {version}; opsets {OLDEST_OPSET} to {NEWEST_OPSET} are supported "
            "(onnx.version_converter changes it)"
        )
    return version


def _inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Inputs that are not merely initializers listed twice, as older models do."""
    constants = {t.name for t in graph.initializer} | {s.values.name for s in graph.sparse_initializer}
    return [info for info in graph.input if info.name not in constants]


def _input_shape(info: onnx.ValueInfoProto, lead: int) -> Shape:
    tensor = info.type.tensor_type
    if tensor.elem_type not in _FLOAT_TYPES:
        raise InputError(f"input '{info.name}' is not a float tensor; only float inputs are supported")
    dims = tensor.shape.dim
    sizes = [int(d.dim_value) for d in dims[1 - lead :]]
    if any(d.HasField("dim_value") and d.dim_value == 0 for d in dims[1 - lead :]):
        raise InputError(f"input '{info.name}' has no elements; empty tensors are not supported")
    if (not dims and not lead) or any(s < 1 for s in sizes):
        shown = ", ".join(str(d.dim_param or d.dim_value or "?") for d in dims)
        raise InputError(
            f"input '{info.name}' has shape ({shown}); every dimension but the first, the batch, must be a number"
        )
    return (None, *sizes)


def _static_batch(graph: onnx.GraphProto) -> int | None:
    sizes = {
        int(i.type.tensor_type.shape.dim[0].dim_value) for i in _inputs(graph) if i.type.tensor_type.shape.dim
    }
    return sizes.pop() or None if len(sizes) == 1 else None


def _constant(node: onnx.NodeProto) -> Const:
    attrs = _attributes(node)
    for key, value in attrs.items():
        if key == "value":
            return Const(value, node.output[0])
        if key in ("value_float", "value_floats"):
            return Const(np.array(value, np.float32), node.output[0])
        if key in ("value_int", "value_ints"):
            return Const(np.array(value, np.int64), node.output[0])
    raise Unsupported("constants are supported as tensors or numbers")


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
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


def _infer_shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    import onnx

    declared = onnx.ModelProto()
    declared.CopyFrom(model)
    for domain in {node.domain for node in model.graph.node} - {o.domain for o in model.opset_import}:
        declared.opset_import.append(onnx.helper.make_opsetid(domain, 1))
    try:
        graph = onnx.shape_inference.infer_shapes(declared).graph
    except Exception:  # it is only used to find more to report; what failed is reported anyway
        return {}
    found: dict[str, Shape] = {}
    for info in (*graph.value_info, *graph.output):
        dims = [int(d.dim_value) for d in info.type.tensor_type.shape.dim]
        if dims and all(d > 0 for d in dims[1:]):
            found[info.name] = (None, *dims[1:])
    return found


def _mask_initializer(graph: onnx.GraphProto, name: str, mask: np.ndarray) -> None:
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

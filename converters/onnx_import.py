"""ONNX model → Graph."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from converters import onnx_by_rule
from converters.batch_axis import Batch, Layout, Sample, fixed_batch_hint, output_of, sample_of
from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, Value, explain
from converters.given_sizes import GivenSizes, enlarged, image_axes, open_places, with_batch_of_one
from converters.hints import onnx_hint
from converters.lower_choice import numbers
from converters.onnx_batch import across
from converters.onnx_call import Call, Rule
from converters.onnx_fold import fold
from converters.onnx_load import OnnxLike, load_model, sparse_tensor_array, tensor_array
from converters.onnx_model import (
    FLOAT_TYPES,
    INPUT_TYPES,
    INTEGER_TYPES,
    attributes_of,
    common_batch,
    constant_of,
    declared,
    infer,
    input_shape,
    inputs_of,
    mask_initializer,
    opset_of,
)
from converters.onnx_moved import Moved
from converters.onnx_ops import INTEGER_OPERATORS, RULES, SIZED_RULES
from converters.onnx_wide import has_bfloat16, run_exactly, widened
from converters.open_sizes import open_sizes
from converters.sizes import BATCH, THE_BATCH, Sizes
from sparsenet.checks import flag, one_of
from sparsenet.errors import GraphError, InputError, MemoryLimitError
from sparsenet.graph import Graph, Shape
from sparsenet.limits import Budget

if TYPE_CHECKING:
    import onnx

#: (model, names of outputs, inputs) -> the outputs.
Run = Callable[["onnx.ModelProto", list[str], Mapping[str, np.ndarray]], list[np.ndarray]]


def from_onnx(
    model: OnnxLike,
    *,
    optimize: bool = True,
    masks: Mapping[str, Any] | None = None,
    batch: Batch = "free",
    image_size: tuple[int, int] | None = None,
    shapes: Mapping[str, Sequence[int | None]] | None = None,
    dims: Mapping[str, int] | None = None,
) -> Graph:
    """Convert an ONNX model to a Graph. Tensors and nodes keep their ONNX names; every weight becomes float32.

    Dimension 0 is the batch, which is free in the graph even if the model fixed it. Every other dimension that the
    model leaves open needs a size, given by ``shapes``, ``dims`` or ``image_size``. It stays open in the graph where no
    node is bound to it (``graph.inputs[i].open`` tells): an engine plans any other size when it first meets it.

    Integers and truth values, of inputs as between nodes, are float32 numbers: exact up to 2**24, and without the
    wrap-around of narrow types.

    Args:
        model: a path, the bytes of a file, or an ``onnx.ModelProto``. Opsets 7 to 28.
        optimize: run every exact pass (folding and fusion; see ``converters.passes``).
        masks: initializer name → 0/1 array of its shape; the weights where it is 0 become 0.
        batch: "free": dimension 0 of the inputs is the batch, of any size. "fixed": it is a dimension like any other,
            of size 1 where nothing says otherwise, for models that work across it; a tensor of the model is then one
            sample of the graph, which has its own batch in front: a model's input (1, 3, 224, 224) is the graph's
            (N, 1, 3, 224, 224).
        image_size: rows and columns of images, (N, C, H, W) or (N, H, W, C), that leave them open. They must stay open:
            it is an error if a node is bound to them.
        shapes: input name → sizes of all its dimensions, as in {"input": (1, 3, 480, 640)}; None for one that ``dims``
            gives, or the batch.
        dims: name of an open dimension → size, as in {"T": 160}. A batch given by either is what the model's shape
            computations may take it for; it stays free, or is the number itself with ``batch`` "fixed".

    Raises:
        UnsupportedOpError: lists every node without a counterpart, by name, with a hint; or the opset is not known; or
            ``image_size`` is to stay open, but a node is bound to it.
        ModelFileError: the file is not an ONNX model, is damaged, or its external data leaves its folder.
        InputError: an input has a type that is not supported, a dimension is left open, or a size that is given does
            not fit the model; the message says what to give.
        MaskError: a mask fits no initializer or holds other values than 0 and 1.
        MemoryLimitError: weights or tensors would take more than ``limits.memory_limit``.
        MissingExtraError: onnx is not installed.
    """
    from converters import passes

    flag(optimize, "optimize")
    one_of(batch, "batch", get_args(Batch))
    source = OnnxSource(model, masks, batch, image_size, shapes or {}, dims or {})
    return source.converted(passes.optimize if optimize else Graph.copy)


@dataclass
class OnnxSource:
    """A loaded ONNX model: gives its Graph, and its own value of every tensor for comparison."""

    model: OnnxLike
    masks: Mapping[str, Any] | None = None
    batch: Batch = "free"
    image_size: tuple[int, int] | None = None
    shapes: Mapping[str, Sequence[int | None]] = field(default_factory=dict)
    dims: Mapping[str, int] = field(default_factory=dict)
    value_names: dict[str, str] = field(default_factory=dict, init=False)
    layouts: dict[str, Layout] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.proto, self.name = load_model(self.model)
        self.opset = opset_of(self.proto, self.name)
        for name, mask in (self.masks or {}).items():
            mask_initializer(self.proto.graph, name, np.asarray(mask))
        given, infos = GivenSizes(self.shapes, self.dims, self.image_size), inputs_of(self.proto.graph)
        self.declared = [declared(info, len(given.shapes.get(info.name, ()))) for info in infos]
        self.sizes = given.settle(self.name, self.declared)
        if self.lead:
            self.sizes = {name: with_batch_of_one(sizes) for name, sizes in self.sizes.items()}

    @property
    def lead(self) -> int:
        """Dimensions of the graph's tensors in front of the model's."""
        return 1 if self.batch == "fixed" else 0

    @property
    def takes_image_size(self) -> bool:
        """Whether an image input leaves its rows or columns open."""
        images = [one for one in self.declared if len(one.dims) == 4]
        return any(isinstance(one.dims[axis], str) for one in images for axis in image_axes(one))

    @property
    def weight_bytes(self) -> int:
        """Bytes of the model's float initializers, stored as dense float32."""
        count = sum(int(np.prod(t.dims)) for t in self.proto.graph.initializer if t.data_type in FLOAT_TYPES)
        return 4 * (count + sum(int(np.prod(t.dims)) for t in self.proto.graph.sparse_initializer))

    def example(self) -> dict[str, np.ndarray]:
        """Seeded standard-normal inputs by name, with the model's batch or 1."""
        rng = np.random.default_rng(0)
        infos = inputs_of(self.proto.graph)
        shapes = {info.name: input_shape(info, self.sizes[info.name], self.lead) for info in infos}
        batch = 1 if self.lead else common_batch(self.sizes) or 1
        sizes = {name: [batch, *(int(d or 0) for d in shape[1:])] for name, shape in shapes.items()}
        values = {name: rng.standard_normal(size).astype(np.float32) for name, size in sizes.items()}
        floats = {i.name for i in infos if i.type.tensor_type.elem_type in FLOAT_TYPES}
        return {name: value if name in floats else np.abs(np.rint(value)) for name, value in values.items()}

    def graph(self) -> Graph:
        """The network as it is written, before any pass, at the sizes that were given."""
        walk = _Walk(self)
        graph, self.value_names = walk.run()
        self.layouts = walk.layouts
        return graph

    def converted(self, finish: Callable[[Graph], Graph]) -> Graph:
        """``finish`` of the graph, with the sizes that the model leaves open still open, where no node is bound to one.

        Raises:
            UnsupportedOpError: ``image_size`` was given, and a node is bound to it.
        """
        graph = finish(self.graph())
        places = open_places(self.declared)

        def at(more: Mapping[str, int]) -> Graph:
            other = copy.copy(self)
            other.sizes = enlarged(self.sizes, {place: more[name] for name in more for place in places[name]})
            return finish(_Walk(other).run()[0])

        return open_sizes(graph, list(places), at, all_of_them=self.image_size is not None)

    def known_outputs(self) -> dict[str, np.ndarray]:
        """Outputs that are the same whatever the model is fed: shapes, for instance. No graph can have them."""
        return _Walk(self).known_outputs()

    def values(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What onnxruntime (or, without it, onnx's reference evaluator) computes for every tensor of ``graph()``."""
        return self._computed(inputs, _run)

    def exact(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """The same by onnx's reference evaluator, every float a float64; None if that cannot run the model so."""
        try:
            return self._computed(inputs, run_exactly)
        except MemoryError:
            raise
        except Exception:  # whatever an operator of the evaluator dislikes
            return None

    def _computed(self, inputs: Mapping[str, np.ndarray], run: Run) -> dict[str, np.ndarray]:
        import onnx

        exposed = onnx.ModelProto()
        exposed.CopyFrom(self.proto)
        present = {o.name for o in exposed.graph.output}
        wanted = sorted(set(self.value_names.values()))
        exposed.graph.output.extend(onnx.ValueInfoProto(name=n) for n in wanted if n not in present)
        types = {i.name: INPUT_TYPES[i.type.tensor_type.elem_type] for i in inputs_of(self.proto.graph)}
        arrays = {name: np.asarray(inputs[name]) for name in types}
        feeds: dict[str, np.ndarray] = {
            n: (a[0] if self.lead else a).astype(types[n]) for n, a in arrays.items()
        }
        results = dict(zip(wanted, map(_as_float, run(exposed, wanted, feeds)), strict=True))
        values = {t: results[name] for t, name in self.value_names.items()}
        if self.lead:
            return {t: value[None] for t, value in values.items()}
        batch = min(len(array) for array in arrays.values())
        return {t: self.layouts[t].of(v, batch) if t in self.layouts else v for t, v in values.items()}


def _as_float(value: Any) -> np.ndarray:
    """A framework's result as floats: of their own type if NumPy knows it, integers and truth values as float32."""
    array = np.asarray(value)
    return array if array.dtype in (np.float16, np.float32, np.float64) else array.astype(np.float32)


def _run(model: onnx.ModelProto, outputs: list[str], feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    if has_bfloat16(model):
        model = widened(model, double=False)  # ONNX Runtime computes nothing in bfloat16 on a CPU
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        return list(ReferenceEvaluator(model).run(outputs, dict(feeds)))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return list(session.run(outputs, dict(feeds)))


class _Walk:
    """One pass over the model, node by node, building the graph."""

    def __init__(self, source: OnnxSource) -> None:
        self.proto, self.opset = source.proto, source.opset
        self.lead, self.declared, self.sizes = source.lead, source.declared, source.sizes
        self.builder = GraphBuilder(source.name)
        self.builder.source = f"opset {self.opset}"
        self.env: dict[str, Value | Sizes | None] = {}  # None: made by an unsupported node, shape unknown
        self.static_batch = common_batch(self.sizes)
        self.layouts: dict[str, Layout] = {}
        self._folded = Budget("constants that the model computes")
        self._inferred: tuple[dict[str, Shape], dict[str, int]] | None = None

    def run(self) -> tuple[Graph, dict[str, str]]:
        """The graph, and its tensors that are the model's own."""
        refused = self._walk()
        if refused and not self.builder.failed:
            raise InputError("; ".join(refused))
        for reason in refused:
            self.builder.fail(reason.split("'")[1], "input", reason)
        graph = self.proto.graph
        outputs = [(o.name, self._output(o.name)) for o in graph.output]
        built, _ = self.builder.finish(outputs)
        made_there = {name for node in graph.node for name in node.output}
        return built, {n.output: n.output for n in built.nodes if n.output in made_there}

    def _output(self, name: str) -> Value | None:
        value = self.env[name]
        if isinstance(value, Sample):
            if value.tensor == name:
                value = replace(value, tensor=self.builder.rename(name, f"{name}.sample"))
            moved, self.layouts[name] = output_of(self.builder, Site(name, name), value)
            return moved
        if not isinstance(value, Sizes):
            return value
        counts = self.lead and not any(BATCH in unknown.counts for unknown in value.slopes)
        return numbers(self.builder, Site(name, name), value) if counts else Const(value.base)

    def known_outputs(self) -> dict[str, np.ndarray]:
        """Outputs that do not depend on the inputs' values."""
        self._walk()
        values = {o.name: self.env[o.name] for o in self.proto.graph.output}
        return {name: value.array for name, value in values.items() if isinstance(value, Const)}

    def _walk(self) -> list[str]:
        """Convert node by node; returns why inputs are refused."""
        graph = self.proto.graph
        refused = []
        for info in inputs_of(graph):
            try:
                self.env[info.name] = self.builder.input(
                    info.name, input_shape(info, self.sizes[info.name], self.lead)
                )
            except InputError as error:
                refused.append(str(error))
                self.env[info.name] = None
        with np.errstate(all="ignore"):  # constants that overflow do so in the network itself
            self._walk_nodes(graph)
        return refused

    def _walk_nodes(self, graph: onnx.GraphProto) -> None:
        """Convert the nodes of the model, or of a branch of it that is taken."""
        for tensor in graph.initializer:
            self.env[tensor.name] = Const(tensor_array(tensor), tensor.name)
        for sparse in graph.sparse_initializer:
            self.env[sparse.values.name] = Const(sparse_tensor_array(sparse), sparse.values.name)
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

    def _branch(self, node: onnx.NodeProto, taken: bool) -> list[Any]:
        """What an If with a known condition gives: the results of one of its graphs, which sees all names outside."""
        wanted = "then_branch" if taken else "else_branch"
        graph = {a.name: a.g for a in node.attribute}[wanted]
        self._walk_nodes(graph)
        return [self.env[o.name] for o in graph.output]

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
                return [constant_of(node)]
            if op == "If" and inputs and isinstance(inputs[0], Const):
                return self._branch(node, bool(inputs[0].array.reshape(-1)[0]))
            unknown = any(name and value is None for name, value in zip(node.input, inputs, strict=True))
            if not unknown and not any(isinstance(value, Act) for value in inputs):
                if node.domain not in ("", "ai.onnx"):
                    raise Unsupported(onnx_hint(op))
                return self._fold(op, node, site, inputs)
            if op not in RULES:
                raise Unsupported(onnx_hint(op))
            return [None] * len(node.output) if unknown else self._apply(op, RULES[op], node, site, inputs)
        except (Unsupported, GraphError) as error:
            self.builder.fail(site.name, _with_attribute(op, node, error), self._hint(error))
        except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
            self.builder.fail(site.name, op, f"its attributes or inputs do not fit it: {error}")
        except MemoryLimitError:
            raise
        except MemoryError as error:
            raise MemoryLimitError(
                f"node '{site.name}' ({op}) takes more memory than there is: {error}"
            ) from error
        return [self._stand_in(name) for name in node.output]

    def _fold(self, op: str, node: onnx.NodeProto, site: Site, inputs: list[Any]) -> list[Any]:
        """Results of a node whose inputs are known now, or sizes, which may only be known when the network runs."""
        if op in onnx_by_rule.PREFERRED and onnx_by_rule.takes(inputs):
            return list(onnx_by_rule.evaluate(RULES[op], self._call(node, site, inputs)))
        try:
            return list(fold(node, inputs, self.opset, self._folded))
        except Unsupported as refusal:
            if not any(isinstance(value, Sizes) for value in inputs):
                if op not in RULES or not onnx_by_rule.takes(inputs, "fiub"):
                    raise
                return list(onnx_by_rule.evaluate(RULES[op], self._call(node, site, inputs)))
            if op in SIZED_RULES:
                return self._apply(op, SIZED_RULES[op], node, site, inputs)
            if not self.lead or op not in RULES:
                raise
            try:
                computed = [
                    numbers(self.builder, site.sub(f"input{i}"), v) if isinstance(v, Sizes) else v
                    for i, v in enumerate(inputs)
                ]
                return self._apply(op, RULES[op], node, site, computed)
            except (Unsupported, GraphError):
                raise refusal from None

    def _apply(self, op: str, rule: Rule, node: onnx.NodeProto, site: Site, inputs: list[Any]) -> list[Any]:
        """Append what computes a node."""
        call = self._call(node, site, inputs)
        if any(isinstance(value, Sample) for value in inputs):
            return self._across(op, rule, call)
        before = len(self.builder.graph.nodes)
        try:
            result = rule(call)
            return list(result) if isinstance(result, Sequence) else [result]
        except (Unsupported, GraphError) as refusal:
            if self.lead or not any(isinstance(value, Act) for value in inputs):
                raise
            self.builder.forget(before)
            try:
                return self._across(op, rule, call)
            except (
                Unsupported,
                GraphError,
                ArithmeticError,
                AssertionError,
                LookupError,
                TypeError,
                ValueError,
            ):
                self.builder.forget(before)
                raise refusal from None

    def _call(self, node: onnx.NodeProto, site: Site, inputs: list[Any]) -> Call:
        return Call(
            self.builder,
            site,
            inputs,
            attributes_of(node),
            self.opset,
            list(node.output),
            None if self.lead else self.static_batch,
            self.lead,
            self._is_integer(node),
        )

    def _across(self, op: str, rule: Rule, call: Call) -> list[Any]:
        """A node on tensors that do not have the batch in front, or whose result does not."""
        given = [sample_of(self.builder, value) if isinstance(value, Act) else value for value in call.inputs]
        inputs = [_for_one_image(Act(v.tensor) if isinstance(v, Sample) else v) for v in given]
        inner = replace(call, inputs=inputs, static_batch=None, lead=1)
        results = across(Moved(op, rule, inner, given, self.static_batch))
        for value in results:
            if isinstance(value, Sample):
                self.layouts[value.tensor] = Layout(value.place)
        return results

    def _hint(self, error: Unsupported | GraphError) -> str:
        return explain(error) + ("" if self.lead else fixed_batch_hint(error))

    def _stand_in(self, name: str) -> Act | None:
        """A tensor of the shape onnx infers, so that the nodes behind are examined too; None if it infers none."""
        shape = self._inference()[0].get(name)
        if not shape or not name or (self.lead and shape[0] is None):
            return None
        return self.builder.stand_in(name, (None, *shape) if self.lead else shape)

    def _inference(self) -> tuple[dict[str, Shape], dict[str, int]]:
        if self._inferred is None:
            self._inferred = infer(self.proto, self.sizes)
        return self._inferred

    def _is_integer(self, node: onnx.NodeProto) -> bool:
        """Whether the node's first input holds integers, for operators that treat those differently."""
        return node.op_type in INTEGER_OPERATORS and self._inference()[1].get(node.input[0]) in INTEGER_TYPES

    def _site(self, node: onnx.NodeProto) -> Site:
        tensor = node.output[0] if node.output else ""
        return Site(self.builder.unique_node(node.name or tensor), tensor)


def _for_one_image(value: Value | Sizes | None) -> Value | Sizes | None:
    """Sizes for a batch of one; Unsupported if they depend on anything else."""
    if not isinstance(value, Sizes):
        return value
    if set(value.slopes) != {THE_BATCH}:
        raise Unsupported("a size it needs depends on other data than its input does")
    return Const(value.base + value.slopes[THE_BATCH])


def _with_attribute(op: str, node: onnx.NodeProto, error: Exception) -> str:
    """The operator, with the attribute that is to blame."""
    name = getattr(error, "attribute", "")
    value = attributes_of(node).get(name) if name else None
    return op if value is None else f"{op}, {name}={value!r}"

"""An ONNX model, node by node, into a graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.batch_axis import Layout, Sample, fixed_batch_hint, output_of, sample_of
from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, Value, explain
from converters.decompose.choice import numbers
from converters.hints import onnx_hint
from converters.onnx import by_rule
from converters.onnx.batch import across
from converters.onnx.call import Call, Rule
from converters.onnx.fold import fold
from converters.onnx.load import sparse_tensor_array, tensor_array
from converters.onnx.model import (
    INTEGER_TYPES,
    TRUTH_TYPE,
    attributes_of,
    common_batch,
    constant_of,
    infer,
    input_shape,
    inputs_of,
)
from converters.onnx.moved import Moved, QuantizedSample
from converters.onnx.ops.quantize import undoes
from converters.onnx.ops.table import INTEGER_OPERATORS, KEEPS_BYTES, READS_BYTES, RULES, SIZED_RULES
from converters.onnx.sized_model import SizedModel
from converters.quantized import Quantized, as_integers, same_numbers
from converters.symbolic.sizes import BATCH, THE_BATCH, Sizes
from sparsenet.errors import GraphError, InputError, MemoryLimitError
from sparsenet.graph import Graph, Shape
from sparsenet.limits import Budget

if TYPE_CHECKING:
    import onnx


class Walk:
    """One pass over the model, node by node, building the graph."""

    def __init__(self, model: SizedModel) -> None:
        self.proto, self.opset = model.proto, model.opset
        self.lead, self.sizes = model.lead, model.sizes
        self.builder = GraphBuilder(model.name)
        self.builder.source = f"opset {self.opset}"
        self.env: dict[str, Value | Sizes | None] = {}  # None: made by an unsupported node, shape unknown
        self.static_batch = common_batch(self.sizes)
        self.layouts: dict[str, Layout] = {}
        self.as_bytes: dict[str, Quantized] = {}
        self._folded = Budget("constants that the model computes")
        self._inferred: tuple[dict[str, Shape], dict[str, int]] | None = None

    def run(self) -> tuple[Graph, dict[str, str]]:
        """The graph, and by its tensors the model's own of the same numbers, or (``as_bytes``) of bytes for them."""
        refused = self._walk()
        if refused and not self.builder.failed:
            raise InputError("; ".join(refused))
        for reason in refused:
            self.builder.fail(reason.split("'")[1], "input", reason)
        graph = self.proto.graph
        outputs = [(o.name, self._output(o.name)) for o in graph.output]
        built, renamed = self.builder.finish(outputs)
        return built, self._names(built, renamed)

    def _names(self, built: Graph, renamed: dict[str, str]) -> dict[str, str]:
        """By tensor of the graph the model's of the same numbers; of those that it has as bytes, fill ``as_bytes``."""
        there = {name for node in self.proto.graph.node for name in node.output}
        outputs = {output.name for output in self.proto.graph.output}
        names = {node.output: node.output for node in built.nodes if node.output in there}
        made = {node.output for node in built.nodes} & built.quantization.keys()
        for name, value in self.env.items():
            if name not in there or not isinstance(value, Act):
                continue
            tensor = renamed.get(value.tensor, value.tensor)
            if isinstance(value, Quantized) and tensor != name and name not in outputs:
                names.pop(name, None)  # what has this name there are the bytes of another tensor
            if tensor in made and names.get(tensor, name) == name:
                names[tensor] = name
                if isinstance(value, Quantized):
                    self.as_bytes[tensor] = value
        return names

    def _output(self, name: str) -> Value | None:
        value = self.env[name]
        if isinstance(value, Sample):
            if value.tensor == name:
                value = replace(value, tensor=self.builder.rename(name, f"{name}.sample"))
            moved, self.layouts[name] = output_of(self.builder, Site(name, name), value)
            return moved
        if isinstance(value, Quantized):
            return as_integers(self.builder, Site(name, name), value)
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
        """Results of an If with a known condition: those of one of its graphs, which sees all names outside."""
        wanted = "then_branch" if taken else "else_branch"
        graph = {a.name: a.g for a in node.attribute}[wanted]
        self._walk_nodes(graph)
        return [self.env[o.name] for o in graph.output]

    def _convert(self, node: onnx.NodeProto) -> list[Any]:
        """One value per output; nodes that fail are noted, and get placeholders as results."""
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
                if node.domain not in ("", "ai.onnx") and op not in READS_BYTES:
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
        if op in by_rule.PREFERRED and by_rule.takes(inputs):
            return list(by_rule.evaluate(RULES[op], self._call(node, site, inputs)))
        if op in READS_BYTES and isinstance(inputs[0], Const):
            self._folded.take(8 * inputs[0].array.size)
            return self._apply(op, RULES[op], node, site, inputs)
        try:
            return list(fold(node, inputs, self.opset, self._folded))
        except Unsupported as refusal:
            if not any(isinstance(value, Sizes) for value in inputs):
                if op not in RULES or not by_rule.takes(inputs, "fiub"):
                    raise
                return list(by_rule.evaluate(RULES[op], self._call(node, site, inputs)))
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
        """Append the nodes that compute a node."""
        given, inputs = inputs, self._as_read(op, site, inputs)
        call = self._call(node, site, inputs)
        if any(isinstance(value, Sample) for value in inputs):
            return self._across(op, rule, call)
        before = len(self.builder.graph.nodes)
        try:
            result = rule(call)
            return self._as_made(op, given, list(result) if isinstance(result, Sequence) else [result])
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

    def _as_read(self, op: str, site: Site, inputs: list[Any]) -> list[Any]:
        """The inputs as the rule of ``op`` reads them: what the model has as bytes is that to few rules."""
        if op in READS_BYTES:
            return inputs
        if op in KEEPS_BYTES and _one_grid(inputs):
            return [Act(value.tensor) if isinstance(value, Quantized) else value for value in inputs]
        return [
            self._in_integers(site.sub(f"integers{i}"), value) if isinstance(value, Quantized) else value
            for i, value in enumerate(inputs)
        ]

    def _as_made(self, op: str, inputs: list[Any], results: list[Any]) -> list[Any]:
        """The results of a rule, bytes again where it took bytes from one place to another."""
        if op not in KEEPS_BYTES or not _one_grid(inputs):
            return results
        source = next(value for value in inputs if isinstance(value, Quantized))
        return [
            same_numbers(self.builder, source, value) if type(value) is Act else value for value in results
        ]

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
            self._has_logical_mask(node),
        )

    def _across(self, op: str, rule: Rule, call: Call) -> list[Any]:
        """A node on tensors that do not have the batch in front, or whose result does not."""
        x = call.inputs[0]
        if (
            op == "DequantizeLinear"
            and isinstance(x, QuantizedSample)
            and undoes(x.whole, call.const(1, "scale"), call.const(2, "zero point"))
        ):
            return [Sample(x.tensor, x.place)]
        given = [self._in_integers(call.at(f"integers{i}"), value) for i, value in enumerate(call.inputs)]
        given = [sample_of(self.builder, value) if isinstance(value, Act) else value for value in given]
        inputs = [_for_one_image(Act(v.tensor) if isinstance(v, Sample) else v) for v in given]
        inner = replace(call, inputs=inputs, static_batch=None, lead=1)
        results = across(Moved(op, rule, inner, given, self.static_batch))
        for value in results:
            if isinstance(value, Sample):
                self.layouts[value.tensor] = Layout(value.place)
        return results

    def _in_integers(self, site: Site, value: Any) -> Any:
        """Bytes as numbers; any other operand as it is."""
        if isinstance(value, QuantizedSample):
            return Sample(as_integers(self.builder, site, value.whole).tensor, value.place)
        return as_integers(self.builder, site, value) if isinstance(value, Quantized) else value

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

    def _has_logical_mask(self, node: onnx.NodeProto) -> bool:
        """Whether the mask of attention, its fourth input, holds truth values."""
        masked = node.op_type == "Attention" and len(node.input) > 3
        return masked and self._inference()[1].get(node.input[3]) == TRUTH_TYPE

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
    """The operator's name, with the attribute that is to blame."""
    name = getattr(error, "attribute", "")
    value = attributes_of(node).get(name) if name else None
    return op if value is None else f"{op}, {name}={value!r}"


def _one_grid(inputs: list[Any]) -> bool:
    """Whether all activations among the inputs are bytes of one grid."""
    acts = [value for value in inputs if isinstance(value, Act)]
    grids = {(a.scale, a.zero_point, a.signed) for a in acts if isinstance(a, Quantized)}
    return len(grids) == 1 and all(isinstance(a, Quantized) for a in acts)
